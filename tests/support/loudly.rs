//! Words of a test that must be seen though it passes: the test harness keeps what `eprintln!` says of a test that does.

macro_rules! loudly {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        // Without a standard error nobody can be told.
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
