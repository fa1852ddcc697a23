//! Records when this image ran its first own instruction: in a constructor, because Rust's start-up before `main` reads
//! `/proc/self/maps` and more, which is not part of the kernel's cost of a new program.
#![expect(unsafe_code, reason = "a constructor needs a link section")]

use std::sync::atomic::{AtomicU64, Ordering};

static BORN_NS: AtomicU64 = AtomicU64::new(0);

/// `CLOCK_MONOTONIC` nanoseconds of the first own instruction of this image.
pub fn born_ns() -> u64 {
    BORN_NS.load(Ordering::Relaxed)
}

extern "C" fn note() {
    BORN_NS.store(crate::clock::monotonic_ns(), Ordering::Relaxed);
}

// SAFETY: the loader calls the functions of this section once, in one thread, after relocation and before `main`; this one reads a clock
// through the C library, which is initialised by then, and stores to an atomic.
#[unsafe(link_section = ".init_array")]
#[used]
static CONSTRUCTOR: extern "C" fn() = note;
