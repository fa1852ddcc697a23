//! The filter language: `cpu>5 and user=www`, `not`, parentheses, units (`rss>200M`), regex `~`, lineage `under(NAME|PID)`,
//! `thread`, `kernel`, `ghost`; any other word is searched for in command, name and user. Every column's id is a field.

use regex::bytes::{Regex, RegexBuilder};

use crate::columns::{self, Column, Row, Value};
use crate::derive::{Model, Tree};

use super::TextMatch;

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Filter {
    text: String,
    root: Node,
    /// Arguments of every `under(..)`, by the index the nodes use.
    ancestors: Vec<String>,
}

/// Why a filter does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (column {})", column + 1)]
pub struct FilterError {
    /// Where, in characters from 0.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Matches,
    MatchesNot,
}

#[derive(Debug, Clone)]
struct Operand {
    text: String,
    number: Option<f64>,
    regex: Option<Regex>,
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
        let is = pid == Some(p.key.pid) || p.leader.comm.as_bytes() == name.as_bytes() || file == name.as_bytes();
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
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let tokens = lex(text)?;
        let mut parser = Parser { tokens, at: 0, end: text.chars().count(), depth: 0, ancestors: Vec::new() };
        let root = parser.any()?;
        match parser.peek() {
            None => Ok(Self { text: text.to_owned(), root, ancestors: parser.ancestors }),
            Some(t) => Err(FilterError { column: t.column, message: format!("{:?} is one too many here", t.text) }),
        }
    }

    /// As typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a thread's row can match at all: the filter speaks of threads, so threads are needed.
    #[must_use]
    pub fn wants_threads(&self) -> bool {
        fn walk(n: &Node) -> bool {
            match n {
                Node::All(c) | Node::Any(c) => c.iter().any(walk),
                Node::Not(c) => walk(c),
                Node::Thread => true,
                _ => false,
            }
        }
        walk(&self.root)
    }

    /// Columns the filter reads: their needs must be sampled for every process.
    #[must_use]
    pub fn columns(&self) -> Vec<&'static Column> {
        fn walk(n: &Node, out: &mut Vec<&'static Column>) {
            match n {
                Node::All(c) | Node::Any(c) => c.iter().for_each(|n| walk(n, out)),
                Node::Not(c) => walk(c, out),
                Node::Compare { column, .. } => out.push(column),
                _ => {}
            }
        }
        let mut out = Vec::new();
        walk(&self.root, &mut out);
        out
    }

    /// Whether the row passes. A value that is unknown passes no comparison.
    #[must_use]
    pub fn matches(&self, row: &Row<'_>, lineage: &Lineage) -> bool {
        eval(&self.root, row, lineage)
    }
}

fn eval(node: &Node, row: &Row<'_>, lineage: &Lineage) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|n| eval(n, row, lineage)),
        Node::Any(nodes) => nodes.iter().any(|n| eval(n, row, lineage)),
        Node::Not(n) => !eval(n, row, lineage),
        Node::Text(t) => t.matches(row),
        Node::Thread => row.is_task(),
        Node::Kernel => row.process.kernel_thread,
        Node::Ghost => row.ghost.is_some(),
        Node::Under(i) => {
            row.model.index_of(row.process.key.pid).is_some_and(|p| lineage.0.get(*i).is_some_and(|marks| marks[p]))
        }
        Node::Compare { column, op, operand } => compare(&(column.get)(row), *op, operand),
    }
}

fn compare(value: &Value<'_>, op: Op, operand: &Operand) -> bool {
    let bytes: Option<std::borrow::Cow<'_, [u8]>> = match value {
        Value::Unknown(_) => return false,
        Value::Text(t) => Some(t.clone()),
        Value::Word(w) => Some(w.as_bytes().into()),
        Value::State(s) => Some(s.letter().to_string().into_bytes().into()),
        _ => None,
    };
    if let Some(bytes) = bytes {
        // State letters differ by case (T stopped, t traced); names are compared as people mean them.
        let same = if matches!(value, Value::State(_)) {
            bytes.as_ref() == operand.text.as_bytes()
        } else {
            bytes.eq_ignore_ascii_case(operand.text.as_bytes())
        };
        return match op {
            Op::Equal => same,
            Op::NotEqual => !same,
            Op::Matches => operand.regex.as_ref().is_some_and(|r| r.is_match(&bytes)),
            Op::MatchesNot => operand.regex.as_ref().is_some_and(|r| !r.is_match(&bytes)),
            Op::Less => bytes.as_ref() < operand.text.as_bytes(),
            Op::LessEqual => bytes.as_ref() <= operand.text.as_bytes(),
            Op::Greater => bytes.as_ref() > operand.text.as_bytes(),
            Op::GreaterEqual => bytes.as_ref() >= operand.text.as_bytes(),
        };
    }
    let (Some(v), Some(n)) = (value.number(), operand.number) else { return false };
    match op {
        Op::Equal => v == n,
        Op::NotEqual => v != n,
        Op::Less => v < n,
        Op::LessEqual => v <= n,
        Op::Greater => v > n,
        Op::GreaterEqual => v >= n,
        Op::Matches | Op::MatchesNot => false,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    column: usize,
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Operator,
    Open,
    Close,
}

fn lex(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((column, c)) = chars.next() {
        let mut token = |text: String, kind| tokens.push(Token { column, text, kind });
        match c {
            _ if c.is_whitespace() => {}
            '(' => token("(".into(), Kind::Open),
            ')' => token(")".into(), Kind::Close),
            '=' | '<' | '>' | '~' | '!' => {
                let mut op = c.to_string();
                if let Some((_, next)) = chars.next_if(|(_, n)| matches!((c, n), ('<' | '>' | '!' | '=', '=') | ('!', '~'))) {
                    op.push(next);
                }
                token(op, Kind::Operator);
            }
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next() {
                        Some((_, q)) if q == c => break,
                        Some((_, other)) => word.push(other),
                        None => return Err(FilterError { column, message: format!("the quote {c} is not closed") }),
                    }
                }
                token(word, Kind::Quoted);
            }
            _ => {
                let mut word = c.to_string();
                while let Some((_, n)) = chars.next_if(|(_, n)| !n.is_whitespace() && !"()=<>~!\"'".contains(*n)) {
                    word.push(n);
                }
                token(word, Kind::Word);
            }
        }
    }
    Ok(tokens)
}

/// Deeper nesting than any person writes; bounds the recursion.
const MAX_DEPTH: usize = 64;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    depth: usize,
    ancestors: Vec<String>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn keyword(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|t| t.kind == Kind::Word && t.text.eq_ignore_ascii_case(word));
        if is {
            self.at += 1;
        }
        is
    }

    fn missing<T>(&self, what: &str) -> Result<T, FilterError> {
        Err(FilterError { column: self.peek().map_or(self.end, |t| t.column), message: format!("{what} is missing here") })
    }

    fn any(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.keyword("or") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::Any(nodes) })
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.not()?];
        // Two conditions side by side mean both, so that plain words narrow as in a search box.
        while self.keyword("and")
            || self.peek().is_some_and(|t| {
                matches!(t.kind, Kind::Open | Kind::Quoted) || (t.kind == Kind::Word && !t.text.eq_ignore_ascii_case("or"))
            })
        {
            nodes.push(self.not()?);
        }
        Ok(if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::All(nodes) })
    }

    fn not(&mut self) -> Result<Node, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError { column: self.end, message: format!("nested deeper than {MAX_DEPTH}") });
        }
        let node = if self.keyword("not") { Node::Not(Box::new(self.not()?)) } else { self.primary()? };
        self.depth -= 1;
        Ok(node)
    }

    fn primary(&mut self) -> Result<Node, FilterError> {
        let Some(token) = self.next() else { return self.missing("a condition") };
        match token.kind {
            Kind::Open => {
                let node = self.any()?;
                if self.next().is_none_or(|t| t.kind != Kind::Close) {
                    self.at -= 1;
                    return self.missing("a closing )");
                }
                Ok(node)
            }
            Kind::Quoted => text_node(&token),
            Kind::Word if self.peek().is_some_and(|t| t.kind == Kind::Operator) => self.comparison(&token),
            Kind::Word => self.word(&token),
            Kind::Operator | Kind::Close => {
                Err(FilterError { column: token.column, message: format!("a condition is missing before {:?}", token.text) })
            }
        }
    }

    fn word(&mut self, token: &Token) -> Result<Node, FilterError> {
        match token.text.to_ascii_lowercase().as_str() {
            "thread" => Ok(Node::Thread),
            "kernel" => Ok(Node::Kernel),
            "ghost" => Ok(Node::Ghost),
            "under" if self.peek().is_some_and(|t| t.kind == Kind::Open) => {
                self.at += 1;
                let Some(name) = self.next().filter(|t| matches!(t.kind, Kind::Word | Kind::Quoted)) else {
                    self.at -= 1;
                    return self.missing("a process name or pid");
                };
                if self.next().is_none_or(|t| t.kind != Kind::Close) {
                    self.at -= 1;
                    return self.missing("a closing )");
                }
                self.ancestors.push(name.text);
                Ok(Node::Under(self.ancestors.len() - 1))
            }
            _ => text_node(token),
        }
    }

    fn comparison(&mut self, field: &Token) -> Result<Node, FilterError> {
        let id = field.text.to_ascii_lowercase();
        let Some(column) = columns::find(alias(&id)) else {
            let hint = columns::nearest(&id).map_or(String::new(), |n| format!("; did you mean {n}?"));
            return Err(FilterError { column: field.column, message: format!("no column is called {:?}{hint}", field.text) });
        };
        let Some(operator) = self.next() else { return self.missing("an operator") };
        let op = match operator.text.as_str() {
            "=" | "==" => Op::Equal,
            "!=" => Op::NotEqual,
            "<" => Op::Less,
            "<=" => Op::LessEqual,
            ">" => Op::Greater,
            ">=" => Op::GreaterEqual,
            "~" => Op::Matches,
            "!~" => Op::MatchesNot,
            other => {
                return Err(FilterError {
                    column: operator.column,
                    message: format!("{other:?} is no operator; use = != < <= > >= ~ !~"),
                });
            }
        };
        let Some(value) = self.next().filter(|t| matches!(t.kind, Kind::Word | Kind::Quoted)) else {
            self.at -= 1;
            return self.missing("a value");
        };
        let regex = if matches!(op, Op::Matches | Op::MatchesNot) {
            let built = RegexBuilder::new(&value.text)
                .case_insensitive(!value.text.chars().any(char::is_uppercase))
                .size_limit(1 << 20)
                .build();
            Some(built.map_err(|_| FilterError {
                column: value.column,
                message: format!("{:?} is not a regular expression", value.text),
            })?)
        } else {
            None
        };
        let operand = Operand { number: number(&value.text, column.unit), text: value.text, regex };
        if operand.number.is_none() && column.align == columns::Align::Right && regex_free(op) {
            return Err(FilterError {
                column: value.column,
                message: format!("{} wants a number, e.g. {}>{}", column.id, column.id, example(column)),
            });
        }
        Ok(Node::Compare { column, op, operand })
    }
}

fn regex_free(op: Op) -> bool {
    !matches!(op, Op::Matches | Op::MatchesNot)
}

fn example(column: &Column) -> &'static str {
    match column.unit {
        "bytes" | "bytes_per_s" => "200M",
        "ns" => "10s",
        _ => "5",
    }
}

fn text_node(token: &Token) -> Result<Node, FilterError> {
    TextMatch::new(&token.text)
        .map(Node::Text)
        .ok_or_else(|| FilterError { column: token.column, message: "the text to look for is empty".into() })
}

/// Names people bring along from other tools.
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
        other => other,
    }
}

/// A number with an optional unit fitting the column's: K M G T for bytes (powers of 1024), ms s m h d for times, % for percent.
fn number(text: &str, unit: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let value: f64 = digits.parse().ok()?;
    let factor = match (unit, suffix.to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b')) {
        ("ns", "ns") => 1.0,
        ("ns", "us") => 1e3,
        ("ns", "ms") => 1e6,
        ("ns", "" | "s") => 1e9,
        ("ns", "m" | "min") => 60e9,
        ("ns", "h") => 3_600e9,
        ("ns", "d") => 86_400e9,
        ("percent", "%") | (_, "") => 1.0,
        ("ns" | "percent", _) => return None,
        (_, "k") => 1024.0,
        (_, "m") => 1024.0 * 1024.0,
        (_, "g") => 1024.0 * 1024.0 * 1024.0,
        (_, "t") => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some(value * factor)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
