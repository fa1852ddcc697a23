//! Prints messages of a passing test: the test harness hides its `eprintln!`.

macro_rules! loudly {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        // Without a standard error nobody can be told.
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
