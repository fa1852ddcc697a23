//! The menus to choose a column to sort by, and a user whose processes are shown.

use crate::columns::{self, Column};
use crate::text::{Charset, sanitize};

use super::App;
use super::layer::{Layer, Menu, MenuKind};

impl App {
    pub(super) fn sort_menu(&self) -> Layer {
        let shown = &self.options.columns;
        let rest = columns::COLUMNS.iter().filter(|c| !shown.iter().any(|s| s.id == c.id));
        let all: Vec<&Column> = shown.iter().copied().chain(rest).collect();
        let cursor = all.iter().position(|c| c.id == self.options.sort.id).unwrap_or(0);
        let entries = all.iter().map(|c| (c.id.to_owned(), format!("{:9} {}", c.title, c.description))).collect();
        Layer::Menu(Menu { kind: MenuKind::Sort, entries, cursor })
    }

    pub(super) fn user_menu(&self) -> Layer {
        let mut users: Vec<String> = self
            .model
            .iter()
            .flat_map(|m| &m.now.processes)
            .filter_map(|p| p.identity.user.as_deref().map(str::to_owned))
            .collect();
        users.sort_unstable();
        users.dedup();
        let cursor = self.options.user.as_ref().and_then(|u| users.iter().position(|x| x == u)).map_or(0, |i| i + 1);
        let label = |u: &String| sanitize(u.as_bytes(), Charset::from_unicode(self.options.unicode)).into_owned();
        let mut entries = vec![(String::new(), "all users".to_owned())];
        entries.extend(users.iter().map(|u| (u.clone(), label(u))));
        Layer::Menu(Menu { kind: MenuKind::User, entries, cursor })
    }
}
