//! Typing a parameter of the lab: `e` opens an input line with its value.

use super::App;
use super::lab_view::{Field, LabView};
use super::layer::InputKind;
use super::msg::Notice;

/// The numbers that a parameter may have; seconds for the time that workers stay.
fn range(field: Field) -> Option<(f64, f64)> {
    Some(match field {
        Field::Size => (1.0, 1e6),
        Field::Workers => (1.0, 4096.0),
        Field::Tasks => (0.0, 1e5),
        Field::ParentMb => (0.0, f64::from(1 << 20)),
        Field::Hold => (0.0, 600.0),
        Field::Task | Field::Python | Field::StartMethod => return None,
    })
}

impl LabView {
    /// The chosen parameter and its value as one would type it; the reason if it is no number.
    pub fn as_typed(&self) -> Result<(Field, String), String> {
        let Some(field) = self.fields().get(self.field).copied() else {
            return Err("this parameter has one value only".to_owned());
        };
        let value = self.value(field);
        match range(field) {
            Some(_) => Ok((field, value.split(' ').next().unwrap_or_default().to_owned())),
            None => Err(format!("use Left and Right for {}: only numbers can be typed", field.label())),
        }
    }

    /// Sets a parameter to what was typed.
    ///
    /// # Errors
    /// What is wrong with it, one sentence.
    pub fn set(&mut self, field: Field, typed: &str) -> Result<(), String> {
        let number = number(field, typed)?;
        // Whole and small: `number` has looked at it.
        self.want(field, if field == Field::Hold { (number * 1e3) as u32 } else { number as u32 });
        Ok(())
    }
}

/// What was typed as a number that the parameter may have.
pub(super) fn number(field: Field, typed: &str) -> Result<f64, String> {
    let Some((least, most)) = range(field) else { return Err(format!("{} cannot be typed", field.label())) };
    let unit = if field == Field::Hold { " seconds" } else { "" };
    let number: f64 = typed.trim().parse().map_err(|_| format!("type a number from {least} to {most}{unit}"))?;
    match () {
        () if !(least..=most).contains(&number) => Err(format!("{typed} is not between {least} and {most}{unit}")),
        () if field != Field::Hold && number.fract() != 0.0 => Err(format!("{typed} is not a whole number")),
        () => Ok(number),
    }
}

impl App {
    pub(super) fn type_parameter(&mut self) {
        match self.lab.as_typed() {
            Ok((field, value)) => self.open_input(InputKind::Parameter(field), value),
            Err(why) => self.tell(Notice::info(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::layer::Layer;
    use crate::app::msg::Msg;
    use crate::app::options::{Options, Screen};
    use crate::lab::catalog::SYSTEMS;

    #[test]
    fn a_parameter_is_typed_and_what_it_cannot_be_is_said() {
        let mut app = App::new(Options::default());
        (app.screen, app.lessons.open) = (Screen::Lab, false);
        app.lab.system = SYSTEMS.iter().position(|s| s.id == "native/fork").unwrap();
        let press = |app: &mut App, code| drop(app.update(Msg::Key(Key::plain(code))));
        let fields = app.lab.fields();
        app.lab.field = fields.iter().position(|f| *f == Field::ParentMb).unwrap();
        for c in "e".chars() {
            press(&mut app, Code::Char(c));
        }
        press(&mut app, Code::Backspace);
        for c in "99999999".chars() {
            press(&mut app, Code::Char(c));
        }
        press(&mut app, Code::Enter);
        let wrong = |app: &App| match &app.layer {
            Some(Layer::Input(input)) => input.error.clone().map(|(_, why)| why),
            other => panic!("no input but {other:?}"),
        };
        assert_eq!(wrong(&app).as_deref(), Some("99999999 is not between 0 and 1048576"));
        for _ in 0..5 {
            press(&mut app, Code::Backspace);
        }
        assert_eq!(wrong(&app), None);
        press(&mut app, Code::Enter);
        assert!(app.layer.is_none());
        assert_eq!(app.lab.spec().parent_mb, 999);
        // A word is chosen, not typed.
        app.lab.field = 0;
        press(&mut app, Code::Char('e'));
        assert!(app.layer.is_none() && app.notice.is_some());
        assert_eq!(number(Field::Hold, "2.5"), Ok(2.5));
        assert!(
            number(Field::Workers, "2.5").is_err() && number(Field::Workers, "NaN").is_err() && number(Field::Tasks, "").is_err()
        );
    }
}
