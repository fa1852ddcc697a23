//! The page with the live profile of a family: hot functions and waits, as `concmon profile` prints them.

use crate::snapshot::ProcKey;

/// Of which family, and under which title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePage {
    /// Its first process.
    pub key: ProcKey,
    /// The title of the text.
    pub title: String,
    /// Whether the terminal shows Unicode.
    pub unicode: bool,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::app::App;
    use crate::app::key::{Code, Key};
    use crate::app::msg::Msg;
    use crate::app::options::Options;
    use crate::derive::{Deriver, test_process, test_snapshot};

    #[test]
    fn the_page_takes_the_newest_lines_and_nothing_is_sampled_once_it_is_closed() {
        let mut app = App::new(Options::default());
        app.update(Msg::Sample(Arc::new(Deriver::new(0).step(test_snapshot(1, vec![test_process(7, 1, 1)])))));
        assert_eq!(app.profiled(), None);
        app.update(Msg::Key(Key::char('f')));
        let page = app.profiled().unwrap().clone();
        assert_eq!(page.key.pid, 7);
        app.update(Msg::Explained { title: page.title, lines: vec!["1 process".into()] });
        app.update(Msg::Explained { title: "Why 7 waits".into(), lines: vec!["another text".into()] });
        let Some(crate::app::layer::Layer::Explain { lines, .. }) = &app.layer else { panic!("the page is closed") };
        assert_eq!(lines, &["1 process"]);
        app.update(Msg::Key(Key::plain(Code::Esc)));
        assert_eq!(app.profiled(), None);
    }
}
