//! Signals and priorities of the tagged processes, or of the selected one.

use super::App;
use super::layer::{Layer, SignalDialog};
use super::msg::Effect;

impl App {
    pub(super) fn renice(&mut self, delta: i32) -> Vec<Effect> {
        let keys = self.targets();
        if keys.is_empty() {
            self.tell(self.no_target());
            return Vec::new();
        }
        vec![Effect::Renice { keys, delta }]
    }

    pub(super) fn open_signals(&mut self) -> Vec<Effect> {
        let keys = self.targets();
        if keys.is_empty() {
            self.tell(self.no_target());
            return Vec::new();
        }
        self.token += 1;
        self.layer = Some(Layer::Signal(SignalDialog::new(self.token, self.target_thread())));
        vec![Effect::Freeze { token: self.token, keys }]
    }
}
