//! Finds processes by a mark in their environment, which all descendants inherit.

/// The variable that holds the mark.
pub const MARK: &str = "CONCMON_TEST_MARK";

/// A process that carries the mark.
#[derive(Debug, Clone)]
pub struct Marked {
    pub pid: i32,
    pub ppid: i32,
    /// The letter of `/proc/PID/stat`.
    pub state: char,
    /// Its command line, with blanks between the arguments.
    pub args: String,
}

/// Every process that carries this mark.
pub fn marked(mark: &str) -> Vec<Marked> {
    let wanted = format!("{MARK}={mark}");
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes()).then_some(())?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let ppid = fields.next()?.parse().ok()?;
        let args = String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ");
        Some(Marked { pid, ppid, state, args })
    })
    .collect()
}
