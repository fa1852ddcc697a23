//! Reads the JSON files of `concmon lab talk` and `concmon lab compare`.
//!
//! A file may be hostile: it must be consistent and no larger than what these commands write, or it is refused with a reason. To add a
//! kind of document: one variant.

use std::io::{self, Read as _};
use std::path::Path;

use serde::Deserialize;

use super::measure::{self, Batch, MEASURES, Measure};
use super::page::{self, Page};
use super::report;
use super::talk::{self, Talk};

/// Largest file that is read, bytes: a hundred thousand runs take less.
const MOST_BYTES: u64 = 256 << 20;

/// A document.
#[derive(Debug, Clone)]
pub enum Kept {
    /// Of `concmon lab talk`.
    Talk(Talk),
    /// Of `concmon lab compare`.
    Comparison {
        /// What was measured.
        batch: Batch,
        /// What its rows were sorted by.
        sort: &'static Measure,
    },
}

/// Why bytes are no document. The words of others in it are not yet made visible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Not JSON, or not of this shape.
    #[error("the file is not JSON: {0}")]
    NoJson(String),
    /// JSON of another program.
    #[error("the file is not a concmon document: it has no \"schema\"; `concmon lab talk --json` writes one of {}", talk::SCHEMA)]
    NoSchema,
    /// A document of another kind.
    #[error("there is no page for schema {0:?}; supported are {talk} and {compare}", talk = talk::SCHEMA, compare = report::SCHEMA)]
    OtherSchema(String),
    /// It says that it is one, and is not.
    #[error("the document does not match its schema {schema}: {why}")]
    Broken {
        /// The schema.
        schema: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// The part of a document that says what it is.
#[derive(Deserialize)]
struct Head {
    schema: Option<String>,
}

/// What a comparison can be made from again.
#[derive(Deserialize)]
struct Comparison {
    sorted_by: Option<String>,
    batch: Batch,
}

impl Kept {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotKept> {
        let head = match serde_json::from_slice::<Head>(bytes) {
            Ok(head) => head.schema.ok_or(NotKept::NoSchema)?,
            // JSON that is no object, or has another kind of "schema", is of another program.
            Err(error) if error.is_data() => return Err(NotKept::NoSchema),
            Err(error) => return Err(NotKept::NoJson(error.to_string())),
        };
        match head.as_str() {
            talk::SCHEMA => {
                let broken = |why| NotKept::Broken { schema: talk::SCHEMA, why };
                let talk: Talk = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
                talk.check().map_err(broken)?;
                Ok(Self::Talk(talk))
            }
            report::SCHEMA => {
                let broken = |why| NotKept::Broken { schema: report::SCHEMA, why };
                let document: Comparison = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
                document.batch.check().map_err(broken)?;
                let sort = document.sorted_by.as_deref().and_then(measure::measure).unwrap_or(&MEASURES[0]);
                Ok(Self::Comparison { batch: document.batch, sort })
            }
            _ => Err(NotKept::OtherSchema(head)),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// In one sentence, why it is no document; it names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let bytes = bytes(path, MOST_BYTES).map_err(|e| named(&e))?;
        Self::parse(&bytes).map_err(|why| named(&why))
    }

    /// The page to send to a colleague.
    #[must_use]
    pub fn page(&self) -> Page {
        match self {
            Self::Talk(talk) => talk::page(talk),
            Self::Comparison { batch, sort } => report::page(batch, &report::compare(batch, sort)),
        }
    }

    /// The document itself.
    ///
    /// # Errors
    /// Of the serialisation; there is none in practice.
    pub fn json(&self) -> io::Result<String> {
        let text = match self {
            Self::Talk(talk) => serde_json::to_string_pretty(talk)?,
            Self::Comparison { batch, sort } => {
                serde_json::to_string_pretty(&report::document(batch, &report::compare(batch, sort)))?
            }
        };
        Ok(text + "\n")
    }

    /// The figures as comma-separated values.
    #[must_use]
    pub fn csv(&self) -> String {
        match self {
            Self::Talk(talk) => talk::csv(talk),
            Self::Comparison { batch, sort } => report::csv(&report::compare(batch, sort)),
        }
    }
}

/// A format in which a result is written.
#[derive(Debug)]
pub struct Format {
    /// What `--format` takes.
    pub id: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
    /// The text.
    pub text: fn(&Kept) -> io::Result<String>,
}

/// All formats of results, beside the text for a terminal.
pub const FORMATS: &[Format] = &[
    Format { id: "json", help: "One JSON object", text: Kept::json },
    Format { id: "csv", help: "Comma-separated values with a header line", text: |kept| Ok(kept.csv()) },
    Format { id: "markdown", help: "Markdown", text: |kept| Ok(page::markdown(&kept.page())) },
    Format { id: "html", help: "One HTML file", text: |kept| Ok(page::html(&kept.page())) },
];

/// The format with this id.
#[must_use]
pub fn format(id: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.id == id)
}

/// What a file holds, as long as that is not more than `most`: a device has no end.
fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("the file is too large: more than {} MB", most >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Kept::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn documents_of_another_kind_are_refused_by_name() {
        assert!(refused("[]").contains("not a concmon document"));
        assert!(refused("3").contains("not a concmon document"));
        assert!(refused(r#"{"schema":3}"#).contains("not a concmon document"));
        assert!(refused(r#"{"schema":"other/1"}"#).contains("other/1"));
        assert!(refused("{").contains("not JSON"));
        assert!(refused("\u{1f}").contains("not JSON"));
    }

    #[test]
    fn what_does_not_hang_together_is_refused_with_the_reason() {
        assert!(refused(r#"{"schema":"concmon.lab.talk/1"}"#).contains("missing field"));
        let twice = r#"{"schema":"concmon.lab.talk/1","concmon":"0","machine":null,"repeat":1,"findings":[
            {"claim":"gil","verdict":"does_not","figures":[],"summary":null,"arms":[]},
            {"claim":"gil","verdict":"does_not","figures":[],"summary":null,"arms":[]}]}"#;
        assert!(refused(twice).contains("\"gil\" occurs twice"), "{}", refused(twice));
        let large = r#"{"schema":"concmon.lab.compare/1","batch":{"schema":"concmon.lab.batch/1","concmon":"0","host":{},
            "plan":{"cells":[],"repetitions":4294967295,"warm_up":1,"seed":1},"points":[]}}"#;
        assert!(refused(large).contains("more than 1000 rounds"), "{}", refused(large));
    }

    #[test]
    fn a_file_without_an_end_is_not_read_to_its_end() {
        let endless = bytes(Path::new("/dev/zero"), 1 << 20).unwrap_err();
        assert_eq!(endless.to_string(), "the file is too large: more than 1 MB");
    }
}
