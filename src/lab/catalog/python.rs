//! The Python systems: one entry each. Programs for them are in `assets/python/`.

use super::System;

/// Systems that a CPython interpreter of the machine runs.
pub const SYSTEMS: &[System] = &[];
