//! Describes the sockets of one process: internet sockets from the tables of its network namespace, Unix sockets from sock_diag(7), which
//! has their peers, and the holders of the peers' descriptors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{TCP_ESTABLISHED, TCP_LISTEN};
use netlink_packet_sock_diag::unix::nlas::UnixDiagName;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest, UnixResponse};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

use super::proc_fs::{ProcFs, RelPath};

/// The most of a table that is read: 100,000 sockets. A server of many short connections has tens of thousands that have ended (TIME_WAIT).
const TABLE_BYTES: usize = 16 << 20;
/// How long the holders of peers are looked for in one reading; the next goes on where this one ended.
const LOOKING: Duration = Duration::from_millis(30);
/// The kernel answers at once or not at all.
const PATIENCE: Duration = Duration::from_millis(500);

/// A Unix socket as the kernel describes it.
#[derive(Debug, Clone)]
struct UnixSocket {
    /// Stream, datagram or packets in sequence.
    kind: &'static str,
    listening: bool,
    connected: bool,
    /// Where it is bound, if it is: bytes of its owner's choosing.
    name: Option<Vec<u8>>,
    /// The inode of the other end.
    peer: Option<u64>,
}

/// Which processes hold the descriptors of which sockets, as far as that has been looked for.
#[derive(Debug, Default)]
struct Holders {
    found: HashMap<u64, (i32, Box<str>)>,
    /// The pid to go on with.
    next_pid: i32,
}

/// What is said of a socket that listens.
const LISTENING: &str = " listening";

/// Describes sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    holders: RefCell<Holders>,
}

impl Sockets {
    /// The process's sockets among `inodes`, in words.
    pub(super) fn describe(&self, fs: &ProcFs, pid: i32, inodes: &[u64]) -> HashMap<u64, Box<str>> {
        let mut ends = inet(fs, pid);
        let unix: Vec<u64> = inodes.iter().copied().filter(|inode| !ends.contains_key(inode)).collect();
        if unix.is_empty() {
            return ends;
        }
        // The tables and sock_diag are those of one network namespace: concmon's own, which need not be the process's.
        let space = |who: &str| fs.read_link(&RelPath::top(&format!("{who}/ns/net"))).ok();
        let same = space("self").is_some_and(|own| space(&pid.to_string()) == Some(own));
        if !same {
            ends.extend(unix.into_iter().map(|i| (i, "its other end is in another network namespace".into())));
            return ends;
        }
        let Ok(table) = unix_table() else { return ends };
        let peers: Vec<u64> = unix.iter().filter_map(|inode| table.get(inode)?.peer).collect();
        let mut holders = self.holders.borrow_mut();
        holders.look_for(fs, pid, &peers);
        ends.extend(unix.iter().filter_map(|inode| Some((*inode, in_words(table.get(inode)?, &table, &holders)))));
        ends
    }
}

fn in_words(socket: &UnixSocket, table: &HashMap<u64, UnixSocket>, holders: &Holders) -> Box<str> {
    let mut words = format!("unix {}", socket.kind);
    let name_of = |socket: &UnixSocket| socket.name.as_deref().map(|n| String::from_utf8_lossy(n).into_owned());
    if let Some(name) = name_of(socket) {
        words.push_str(&format!(" at {name}"));
    }
    if let Some(peer) = socket.peer {
        match holders.found.get(&peer) {
            Some((pid, comm)) => words.push_str(&format!(" to PID {pid} {comm}")),
            None => words.push_str(&format!(" to socket {peer}, holder unknown")),
        }
        if let Some(name) = table.get(&peer).and_then(name_of) {
            words.push_str(&format!(" at {name}"));
        }
    } else if socket.listening {
        words.push_str(LISTENING);
    } else if socket.connected {
        words.push_str(" other end unknown");
    }
    words.into()
}

impl Holders {
    /// Looks for the holders of the sockets: in its own process first, then in others for [`LOOKING`] at most.
    fn look_for(&mut self, fs: &ProcFs, own: i32, inodes: &[u64]) {
        let began = Instant::now();
        let missing = |found: &HashMap<u64, _>| inodes.iter().any(|inode| !found.contains_key(inode));
        self.look_at(fs, own);
        let mut pids = Vec::new();
        if !missing(&self.found) || fs.list_pids(&mut pids).is_err() {
            return;
        }
        let from = pids.partition_point(|pid| *pid < self.next_pid);
        for pid in &pids[from..] {
            if began.elapsed() > LOOKING {
                self.next_pid = *pid;
                return;
            }
            self.look_at(fs, *pid);
            if !missing(&self.found) {
                self.next_pid = *pid;
                return;
            }
        }
        // Once round: from here on what was found is looked for again, because descriptors change hands.
        self.next_pid = 0;
        self.found.retain(|inode, _| inodes.contains(inode));
    }

    fn look_at(&mut self, fs: &ProcFs, pid: i32) {
        let mut numbers = Vec::new();
        // Descriptors of other users' processes are not readable; their sockets stay without a holder.
        if fs.list_fds(pid, &mut numbers).is_err() {
            return;
        }
        let mut buffer = [0u8; 64];
        let comm = fs.read_once(&RelPath::process(pid, "comm"), &mut buffer).unwrap_or_default();
        let comm: Box<str> = String::from_utf8_lossy(comm.trim_ascii_end()).into();
        for fd in numbers {
            if let Some(inode) = fs.read_link(&RelPath::descriptor(pid, fd)).ok().as_deref().and_then(socket_inode) {
                self.found.insert(inode, (pid, comm.clone()));
            }
        }
    }
}

/// All Unix sockets of this network namespace by inode (sock_diag(7), `UDIAG_SHOW_NAME | UDIAG_SHOW_PEER`).
fn unix_table() -> rustix::io::Result<HashMap<u64, UnixSocket>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = UnixRequest {
        state_flags: StateFlags::from_bits_retain(!0),
        inode: 0,
        show_flags: ShowFlags::NAME | ShowFlags::PEER,
        cookie: [0xff; 8],
    };
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(SockDiagMessage::UnixRequest(request)));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    rustix::net::send(&socket, &bytes, SendFlags::empty())?;
    let mut table = HashMap::new();
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if length == 0 || !take(&buffer[..length], &mut table) {
            return Ok(table);
        }
    }
}

/// Takes the messages of one datagram in; whether more datagrams follow.
fn take(mut bytes: &[u8], table: &mut HashMap<u64, UnixSocket>) -> bool {
    while let Some(length) = bytes.get(..4).and_then(|l| usize::try_from(u32::from_ne_bytes(l.try_into().ok()?)).ok()) {
        let Some(message) = bytes.get(..length).filter(|m| m.len() >= 16) else { return false };
        match NetlinkMessage::<SockDiagMessage>::deserialize(message).map(|m| m.payload) {
            Ok(NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(response))) => {
                table.insert(u64::from(response.header.inode), unix_socket(&response));
            }
            Ok(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return false,
            // One that cannot be understood takes nothing from the others.
            Ok(_) | Err(_) => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

fn unix_socket(response: &UnixResponse) -> UnixSocket {
    let header = &response.header;
    // Kinds as in socket(2); anything else is no Unix socket that Linux knows.
    let kind = match header.kind {
        1 => "stream",
        2 => "datagram",
        5 => "seqpacket",
        _ => "socket",
    };
    let name = response.name().map(|name| match name {
        UnixDiagName::Pathname(path) => path.as_encoded_bytes().to_vec(),
        // ss(8) and lsof(8) write abstract names so.
        UnixDiagName::Abstract(bytes) => [b"@", bytes.as_slice()].concat(),
    });
    UnixSocket {
        kind,
        listening: header.state == TCP_LISTEN,
        connected: header.state == TCP_ESTABLISHED,
        name: name.filter(|n| !n.is_empty()),
        peer: response.peer().filter(|inode| *inode != 0).map(u64::from),
    }
}

/// The internet sockets of a process's network namespace by inode.
fn inet(fs: &ProcFs, pid: i32) -> HashMap<u64, Box<str>> {
    let mut ends = HashMap::new();
    let mut bytes = Vec::new();
    for (table, name) in [("net/tcp", "tcp"), ("net/tcp6", "tcp"), ("net/udp", "udp"), ("net/udp6", "udp")] {
        if fs.read_lines(&RelPath::process(pid, table), TABLE_BYTES, &mut bytes).is_ok() {
            ends.extend(bytes.split(|b| *b == b'\n').skip(1).filter_map(|line| inet_line(line, name)));
        }
    }
    ends
}

/// The other end of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A socket of this machine, by inode.
    Socket(u64),
    /// An address elsewhere, or of a socket that is not listed.
    Address(SocketAddr),
}

/// The other ends of these sockets of one process. Those that have none, or that are of a network namespace that cannot be looked into, are
/// left out.
#[must_use]
pub fn peers(fs: &ProcFs, pid: i32, inodes: &[u64]) -> HashMap<u64, Peer> {
    let mut found = HashMap::new();
    let mut bytes = Vec::new();
    let mut ends: HashMap<(SocketAddr, SocketAddr), u64> = HashMap::new();
    let mut listeners: HashMap<SocketAddr, u64> = HashMap::new();
    for table in ["net/tcp", "net/tcp6"] {
        if fs.read_lines(&RelPath::process(pid, table), TABLE_BYTES, &mut bytes).is_ok() {
            for (inode, local, peer) in bytes.split(|b| *b == b'\n').skip(1).filter_map(ends_of_line) {
                if peer.port() == 0 {
                    listeners.insert(local, inode);
                }
                ends.insert((local, peer), inode);
            }
        }
    }
    for ((local, peer), inode) in &ends {
        if inodes.contains(inode) && peer.port() != 0 {
            // A connection that no process has accepted yet has no inode: who listens must accept it.
            let other =
                ends.get(&(*peer, *local)).map(|other| if *other == 0 { listens_at(&listeners, *peer) } else { Some(*other) });
            found.extend(match other {
                None => Some((*inode, Peer::Address(*peer))),
                Some(other) => other.map(|other| (*inode, Peer::Socket(other))),
            });
        }
    }
    let space = |who: &str| fs.read_link(&RelPath::top(&format!("{who}/ns/net"))).ok();
    let missing = inodes.iter().any(|inode| !found.contains_key(inode));
    if missing && space("self").is_some_and(|own| space(&pid.to_string()) == Some(own)) {
        let table = unix_table().unwrap_or_default();
        found.extend(inodes.iter().filter_map(|inode| Some((*inode, Peer::Socket(table.get(inode)?.peer?)))));
    }
    found
}

/// Whether one of these sockets of a process listens for connections; also if that cannot be read.
#[must_use]
pub fn listens(fs: &ProcFs, pid: i32, inodes: &[u64]) -> bool {
    let inet = inet(fs, pid);
    let unix: Vec<u64> = inodes.iter().copied().filter(|inode| !inet.contains_key(inode)).collect();
    let accepts = |inode: &u64| inet.get(inode).is_some_and(|words| words.ends_with(LISTENING));
    let table = if unix.is_empty() { Ok(HashMap::new()) } else { unix_table() };
    inodes.iter().any(accepts)
        || table.map_or(true, |table| unix.iter().any(|inode| table.get(inode).is_none_or(|socket| socket.listening)))
}

/// The socket that listens at this address or at all addresses.
fn listens_at(listeners: &HashMap<SocketAddr, u64>, at: SocketAddr) -> Option<u64> {
    let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    let addresses = std::iter::once(at.ip()).chain(any);
    addresses.map(|ip| SocketAddr::new(ip, at.port())).find_map(|address| listeners.get(&address).copied())
}

/// Inode, own and other address of a line of `/proc/net/tcp`.
fn ends_of_line(line: &[u8]) -> Option<(u64, SocketAddr, SocketAddr)> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (local, peer) = (end(fields.nth(1)?)?, end(fields.next()?)?);
    // The two ends of one connection can be an IPv4 socket and an IPv6 socket that speaks IPv4.
    let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    Some((fields.nth(6)?.parse().ok()?, plain(local), plain(peer)))
}

/// The number of a socket in the target of a descriptor.
#[must_use]
pub fn socket_inode(target: &[u8]) -> Option<u64> {
    std::str::from_utf8(target).ok()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A line of `/proc/net/tcp` and its kin (proc_pid_net(5)): inode, and both ends in words.
fn inet_line(line: &[u8], name: &str) -> Option<(u64, Box<str>)> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (local, peer, state) = (end(fields.nth(1)?)?, end(fields.next()?)?, fields.next()?);
    let inode = fields.nth(5)?.parse().ok()?;
    let state = match (name, state) {
        ("udp", _) => "",
        (_, "01") => " established",
        (_, "06") => " time-wait",
        (_, "08") => " close-wait",
        (_, "0A") => LISTENING,
        _ => " changing",
    };
    let peer = if peer.port() == 0 && peer.ip().is_unspecified() { String::new() } else { format!(" to {peer}") };
    Some((inode, format!("{name} {local}{peer}{state}").into()))
}

/// `0100007F:1F90`: words of the address as this machine stores them in memory, the port as a plain number.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut all = [0u8; 16];
            for (at, part) in all.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(all))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_read_with_both_ends() {
        let line = b"   1: 0100007F:1F90 0200007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(inet_line(line, "tcp").unwrap(), (4242, "tcp 127.0.0.1:8080 to 127.0.0.2:49153 established".into()));
        let six = b" 0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7 1";
        assert_eq!(inet_line(six, "tcp").unwrap(), (7, "tcp [::1]:80 listening".into()));
        for bad in
            [&b""[..], b"1: x y z", b" 0: 0:0 0:0 0A", b"\xff\xfe", b" 0: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9:0 0:0 0 0 0 0 0 0 7"]
        {
            assert_eq!(inet_line(bad, "tcp"), None);
        }
    }

    #[test]
    fn messages_that_are_cut_or_wrong_end_it_quietly() {
        let mut table = HashMap::new();
        for bad in [&[][..], &[1, 2], &[0; 16], &[255; 32], &[20, 0, 0, 0, 20, 0, 0, 0]] {
            take(bad, &mut table);
        }
        assert!(table.is_empty());
    }

    #[test]
    fn a_unix_socket_names_the_process_at_its_other_end() {
        use std::os::fd::AsRawFd as _;
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
        let fs = ProcFs::open("/proc").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let inode = |fd: i32| socket_inode(&fs.read_link(&RelPath::descriptor(pid, fd)).unwrap()).unwrap();
        let (one, _other) = UnixStream::pair().unwrap();
        let name = format!("concmon-test-{pid}");
        let server = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
        let inodes = [inode(one.as_raw_fd()), inode(server.as_raw_fd())];
        let words = Sockets::default().describe(&fs, pid, &inodes);
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(*words[&inodes[0]], *format!("unix stream to PID {pid} {}", comm.trim_end()));
        // Held by another: the end given to a child, and not kept.
        let (mine, theirs) = UnixStream::pair().unwrap();
        let theirs = std::os::fd::OwnedFd::from(theirs);
        let mut child = std::process::Command::new("cat").stdin(theirs).spawn().unwrap();
        let sockets = Sockets::default();
        let mine = inode(mine.as_raw_fd());
        // A busy machine may need more than one reading's time to come to the child.
        let words_of_mine = (0..1000).map(|_| sockets.describe(&fs, pid, &[mine])[&mine].clone());
        let named = words_of_mine.into_iter().find(|words| words.contains("PID"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(named.as_deref(), Some(&*format!("unix stream to PID {} cat", child.id())));
        assert_eq!(*words[&inodes[1]], *format!("unix stream at @{name} listening"));
    }
}
