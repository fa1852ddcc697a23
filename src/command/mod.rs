//! What the subcommands do, once their options are parsed.

pub mod lab;
