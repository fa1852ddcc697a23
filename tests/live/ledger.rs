//! The copy-on-write ledger with real forks: a child that writes to 16 of 64 inherited pages shows exactly 16, for every user.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use concmon::kernel::DetailReader;
use concmon::snapshot::{DetailContent, DetailPart, Ledger, LedgerMapping, PageCounts, ProcKey};

use crate::support::exclusive::full_name;
use crate::support::programs;

/// Holds 64 pages, forks, has the child write to 16 of them and the parent to `sys.argv[1]` others, says where they are, and stays until
/// its standard input ends. Pages are kept small, or the first write would copy a huge one; that also keeps the mapping apart from others.
const FAMILY: &str = r"
import mmap, os, sys
PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(64):
    memory[page * PAGE] = 1
told, tell = os.pipe()
child = os.fork()
if child == 0:
    for page in range(0, 32, 2):
        memory[page * PAGE] = 2
    os.write(tell, b'!')
    os.close(tell)
    sys.stdin.read()
    os._exit(0)
for page in range(int(sys.argv[1])):
    memory[(63 - page) * PAGE] = 3
os.read(told, 1)
print(child, flush=True)
sys.stdin.read()
os.waitpid(child, 0)
";

struct Family {
    parent: Child,
    child: i32,
    _alive: ChildStdin,
}

impl Family {
    fn start(parent_writes: u32) -> Option<Self> {
        let mut parent = Command::new("python3")
            .args(["-I", "-c", FAMILY, &parent_writes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let alive = parent.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Some(Self { child: line.trim().parse().unwrap(), parent, _alive: alive })
    }

    fn ledger(&self) -> Ledger {
        let pid = i32::try_from(self.parent.id()).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start_ticks = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
        let detail = DetailReader::open("/proc").unwrap().read(ProcKey { pid, start_ticks }, DetailPart::CopyOnWrite).unwrap();
        match detail.content.unwrap() {
            DetailContent::Ledger(ledger) => *ledger,
            other => panic!("{other:?}"),
        }
    }

    /// The mapping of the 64 pages in the child.
    fn memory(&self) -> LedgerMapping {
        let ledger = self.ledger();
        let child = ledger.children.iter().find(|c| c.key.pid == self.child).unwrap();
        let reading = child.reading.as_ref().unwrap();
        assert!(!reading.cut && reading.uss_bytes.is_some());
        let pages = |m: &&LedgerMapping| (m.end - m.start) / ledger.page_bytes == 64 && m.counts.inherited() == 64;
        let found: Vec<&LedgerMapping> = reading.mappings.iter().filter(pages).collect();
        assert_eq!(found.len(), 1, "{:?}", reading.mappings);
        found[0].clone()
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        drop(self.parent.stdin.take());
        // It is our own child, not yet waited for.
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

#[test]
fn sixteen_pages_written_by_the_child_are_sixteen_copies() {
    let Some(family) = Family::start(0) else {
        loudly!("SKIPPED the ledger of a real fork: python3 is not installed");
        return;
    };
    let memory = family.memory();
    assert_eq!(memory.counts, PageCounts { shared: 48, copied: 16, ..PageCounts::default() });
    let strip: Vec<u32> = memory.strip.iter().map(|(_, copied)| *copied).collect();
    let wanted: Vec<u32> = (0..64).map(|page| u32::from(page < 32 && page % 2 == 0)).collect();
    assert_eq!(strip, wanted, "and it shows which");
}

#[test]
fn what_the_parent_writes_to_is_no_longer_shared_either() {
    let Some(family) = Family::start(8) else {
        loudly!("SKIPPED the ledger of a parent that writes: python3 is not installed");
        return;
    };
    assert_eq!(family.memory().counts, PageCounts { shared: 40, copied: 24, ..PageCounts::default() });
}

/// Four areas of 64 pages with small pages, one of 4 MiB with huge ones: read by the child only, allocated by both after the fork, shared by
/// two siblings after the parent has written, huge with 16 small pages written by the child. Prints the child's PID and, for each, its
/// address.
const AREAS: &str = r"
import ctypes, mmap, os, sys
PAGE = mmap.PAGESIZE
def area(pages, advice=mmap.MADV_NOHUGEPAGE):
    memory = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(advice)
    return memory
def address(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
def write(memory, pages, value=1):
    for page in pages:
        memory[page * PAGE] = value
unread, siblings = area(64), area(64)
write(siblings, range(64))
huge = area(1024, mmap.MADV_HUGEPAGE)
write(huge, range(1024))
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def allocate():
    at = libc.mmap(0x7e0000000000, 64 * PAGE, 3, 0x100022, -1, 0)
    ctypes.memset(at, 7, 64 * PAGE)
    return at
told, tell = os.pipe()
children = []
for number in range(2):
    child = os.fork()
    if child == 0:
        if number == 0:
            for page in range(64):
                assert unread[page * PAGE] == 0
            write(huge, range(16), 2)
            allocate()
        os.write(tell, b'!')
        os.close(tell)
        sys.stdin.read()
        os._exit(0)
    children.append(child)
write(siblings, range(64), 3)
both = allocate()
os.read(told, 1)
os.read(told, 1)
print(children[0], address(unread), both, address(siblings), address(huge), flush=True)
sys.stdin.read()
for child in children:
    os.waitpid(child, 0)
";

#[test]
fn zero_pages_new_memory_siblings_and_huge_pages_are_told_apart_or_marked() {
    let parent = Command::new("python3").args(["-I", "-c", AREAS]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut parent) = parent else {
        loudly!("SKIPPED the ledger of five kinds of memory: python3 is not installed");
        return;
    };
    let alive = parent.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let family = Family { child: i32::try_from(numbers[0]).unwrap(), parent, _alive: alive };
    let ledger = family.ledger();
    let reading = ledger.children.iter().find(|c| c.key.pid == family.child).unwrap().reading.clone().unwrap();
    let at = |address: u64| reading.mappings.iter().find(|m| (m.start..m.end).contains(&address));
    let page = ledger.page_bytes;

    assert!(
        at(numbers[1]).is_none_or(|m| m.start != numbers[1]),
        "what was only read holds nothing inherited: {:?}",
        at(numbers[1])
    );
    assert!(reading.counts.zero >= 64, "{:?}", reading.counts);
    let both = at(numbers[2]).expect("what both have allocated");
    assert_eq!((both.counts.copied, both.doubtful()), (64, 64), "the page tables cannot tell, which is said: {both:?}");
    assert!(reading.doubtful >= 64);
    let siblings = at(numbers[3]).expect("what the siblings share");
    assert!(siblings.counts.elsewhere >= 64, "{siblings:?}");

    // The huge pages, compared with both page tables as they are.
    let huge = at(numbers[4]).expect("huge pages");
    let frames = |pid: u32| -> Vec<u64> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; usize::try_from((huge.end - huge.start) / page * 8).unwrap()];
        std::fs::File::open(format!("/proc/{pid}/pagemap")).unwrap().read_exact_at(&mut bytes, huge.start / page * 8).unwrap();
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect()
    };
    let (ours, theirs) = (frames(family.parent.id()), frames(family.child.cast_unsigned()));
    if theirs.iter().all(|word| word & ((1 << 55) - 1) == 0) {
        loudly!("SKIPPED holding huge pages against page frames: they are shown to CAP_SYS_ADMIN only");
        return;
    }
    let frame = |word: u64| (word >> 63 == 1).then_some(word & ((1 << 55) - 1));
    let same = theirs.iter().zip(&ours).filter(|(child, parent)| frame(**child).is_some() && frame(**child) == frame(**parent));
    assert_eq!(huge.counts.shared, same.count() as u64, "{huge:?}");
    assert!(huge.counts.copied >= 16 && huge.counts.shared > 0, "{huge:?}");
}

/// Runs the first test again as a user without any privilege, who sees no page frames.
#[test]
fn it_takes_no_privilege_for_own_processes() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("ledger");
    programs::copy(std::env::current_exe().unwrap(), &copy);
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    let output = Command::new("setpriv")
        .args(nobody)
        .arg(&copy)
        .args([&full_name(module_path!(), "sixteen_pages_written_by_the_child_are_sixteen_copies"), "--exact", "--nocapture"])
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/")
        .current_dir("/")
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("setpriv:") => {
            loudly!("SKIPPED the ledger as another user: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output) => panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        Err(error) => loudly!("SKIPPED the ledger as another user: setpriv: {error}"),
    }
}
