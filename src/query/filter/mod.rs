//! The filter language: `cpu>5 and user=www`, `not`, parentheses, units (`rss>200M`), regex `~`, lineage `under(NAME|PID)`,
//! `thread`, `kernel`, `ghost`, `@saved`; any other word is searched for in command, name and user. Every column's id is a field.
//!
//! An unknown value passes neither a comparison nor its opposite (`not rss>1G` omits rows without a readable rss). A value that a row
//! cannot have (memory of a thread) is known to be absent: it passes no comparison, and `not` of one is true of it.
//!
//! The grammar is in [`syntax`].

mod complete;
mod error;
mod operand;
mod saved;
pub mod syntax;

use crate::columns::{self, Column, Row, Unknown, Value};
use crate::derive::{Model, Tree};
use crate::snapshot::pid_on_host;

use super::TextMatch;
use operand::Operand;
use syntax::{At, Expr, MAX_DEPTH, Op};

pub use complete::{Completion, complete};
pub use error::FilterError;
pub use saved::SavedFilters;

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    root: Node,
    /// Arguments of every `under(..)`, by the index the nodes use.
    ancestors: Vec<String>,
}

#[derive(Debug, Clone)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Compare { column: &'static Column, op: Op, operand: Operand },
    Text(TextMatch),
    Under(usize),
    Thread,
    Kernel,
    Ghost,
}

impl Node {
    /// Whether this or a node below is as asked.
    fn contains(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        let below = match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(|n| n.contains(is)),
            Self::Not(node) => node.contains(is),
            _ => false,
        };
        below || is(self)
    }
}

/// Which processes descend from what a filter's `under(..)` names; made once per model.
#[derive(Debug, Clone, Default)]
pub struct Lineage(Vec<Vec<bool>>);

impl Lineage {
    /// Walks the tree once per `under(..)`; nothing if there is none.
    #[must_use]
    pub fn new(filter: &Filter, model: &Model) -> Self {
        if filter.ancestors.is_empty() {
            return Self::default();
        }
        let tree = Tree::build(&model.now.processes);
        Self(filter.ancestors.iter().map(|name| descendants(name, model, &tree)).collect())
    }
}

/// Marks every process named `name` (its comm, or the file name of its program) or with that pid, and all below it.
fn descendants(name: &str, model: &Model, tree: &Tree) -> Vec<bool> {
    let pid: Option<i32> = name.parse().ok();
    let mut marked = vec![false; model.now.processes.len()];
    for (i, p) in (0u32..).zip(&model.now.processes) {
        let program = p.identity.cmdline.as_deref().and_then(|c| c.split(|b| *b == 0).next()).unwrap_or_default();
        let file = program.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let is = pid == Some(pid_on_host(p.key.pid)) || p.leader.comm.as_bytes() == name.as_bytes() || file == name.as_bytes();
        if is && !marked[i as usize] {
            for d in tree.subtree(i) {
                marked[d as usize] = true;
            }
        }
    }
    marked
}

impl Filter {
    /// Parses the language; an empty text is an error (no filter is `None` elsewhere).
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_with(text, &SavedFilters::default())
    }

    /// The same where `@name` stands for a saved filter.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse_with(text: &str, saved: &SavedFilters) -> Result<Self, FilterError> {
        let expr = syntax::parse_with(text, |field, at| field_column(field, at).map(|_| ()))?;
        let mut compiler = Compiler { saved, open: Vec::new(), ancestors: Vec::new(), nodes: 0 };
        let root = compiler.node(&expr)?;
        Ok(Self { text: text.to_owned(), root, ancestors: compiler.ancestors })
    }

    /// As typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a thread's row can match at all: the filter speaks of threads, so threads are needed.
    #[must_use]
    pub fn wants_threads(&self) -> bool {
        self.root.contains(&|n| matches!(n, Node::Thread))
    }

    /// Whether the filter speaks of kernel threads, so that leaving them out beforehand would answer another question.
    #[must_use]
    pub fn wants_kernel_threads(&self) -> bool {
        self.root.contains(&|n| matches!(n, Node::Kernel))
    }

    /// Columns the filter reads: their needs must be sampled for every process.
    #[must_use]
    pub fn columns(&self) -> Vec<&'static Column> {
        fn walk(n: &Node, out: &mut Vec<&'static Column>) {
            match n {
                Node::All(c) | Node::Any(c) => c.iter().for_each(|n| walk(n, out)),
                Node::Not(c) => walk(c, out),
                Node::Compare { column, .. } => out.push(column),
                // A word, and the name of an ancestor, are looked for in command lines too.
                Node::Text(_) | Node::Under(_) => out.extend(columns::find("command")),
                Node::Thread | Node::Kernel | Node::Ghost => {}
            }
        }
        let mut out = Vec::new();
        walk(&self.root, &mut out);
        out
    }

    /// The one process that can match, where the filter names it: `pid=N`, alone or with further conditions.
    #[must_use]
    pub fn only_pid(&self) -> Option<i32> {
        fn of(n: &Node) -> Option<i32> {
            match n {
                Node::All(parts) => parts.iter().find_map(of),
                Node::Compare { column, op: Op::Equal, operand } if column.id == "pid" => operand.text.parse().ok(),
                _ => None,
            }
        }
        of(&self.root)
    }

    /// Whether the row passes: what the filter says of it is known and true.
    #[must_use]
    pub fn matches(&self, row: &Row<'_>, lineage: &Lineage) -> bool {
        eval(&self.root, row, lineage) == Some(true)
    }
}

/// The most conditions a filter may come to with the saved ones it names: those could name others twice, and so on.
const MAX_NODES: usize = 4096;

/// Turns what was written into what is asked of rows.
struct Compiler<'a> {
    saved: &'a SavedFilters,
    /// Names of the saved filters being expanded.
    open: Vec<&'a str>,
    ancestors: Vec<String>,
    nodes: usize,
}

impl Compiler<'_> {
    fn node(&mut self, expr: &Expr) -> Result<Node, FilterError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(FilterError { column: 0, message: format!("more than {MAX_NODES} conditions") });
        }
        Ok(match expr {
            Expr::All(parts) => Node::All(parts.iter().map(|e| self.node(e)).collect::<Result<_, _>>()?),
            Expr::Any(parts) => Node::Any(parts.iter().map(|e| self.node(e)).collect::<Result<_, _>>()?),
            Expr::Not(inner) => Node::Not(Box::new(self.node(inner)?)),
            Expr::Compare { field, field_at, op, value, value_at } => {
                let column = field_column(field, *field_at)?;
                let operand = Operand::new(column, *op, value).map_err(|message| FilterError { column: value_at.0, message })?;
                Node::Compare { column, op: *op, operand }
            }
            Expr::Text(text, at) => Node::Text(
                TextMatch::new(text)
                    .ok_or_else(|| FilterError { column: at.0, message: "the text to look for is empty".into() })?,
            ),
            Expr::Under(name) => {
                self.ancestors.push(name.clone());
                Node::Under(self.ancestors.len() - 1)
            }
            Expr::Saved(name, at) => self.saved(name, *at)?,
            Expr::Thread => Node::Thread,
            Expr::Kernel => Node::Kernel,
            Expr::Ghost => Node::Ghost,
        })
    }

    fn saved(&mut self, name: &str, at: At) -> Result<Node, FilterError> {
        let here = |message: String| FilterError { column: at.0, message };
        let Some((known, text)) = self.saved.iter().find(|(n, _)| *n == name) else {
            let names: Vec<String> = self.saved.names().map(|n| format!("@{n}")).collect();
            let mend = if names.is_empty() {
                "define filters under [filters] in the config file".into()
            } else {
                format!("the saved filters are {}", names.join(", "))
            };
            return Err(here(format!("no filter is saved as @{name}; {mend}")));
        };
        if self.open.contains(&known) {
            return Err(here(format!("@{name} refers to itself")));
        }
        if self.open.len() >= MAX_DEPTH / 8 {
            return Err(here(format!("saved filters are nested deeper than {}", MAX_DEPTH / 8)));
        }
        self.open.push(known);
        let node = syntax::parse(text).and_then(|e| self.node(&e)).map_err(|e| here(format!("@{name}: {}", e.message)));
        self.open.pop();
        node
    }
}

fn field_column(field: &str, at: At) -> Result<&'static Column, FilterError> {
    let id = field.to_ascii_lowercase();
    columns::find(alias(&id)).ok_or_else(|| {
        let hint = columns::nearest(&id).map_or(String::new(), |n| format!("; did you mean {n}?"));
        FilterError { column: at.0, message: format!("there is no column {field:?}{hint}") }
    })
}

/// What is known of a condition: true, false, or nothing.
fn eval(node: &Node, row: &Row<'_>, lineage: &Lineage) -> Option<bool> {
    match node {
        // One that is false decides, even if others are unknown.
        Node::All(nodes) => fold(nodes.iter().map(|n| eval(n, row, lineage)), false),
        Node::Any(nodes) => fold(nodes.iter().map(|n| eval(n, row, lineage)), true),
        Node::Not(n) => eval(n, row, lineage).map(|known| !known),
        // A thread stands below the process that is looked for.
        Node::Text(t) => Some(t.matches(row) || (row.is_task() && t.matches(&row.of_process()))),
        Node::Thread => Some(row.is_task()),
        Node::Kernel => Some(row.process.kernel_thread),
        Node::Ghost => Some(row.ghost.is_some()),
        Node::Under(i) => {
            Some(row.model.index_of(row.process.key.pid).is_some_and(|p| lineage.0.get(*i).is_some_and(|marks| marks[p])))
        }
        Node::Compare { column, op, operand } => compare(&(column.get)(row), *op, operand),
    }
}

/// `decides` if one of them is that, unknown if one of them is, else the other.
fn fold(parts: impl Iterator<Item = Option<bool>>, decides: bool) -> Option<bool> {
    let mut all = Some(!decides);
    for part in parts {
        match part {
            Some(known) if known == decides => return Some(decides),
            Some(_) => {}
            None => all = None,
        }
    }
    all
}

fn compare(value: &Value<'_>, op: Op, operand: &Operand) -> Option<bool> {
    let bytes: Option<std::borrow::Cow<'_, [u8]>> = match value {
        Value::Unknown(Unknown::NotApplicable) => return Some(false),
        Value::Unknown(_) => return None,
        Value::Text(t) => Some(t.clone()),
        Value::Word(w) => Some(w.as_bytes().into()),
        Value::State(s) => Some(s.letter().to_string().into_bytes().into()),
        // A regular expression is compared with the digits, as they would be written out.
        other if op.is_regex() => Some(other.number()?.to_string().into_bytes().into()),
        _ => None,
    };
    if let Some(bytes) = bytes {
        return Some(compare_bytes(&bytes, matches!(value, Value::State(_)), op, operand));
    }
    let (v, n) = (value.number()?, operand.number?);
    Some(match op {
        Op::Equal => v == n,
        Op::NotEqual => v != n,
        Op::Less => v < n,
        Op::LessEqual => v <= n,
        Op::Greater => v > n,
        Op::GreaterEqual => v >= n,
        Op::Matches | Op::MatchesNot => false,
    })
}

/// State letters differ by case (T stopped, t traced); names are compared as people mean them.
fn compare_bytes(bytes: &[u8], exact_case: bool, op: Op, operand: &Operand) -> bool {
    let text = operand.text.as_bytes();
    let word = |b: &u8| !b.is_ascii_alphanumeric();
    let any_word = operand.any_word && bytes.split(word).any(|w| w.eq_ignore_ascii_case(text));
    let same = any_word || if exact_case { bytes == text } else { bytes.eq_ignore_ascii_case(text) };
    match op {
        Op::Equal => same,
        Op::NotEqual => !same,
        Op::Matches => operand.regex.as_ref().is_some_and(|r| r.is_match(bytes)),
        Op::MatchesNot => operand.regex.as_ref().is_some_and(|r| !r.is_match(bytes)),
        Op::Less => bytes < text,
        Op::LessEqual => bytes <= text,
        Op::Greater => bytes > text,
        Op::GreaterEqual => bytes >= text,
    }
}

/// Names people bring along from other tools and from the table's heads.
fn alias(id: &str) -> &str {
    match id {
        "res" => "rss",
        "thr" | "threads" => "nlwp",
        "s" => "state",
        "ni" => "nice",
        "pri" => "priority",
        "shr" => "shared",
        "cmd" | "cmdline" => "command",
        "name" => "comm",
        "cpu%" => "cpu",
        "mem%" => "mem",
        "wait%" => "wait_cpu",
        "sleep%" => "sleep",
        "pgid" => "pgrp",
        "sid" => "session",
        other => other,
    }
}

#[cfg(test)]
mod tests;
