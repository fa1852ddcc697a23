//! Demos: what the keys after `n` do.

use crate::columns;
use crate::lab::catalog::{Demo, demo_of, systems};

use super::App;
use super::layer::Layer;
use super::msg::{Effect, Notice};
use super::options::Screen;
use super::run_cards::short;

impl App {
    /// Opens the demos' sheet. While the user reads it, the interpreters are found that its Python half needs.
    pub(super) fn open_demos(&mut self) -> Vec<Effect> {
        self.layer = Some(Layer::QuickLaunch { race: None });
        let look = self.lab.interpreters.is_none() && !self.options.readonly && self.is_of_this_machine();
        if look { vec![Effect::Discover] } else { Vec::new() }
    }

    /// A key of the demos' sheet.
    pub(super) fn launch_key(&mut self, letter: char, race: Option<char>) -> Vec<Effect> {
        match (letter, race) {
            ('r', None) => {
                self.layer = Some(Layer::QuickLaunch { race: Some(' ') });
                Vec::new()
            }
            ('L', None) => self.run(super::msg::Command::Go(Screen::Lab)),
            ('n', None) => match self.last_demo {
                Some(demo) => self.launch_demo(demo),
                None => self.no_demo('n', "launches the last demo again, and there was none"),
            },
            (key, race) => match (demo_of(key), race) {
                (None, _) => self.no_demo(key, "launches nothing: n lists the keys"),
                (Some(demo), Some(' ')) => {
                    self.layer = Some(Layer::QuickLaunch { race: Some(demo.key) });
                    Vec::new()
                }
                (Some(demo), Some(first)) => {
                    let mut effects = demo_of(first).map(|first| self.launch_demo(first)).unwrap_or_default();
                    effects.extend(self.launch_demo(demo));
                    self.race = demo_of(first).map(|first| [first.system, demo.system]);
                    effects
                }
                (Some(demo), None) => self.launch_demo(demo),
            },
        }
    }

    /// The demo that `n n` launches.
    #[must_use]
    pub fn last_demo(&self) -> Option<&'static Demo> {
        self.last_demo
    }

    fn no_demo(&mut self, key: char, why: &str) -> Vec<Effect> {
        self.tell(Notice::bad(format!("n {key} {why}")));
        Vec::new()
    }

    pub(super) fn launch_demo(&mut self, demo: &'static Demo) -> Vec<Effect> {
        let cpus = self.model.as_deref().map_or(1, |model| model.host.cpus.len());
        let Some(spec) = demo.spec(cpus) else { return Vec::new() };
        // Who launches a system wants to see that system in the lab.
        self.lessons.open = false;
        self.last_demo = Some(demo);
        self.race = None;
        if let Some(at) = systems().iter().position(|system| system.id == demo.system) {
            self.lab.choose(at);
        }
        if self.screen == Screen::Processes {
            self.expected = Some(self.lab.next_id());
        }
        vec![Effect::Launch(self.options.watched.over(spec))]
    }

    /// If `wanted`, asks for a sample now, so that rows of a run that are not in the newest one appear.
    pub(super) fn resample_for_rows(&self, wanted: bool) -> Option<Effect> {
        (wanted && self.screen == Screen::Processes && !self.paused).then_some(Effect::Resample)
    }

    /// Which of two racing demos creates a worker faster, and how many times; `None` as long as that is not known.
    pub(super) fn race_verdict(&self) -> Option<String> {
        let [a, b] = self.race?.map(|system| {
            let run = self.lab.state.runs.iter().rev().find(|run| run.spec.system == system)?;
            Some((short(system), run.costs.creation_ns?.median.max(1.0)))
        });
        let ((first, fast), (second, slow)) = match (a?, b?) {
            (a, b) if a.1 <= b.1 => (a, b),
            (a, b) => (b, a),
        };
        let [one, other] = [fast, slow].map(|ns| columns::latency_text(ns as u64));
        Some(match slow / fast {
            ratio if ratio < 1.1 => format!("{first} and {second} create a worker equally fast: {one}, {other}"),
            ratio => format!("{first} creates a worker {ratio:.1} times as fast as {second}: {one} against {other}"),
        })
    }

    /// What one worker of a system took to create when it was last launched here.
    #[must_use]
    pub fn last_creation(&self, system: &str) -> Option<String> {
        let run = self.lab.state.runs.iter().rev().find(|run| run.spec.system == system && run.costs.creation_ns.is_some())?;
        Some(columns::latency_text(run.costs.creation_ns?.median.max(0.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::Key;
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::lab::catalog::DEMOS;

    fn systems(effects: &[Effect]) -> Vec<&str> {
        let launched = |effect: &'_ Effect| match effect {
            Effect::Launch(spec) => DEMOS.iter().find(|demo| demo.system == spec.system).map(|demo| demo.system),
            _ => None,
        };
        effects.iter().filter_map(launched).collect()
    }

    fn press(app: &mut App, keys: &str) -> Vec<Effect> {
        keys.chars().flat_map(|key| app.update(Msg::Key(Key::char(key)))).collect()
    }

    #[test]
    fn every_demo_is_two_keys_away_and_the_last_one_comes_again() {
        let mut app = App::new(Options::default());
        assert_eq!(systems(&press(&mut app, "nn")), [""; 0], "there was none before");
        for demo in DEMOS {
            assert_eq!(systems(&press(&mut app, &format!("n{}", demo.key))), [demo.system]);
        }
        assert_eq!(systems(&press(&mut app, "nn")), [DEMOS[DEMOS.len() - 1].system]);
    }

    #[test]
    fn two_race_side_by_side() {
        let mut app = App::new(Options::default());
        assert_eq!(systems(&press(&mut app, "nrfs")), ["native/fork", "native/spawn"]);
        assert!(app.layer.is_none());
    }
}
