//! `/proc/net/dev` (proc_pid_net(5)): a line for each network interface.

use super::{Fields, whole_lines};

/// One interface. Its name may hold any bytes but `/`, blanks and `:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetLine<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Received, bytes.
    pub received_bytes: u64,
    /// Sent, bytes.
    pub sent_bytes: u64,
}

/// Columns before those of what was sent, on kernels of today.
const RECEIVED_COLUMNS: usize = 8;

/// The lines that are whole and hold both figures, in the order of the file.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = NetLine<'_>> {
    let columns = whole_lines(bytes).find_map(columns_of_head).unwrap_or(RECEIVED_COLUMNS);
    whole_lines(bytes).filter_map(move |line| {
        // No blank has to follow the colon: a large figure takes its place.
        let colon = line.iter().rposition(|byte| *byte == b':')?;
        let name = line[..colon].trim_ascii();
        let mut fields = Fields::new(&line[colon + 1..]);
        // A line of today's length is of today's form, even if the heads above it are not.
        let columns = if fields.clone().count() >= 2 * RECEIVED_COLUMNS { RECEIVED_COLUMNS } else { columns };
        let received_bytes = fields.unsigned()?;
        fields.skip_fields(columns - 1);
        let sent_bytes = fields.unsigned()?;
        (!name.is_empty()).then_some(NetLine { name, received_bytes, sent_bytes })
    })
}

/// How many columns are of what was received, if this is the line that names them: `face |bytes packets ...|bytes packets ...`.
fn columns_of_head(line: &[u8]) -> Option<usize> {
    let mut groups = line.split(|byte| *byte == b'|').skip(1);
    let received = Fields::new(groups.next()?);
    groups.next()?;
    let mut names = received.clone();
    (names.next() == Some(b"bytes")).then(|| received.count())
}
