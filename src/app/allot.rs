//! Input lines for CPU affinity and I/O priority.

use crate::kernel::allot::Allotment;

use super::App;
use super::layer::{Input, InputKind, Layer};
use super::msg::{Effect, Notice};

impl App {
    /// Asks for it, for the tagged or the selected as they are now.
    pub(super) fn open_allotment(&mut self, kind: InputKind) {
        let whom = self.targets();
        let Some(first) = whom.first() else {
            self.tell(Notice::info("no process is selected"));
            return;
        };
        let known = self.model.as_deref().and_then(|model| model.process(first.pid)).and_then(|p| p.exact.as_deref());
        let text = match kind {
            InputKind::Cpus => known.and_then(|exact| exact.cpus_allowed.as_deref()).unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        self.open_input(kind, text);
        if let Some(Layer::Input(input)) = &mut self.layer {
            input.whom = whom;
        }
    }

    /// What was typed for it, or what is wrong with that.
    pub(super) fn allot(&mut self, mut input: Input) -> Vec<Effect> {
        let text = input.line.text();
        let parsed = match input.kind {
            InputKind::Cpus => text.parse().map(Allotment::Cpus),
            _ => text.parse().map(Allotment::Io),
        };
        match parsed {
            Ok(what) => {
                self.typed.of(input.kind).add(text);
                vec![Effect::Allot { keys: input.whom, what }]
            }
            Err(why) => {
                input.error = Some((0, why));
                self.layer = Some(Layer::Input(input));
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::msg::Msg;
    use crate::app::tests::{app, type_in};
    use crate::kernel::allot::IoPriority;

    #[test]
    fn what_is_typed_goes_to_those_that_were_chosen_when_it_was_asked_for() {
        let mut app = app();
        app.update(Msg::Key(Key::plain(Code::Down)));
        app.update(Msg::Key(Key::char('i')));
        type_in(&mut app, "be 9");
        assert!(app.update(Msg::Key(Key::plain(Code::Enter))).is_empty());
        let Some(Layer::Input(input)) = &app.layer else { panic!("it is asked for again: {:?}", app.layer) };
        assert!(input.error.as_ref().is_some_and(|(_, why)| why.contains("rt 0 to rt 7")), "{:?}", input.error);
        app.update(Msg::Key(Key::plain(Code::Backspace)));
        type_in(&mut app, "7");
        let effects = app.update(Msg::Key(Key::plain(Code::Enter)));
        let [Effect::Allot { keys, what: Allotment::Io(IoPriority::BestEffort(7)) }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(keys.iter().map(|key| key.pid).collect::<Vec<_>>(), [10]);
        assert!(effects[0].changes() && app.layer.is_none());

        app.update(Msg::Key(Key::char('a')));
        type_in(&mut app, "1-0");
        app.update(Msg::Key(Key::plain(Code::Enter)));
        assert!(matches!(&app.layer, Some(Layer::Input(input)) if input.error.is_some()));
        app.update(Msg::Key(Key::plain(Code::Esc)));
        assert!(app.layer.is_none());
    }
}
