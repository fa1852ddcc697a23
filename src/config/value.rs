//! Values of the config file, and what is wrong with them.

use toml::de::DeValue;

/// A value of the file with what the setters need of it.
pub type FileValue<'a> = DeValue<'a>;

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// One sentence without place or key.
    pub why: String,
    /// Where in the file, bytes from its start; `None`: where the value begins.
    pub at: Option<usize>,
}

impl Fault {
    /// A fault in a part of the value.
    pub(super) fn at(place: std::ops::Range<usize>, why: String) -> Self {
        Self { why, at: Some(place.start) }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self { why, at: None }
    }
}

pub(super) fn wrong(value: &FileValue<'_>, wanted: &str) -> String {
    let article = if value.type_str().starts_with(['a', 'i']) { "an" } else { "a" };
    format!("this must be {wanted}, not {article} {}", value.type_str())
}

pub(super) fn text<'a>(value: &'a FileValue<'_>) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| wrong(value, "a word in quotes"))
}

pub(super) fn integer(value: &FileValue<'_>) -> Option<i128> {
    let int = value.as_integer()?;
    i128::from_str_radix(int.as_str(), int.radix()).ok()
}

pub(super) fn whole(value: &FileValue<'_>, min: u32, max: u32) -> Result<u32, String> {
    let n = integer(value).ok_or_else(|| wrong(value, "a whole number"))?;
    u32::try_from(n).ok().filter(|n| (min..=max).contains(n)).ok_or_else(|| format!("{n} is not between {min} and {max}"))
}
