//! The grammar: text to [`Expr`] and back. Knows no columns; printing an expression and parsing it again gives the same one.
//!
//! ```text
//! any      = all { "or" all }
//! all      = not { ["and"] not }
//! not      = "not" not | primary
//! primary  = "(" any ")" | "under" "(" value ")" | "thread" | "kernel" | "ghost" | "@" name | name op value | value
//! op       = "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
//! value    = word | "'" text "'" | '"' text '"'          (the quote itself is written twice inside)
//! ```

use std::fmt;

use super::error::FilterError;

/// Deeper nesting than any person writes; bounds every recursion over an expression.
pub const MAX_DEPTH: usize = 64;

/// A place in the text, in characters from 0. Says nothing of the meaning: all places are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct At(pub usize);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All of two or more.
    All(Vec<Expr>),
    /// Any of two or more.
    Any(Vec<Expr>),
    /// Not that.
    Not(Box<Expr>),
    /// A column's value against another.
    Compare {
        /// Column as written.
        field: String,
        /// Where it stands.
        field_at: At,
        /// How.
        op: Op,
        /// Against what.
        value: String,
        /// Where that stands.
        value_at: At,
    },
    /// A word to look for.
    Text(String, At),
    /// A process of that name or pid, and all below it.
    Under(String),
    /// A filter saved under that name.
    Saved(String, At),
    /// Threads' rows.
    Thread,
    /// Kernel threads.
    Kernel,
    /// The recently ended.
    Ghost,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `~`: a regular expression is found in it.
    Matches,
    /// `!~`: it is not.
    MatchesNot,
}

impl Op {
    /// Every operator.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::Matches,
        Self::MatchesNot,
    ];

    /// As written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Matches => "~",
            Self::MatchesNot => "!~",
        }
    }

    /// Whether its value is a regular expression.
    #[must_use]
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesNot)
    }
}

/// Words with a meaning of their own; in quotes they have none.
pub const KEYWORDS: [&str; 7] = ["and", "or", "not", "under", "thread", "kernel", "ghost"];

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => joined(f, parts, " and ", |e| matches!(e, Self::All(_) | Self::Any(_))),
            Self::Any(parts) => joined(f, parts, " or ", |e| matches!(e, Self::Any(_))),
            Self::Not(inner) => {
                f.write_str("not ")?;
                bracketed(f, inner, matches!(**inner, Self::All(_) | Self::Any(_)))
            }
            Self::Compare { field, op, value, .. } => write!(f, "{field}{}{}", op.symbol(), Quoted(value)),
            Self::Text(text, _) => write!(f, "{}", Quoted(text)),
            Self::Under(name) => write!(f, "under({})", Quoted(name)),
            Self::Saved(name, _) => write!(f, "@{name}"),
            Self::Thread => f.write_str("thread"),
            Self::Kernel => f.write_str("kernel"),
            Self::Ghost => f.write_str("ghost"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], between: &str, brackets: fn(&Expr) -> bool) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        bracketed(f, part, brackets(part))?;
    }
    Ok(())
}

fn bracketed(f: &mut fmt::Formatter<'_>, expr: &Expr, brackets: bool) -> fmt::Result {
    if brackets { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

/// A value as the grammar reads it back.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = KEYWORDS.iter().any(|k| self.0.eq_ignore_ascii_case(k));
        if self.0.is_empty() || keyword || self.0.starts_with('@') || self.0.chars().any(|c| !is_word(c)) {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(self.0)
        }
    }
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !"()=<>~!\"'".contains(c)
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// First character, from 0.
    pub(super) column: usize,
    /// Without quotes.
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Quoted,
    Operator,
    Open,
    Close,
}

pub(super) fn lex(text: &str) -> Result<Vec<Token>, FilterError> {
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
                        Some((_, q)) if q == c && chars.next_if(|(_, n)| *n == c).is_none() => break,
                        Some((_, other)) => word.push(other),
                        None => return Err(FilterError { column, message: format!("the quote {c} is not closed") }),
                    }
                }
                token(word, Kind::Quoted);
            }
            _ => {
                let mut word = c.to_string();
                while let Some((_, n)) = chars.next_if(|(_, n)| is_word(*n)) {
                    word.push(n);
                }
                token(word, Kind::Word);
            }
        }
    }
    Ok(tokens)
}

/// Parses a text; names of columns are not checked.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse(text: &str) -> Result<Expr, FilterError> {
    parse_with(text, |_, _| Ok(()))
}

/// Parses a text; `field` may refuse a column's name as soon as it is met, before what follows it is looked at: while a filter is
/// typed, a wrong name must not wait for its value.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_with(text: &str, field: fn(&str, At) -> Result<(), FilterError>) -> Result<Expr, FilterError> {
    let tokens = lex(text)?;
    let mut parser = Parser { tokens, at: 0, end: text.chars().count(), depth: 0, field };
    let root = parser.any()?;
    match parser.peek() {
        None => Ok(root),
        Some(t) if t.text == "!" => Err(FilterError { column: t.column, message: "for the opposite, write not".into() }),
        Some(t) => Err(FilterError { column: t.column, message: format!("unexpected {:?}", t.text) }),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    depth: usize,
    field: fn(&str, At) -> Result<(), FilterError>,
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

    fn any(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::Any(parts) })
    }

    fn all(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.not()?];
        // Two conditions side by side mean both, so that plain words narrow as in a search box.
        while self.keyword("and")
            || self.peek().is_some_and(|t| {
                matches!(t.kind, Kind::Open | Kind::Quoted) || (t.kind == Kind::Word && !t.text.eq_ignore_ascii_case("or"))
            })
        {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::All(parts) })
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let column = self.peek().map_or(self.end, |t| t.column);
            return Err(FilterError { column, message: format!("nested deeper than {MAX_DEPTH}") });
        }
        let node = if self.keyword("not") { Expr::Not(Box::new(self.not()?)) } else { self.primary()? };
        self.depth -= 1;
        Ok(node)
    }

    fn primary(&mut self) -> Result<Expr, FilterError> {
        let Some(token) = self.next() else { return self.missing("a condition") };
        match token.kind {
            Kind::Open => {
                let node = self.any()?;
                self.close()?;
                Ok(node)
            }
            Kind::Quoted => text(&token),
            Kind::Word if self.peek().is_some_and(|t| t.kind == Kind::Operator) => self.comparison(token),
            Kind::Word => self.word(&token),
            Kind::Operator if token.text == "!" => {
                Err(FilterError { column: token.column, message: "for the opposite, write not".into() })
            }
            Kind::Operator | Kind::Close => {
                Err(FilterError { column: token.column, message: format!("a condition is missing before {:?}", token.text) })
            }
        }
    }

    fn close(&mut self) -> Result<(), FilterError> {
        if self.peek().is_some_and(|t| t.kind == Kind::Close) {
            self.at += 1;
            return Ok(());
        }
        self.missing("a closing )")
    }

    fn value(&mut self, what: &str) -> Result<Token, FilterError> {
        match self.peek() {
            Some(t) if matches!(t.kind, Kind::Word | Kind::Quoted) => {
                let token = t.clone();
                self.at += 1;
                Ok(token)
            }
            Some(t) if t.kind == Kind::Open => Err(FilterError {
                column: t.column,
                message: format!("{what} is missing here; quote a value with brackets or spaces"),
            }),
            _ => self.missing(what),
        }
    }

    fn word(&mut self, token: &Token) -> Result<Expr, FilterError> {
        match token.text.to_ascii_lowercase().as_str() {
            "thread" => Ok(Expr::Thread),
            "kernel" => Ok(Expr::Kernel),
            "ghost" => Ok(Expr::Ghost),
            // Reached only where a condition must begin.
            "and" | "or" => {
                Err(FilterError { column: token.column, message: format!("a condition is missing before {:?}", token.text) })
            }
            "under" if self.peek().is_some_and(|t| t.kind == Kind::Open) => {
                self.at += 1;
                let name = self.value("a process name or pid")?;
                self.close()?;
                Ok(Expr::Under(name.text))
            }
            _ => match token.text.strip_prefix('@') {
                Some("") => {
                    Err(FilterError { column: token.column, message: "the name of a saved filter is missing after @".into() })
                }
                Some(name) => Ok(Expr::Saved(name.to_owned(), At(token.column))),
                None => text(token),
            },
        }
    }

    fn comparison(&mut self, field: Token) -> Result<Expr, FilterError> {
        (self.field)(&field.text, At(field.column))?;
        let Some(operator) = self.next() else { return self.missing("an operator") };
        let symbol = if operator.text == "==" { "=" } else { operator.text.as_str() };
        let Some(op) = Op::ALL.into_iter().find(|op| op.symbol() == symbol) else {
            return Err(FilterError {
                column: operator.column,
                message: format!("{symbol:?} is not an operator; use = != < <= > >= ~ !~"),
            });
        };
        let value = self.value("a value")?;
        Ok(Expr::Compare { field: field.text, field_at: At(field.column), op, value: value.text, value_at: At(value.column) })
    }
}

fn text(token: &Token) -> Result<Expr, FilterError> {
    if token.text.is_empty() {
        return Err(FilterError { column: token.column, message: "the text to look for is empty".into() });
    }
    Ok(Expr::Text(token.text.clone(), At(token.column)))
}
