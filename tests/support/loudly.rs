//! Prints messages of a passing test: the test harness hides its `eprintln!`.

macro_rules! loudly {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        // An error of standard error cannot be reported.
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
