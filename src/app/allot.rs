//! Input lines for CPU affinity and I/O priority.

use crate::kernel::allot::Allotment;

use super::App;
use super::layer::{Input, InputKind, Layer};
use super::msg::Effect;

impl App {
    /// Opens the prompt for the tagged or the selected processes, as they are now.
    pub(super) fn open_allotment(&mut self, kind: InputKind) -> Vec<Effect> {
        let whom = self.targets();
        let Some(first) = whom.first().copied() else {
            self.tell(self.no_target());
            return Vec::new();
        };
        let hint = self.choices(kind, "reading...");
        self.open_input(kind, String::new());
        if let Some(Layer::Input(input)) = &mut self.layer {
            (input.whom, input.hint) = (whom, Some(hint));
        }
        vec![Effect::ReadAllotment { pid: first.pid }]
    }

    /// The prompt's hint: the present value, then the values that are accepted.
    fn choices(&self, kind: InputKind, now: &str) -> String {
        if kind != InputKind::Cpus {
            return format!("now {now}   be 0 to 7: normal, 0 first   rt 0 to 7: before all   idle: after all");
        }
        let cpus: Vec<u32> = self.model.iter().flat_map(|model| &model.host.cpus).map(|(id, _)| *id).collect();
        let there = match (cpus.first(), cpus.last()) {
            (Some(first), Some(last)) if first < last => format!("of {first}-{last}"),
            (Some(only), _) => format!("of {only}"),
            _ => "of this machine's CPUs".to_owned(),
        };
        format!("now {now} {there}   0-3: a range   0,2: some   Enter sets, Esc cancels")
    }

    /// Shows what holds now in the open prompt; as long as nothing was typed, the line begins with it.
    pub(super) fn present_allotment(&mut self, pid: i32, cpus: &Result<String, String>, io: &Result<String, String>) {
        let Some(Layer::Input(input)) = &self.layer else { return };
        let value = match input.kind {
            InputKind::Cpus => cpus,
            InputKind::IoPriority => io,
            _ => return,
        };
        if input.whom.first().is_none_or(|key| key.pid != pid) {
            return;
        }
        let more = if input.whom.len() > 1 { format!(" (of {pid}, the first of {})", input.whom.len()) } else { String::new() };
        let now = value.as_ref().map_or_else(|why| format!("unknown ({why})"), Clone::clone);
        let hint = self.choices(input.kind, &format!("{now}{more}"));
        if let Some(Layer::Input(input)) = &mut self.layer {
            input.hint = Some(hint);
            if let (Ok(value), true) = (value, input.line.text().is_empty()) {
                input.line.set(value.clone());
            }
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
    fn the_prompt_shows_what_holds_now_and_what_may_be_typed() {
        let mut app = app();
        app.update(Msg::Key(Key::plain(Code::Down)));
        assert_eq!(app.update(Msg::Key(Key::char('i'))), [Effect::ReadAllotment { pid: 10 }]);
        let answer = |pid| Msg::Allotted { pid, cpus: Ok("0-1".to_owned()), io: Ok("be 4".to_owned()) };
        app.update(answer(11));
        app.update(answer(10));
        let shown = |app: &App| match &app.layer {
            Some(Layer::Input(input)) => (input.line.text().to_owned(), input.hint.clone().unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        let (line, hint) = shown(&app);
        assert_eq!(line, "be 4");
        assert!(hint.starts_with("now be 4") && hint.contains("idle"), "{hint}");
        app.update(Msg::Key(Key::plain(Code::Esc)));
        app.update(Msg::Key(Key::char('a')));
        type_in(&mut app, "1");
        app.update(answer(10));
        assert_eq!(shown(&app).0, "1", "what was typed stays");
        assert!(shown(&app).1.starts_with("now 0-1"), "{}", shown(&app).1);
    }

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
