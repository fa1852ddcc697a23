//! The server of task http: a process beside the workers that answers `GET /MS` on 127.0.0.1 after MS milliseconds.
//!
//! One thread with one epoll serves all clients, so that each waits only for the time it asked for. The server is a fresh image, so
//! it holds none of the root's memory, and it ends with the root.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{Backlog, listen};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::Pid;

use super::error::{RootError, failed};
use super::image::{self, Images};
use super::signals;

/// Most connections at one time; more wait in the kernel's queue.
const CONNECTIONS_MOST: usize = 2048;
/// Longest request head.
const HEAD_MOST: usize = 8 * 1024;
/// Most header fields of a request.
const HEADERS_MOST: usize = 64;
/// Longest wait that can be asked for, milliseconds.
const WAIT_MOST: u64 = 600_000;
/// The token of the listener; connections count up from 1.
const LISTENER: u64 = 0;
/// What every answer holds, as often as [`BODY_LINES`] says.
const BODY_LINE: &str = "concurrency is not parallelism\n";
const BODY_LINES: usize = 32;

/// The server as its root has it.
pub struct Server {
    pid: Pid,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Server {
    /// Starts one. It listens before it runs: who connects early waits in the kernel's queue.
    pub fn start() -> Result<Self, RootError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed("listening on 127.0.0.1"))?;
        let queue = Backlog::new(1024).map_err(failed("the length of a listener's queue"))?;
        listen(&listener, queue).map_err(failed("listening on 127.0.0.1"))?;
        let port = listener.local_addr().map_err(failed("asking for the server's port"))?.port();
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty())).map_err(failed("handing the listener to the server"))?;
        let pid =
            Images::find().spawn(&image::http_arguments(listener.as_raw_fd())).map_err(failed("spawning the loopback server"))?;
        Ok(Self { pid, port })
    }

    /// Ends it and waits for that.
    pub fn stop(self) {
        // It is a child that no other code waits for, so its pid is still its own. It fails only if it has ended already.
        let _ = kill(self.pid, Signal::SIGKILL);
        while signals::wait_raw(self.pid, WaitPidFlag::empty()) == Err(Errno::EINTR) {}
    }
}

/// What the bytes of a connection say so far.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    /// Not yet a whole head.
    Partial,
    /// A GET: how long to wait, whether the connection stays, how many bytes it took.
    Get { wait_ms: u64, keep: bool, used: usize },
    /// Something else: the status line's words.
    Refused(&'static str),
}

impl Request {
    fn parse(input: &[u8]) -> Self {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MOST];
        let mut head = httparse::Request::new(&mut headers);
        let used = match head.parse(input) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) if input.len() <= HEAD_MOST => return Self::Partial,
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Self::Refused("431 Request Header Fields Too Large");
            }
            Err(httparse::Error::Version) => return Self::Refused("505 HTTP Version Not Supported"),
            Err(_) => return Self::Refused("400 Bad Request"),
        };
        // A whole head has all three.
        let (Some(method), Some(path), Some(version)) = (head.method, head.path, head.version) else { return Self::Partial };
        if method != "GET" {
            return Self::Refused("501 Not Implemented");
        }
        let number = path.strip_prefix('/').map(|ms| if ms.is_empty() { "0" } else { ms });
        let Some(wait_ms) = number.and_then(|ms| ms.parse().ok()).filter(|ms| *ms <= WAIT_MOST) else {
            return Self::Refused("404 Not Found");
        };
        let connection = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("connection"));
        let keep = match connection.map(|header| header.value.trim_ascii().to_ascii_lowercase()).as_deref() {
            Some(b"close") => false,
            Some(b"keep-alive") => true,
            _ => version == 1,
        };
        Self::Get { wait_ms, keep, used }
    }
}

fn answer(status: &str, keep: bool) -> Vec<u8> {
    let body = if status.starts_with("200") { BODY_LINE.repeat(BODY_LINES) } else { format!("{status}\n") };
    let connection = if keep { "keep-alive" } else { "close" };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}")
        .into_bytes()
}

/// One client.
struct Conn {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether a request is being waited over.
    waiting: bool,
    keep: bool,
    /// Whether epoll reports when it can be written to.
    watches_output: bool,
}

/// Whether a connection stays.
#[derive(PartialEq, Eq)]
enum Fate {
    Stays,
    Closes,
}

impl Conn {
    /// Reads what there is.
    fn fill(&mut self) -> Fate {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Fate::Closes,
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Fate::Stays,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Closes,
            }
            // A client that talks on without waiting for its answers is not waited for either.
            if self.input.len() > 2 * HEAD_MOST {
                return Fate::Closes;
            }
        }
    }

    /// Writes what it can.
    fn flush(&mut self) -> Fate {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Fate::Stays,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Fate::Closes,
            }
        }
        if self.keep { Fate::Stays } else { Fate::Closes }
    }
}

/// All clients, and the times of their answers.
struct Loop {
    epoll: Epoll,
    listener: TcpListener,
    listening: bool,
    conns: HashMap<u64, Conn>,
    next: u64,
    due: BinaryHeap<Reverse<(Instant, u64)>>,
}

/// Serves until the process is killed; comes back only if the kernel refuses something.
pub fn serve(listener: TcpListener) -> ExitCode {
    let Err(error) = Loop::new(listener).and_then(|mut all| all.run());
    eprintln!("the loopback server: {error}");
    ExitCode::FAILURE
}

impl Loop {
    fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        Ok(Self { epoll, listener, listening: true, conns: HashMap::new(), next: LISTENER + 1, due: BinaryHeap::new() })
    }

    fn run(&mut self) -> io::Result<std::convert::Infallible> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let ready = match self.epoll.wait(&mut events, self.patience()) {
                Ok(n) => n,
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            for event in events.iter().take(ready) {
                match event.data() {
                    LISTENER => self.accept()?,
                    token => self.look_at(token, event.events())?,
                }
            }
            self.answer_due()?;
        }
    }

    /// Until the next answer is to be sent; whole milliseconds, rounded up, so that none comes early.
    fn patience(&self) -> EpollTimeout {
        let Some(Reverse((due, _))) = self.due.peek() else { return EpollTimeout::NONE };
        let left = due.saturating_duration_since(Instant::now());
        let ms = left.as_millis() + u128::from(left.subsec_nanos() % 1_000_000 != 0);
        EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
    }

    fn accept(&mut self) -> io::Result<()> {
        while self.conns.len() < CONNECTIONS_MOST {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // Out of descriptors: another connection has to close first.
                Err(_) if !self.conns.is_empty() => break,
                Err(e) => return Err(e),
            }
        }
        self.listening = false;
        self.epoll.delete(&self.listener)?;
        Ok(())
    }

    fn admit(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let token = self.next;
        self.next += 1;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        let conn = Conn { stream, input: Vec::new(), output: Vec::new(), waiting: false, keep: true, watches_output: false };
        self.conns.insert(token, conn);
        Ok(())
    }

    fn look_at(&mut self, token: u64, what: EpollFlags) -> io::Result<()> {
        // Gone earlier in the same round.
        let Some(conn) = self.conns.get_mut(&token) else { return Ok(()) };
        let mut fate = Fate::Stays;
        if what.contains(EpollFlags::EPOLLOUT) {
            fate = conn.flush();
        }
        if fate == Fate::Stays && what.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            fate = conn.fill();
        }
        self.go_on(token, fate)
    }

    /// What follows for a connection: it is closed, or its next request is taken up and epoll gets what to watch.
    fn go_on(&mut self, token: u64, mut fate: Fate) -> io::Result<()> {
        let Some(conn) = self.conns.get_mut(&token) else { return Ok(()) };
        if fate == Fate::Stays && !conn.waiting && conn.output.is_empty() {
            match Request::parse(&conn.input) {
                Request::Partial => {}
                Request::Get { wait_ms, keep, used } => {
                    conn.input.drain(..used);
                    (conn.waiting, conn.keep) = (true, keep);
                    self.due.push(Reverse((Instant::now() + Duration::from_millis(wait_ms), token)));
                }
                Request::Refused(status) => {
                    conn.keep = false;
                    conn.output = answer(status, false);
                    fate = conn.flush();
                }
            }
        }
        if fate == Fate::Closes {
            // Closing the descriptor takes it out of the epoll set: it has no duplicates.
            self.conns.remove(&token);
            if !self.listening {
                self.listening = true;
                self.epoll.add(&self.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
            }
            return Ok(());
        }
        if conn.watches_output == conn.output.is_empty() {
            conn.watches_output = !conn.output.is_empty();
            let also = if conn.watches_output { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            self.epoll.modify(&conn.stream, &mut EpollEvent::new(EpollFlags::EPOLLIN | also, token))?;
        }
        Ok(())
    }

    fn answer_due(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(Reverse((_, token))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.due.pop();
            let Some(conn) = self.conns.get_mut(&token) else { continue };
            conn.waiting = false;
            conn.output = answer("200 OK", conn.keep);
            let fate = conn.flush();
            self.go_on(token, fate)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::http;
    use super::*;

    #[test]
    fn a_request_says_how_long_to_wait() {
        let get = |wait_ms, keep, used| Request::Get { wait_ms, keep, used };
        let own = http::request(20);
        assert_eq!(Request::parse(&own), get(20, false, own.len()));
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\n\r\nGET /"), get(0, true, 18));
        assert_eq!(Request::parse(b"GET /1 HTTP/1.0\r\n\r\n"), get(1, false, 19));
        assert_eq!(Request::parse(b"GET /1 HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n"), get(1, true, 43));
        assert_eq!(Request::parse(b"GET /1 HTTP/1.1\r\nHost"), Request::Partial);
        for (bytes, code) in [
            (&b"POST /1 HTTP/1.1\r\n\r\n"[..], "501"),
            (b"GET /x HTTP/1.1\r\n\r\n", "404"),
            (b"GET /-1 HTTP/1.1\r\n\r\n", "404"),
            (b"GET /600001 HTTP/1.1\r\n\r\n", "404"),
            (b"GET /1 HTTP/3\r\n\r\n", "505"),
            (b"GET\r\n\r\n", "400"),
            (b"\xff\xfe / HTTP/1.1\r\n\r\n", "400"),
            (&[b'x'; HEAD_MOST + 1], "431"),
        ] {
            let parsed = Request::parse(bytes);
            assert!(matches!(parsed, Request::Refused(status) if status.starts_with(code)), "{code}: {parsed:?}");
        }
    }

    /// A server on a thread of this test, for ever; its port.
    fn serving() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || serve(listener));
        port
    }

    #[test]
    fn a_hundred_clients_wait_at_the_same_time() {
        let port = serving();
        let began = Instant::now();
        let clients: Vec<TcpStream> = (0..100).map(|_| http::ask(port, 100).unwrap()).collect();
        for mut client in clients {
            let mut text = String::new();
            client.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with(BODY_LINE), "{text}");
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn a_connection_that_is_kept_gets_its_answers_in_order() {
        let mut client = TcpStream::connect(http::address(serving())).unwrap();
        client.write_all(b"GET /5 HTTP/1.1\r\n\r\nGET /0 HTTP/1.1\r\n\r\nDELETE / HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        let statuses: Vec<&str> = text.lines().filter(|line| line.starts_with("HTTP/")).collect();
        assert_eq!(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 501 Not Implemented"]);
    }

    #[test]
    fn clients_that_leave_or_talk_nonsense_do_not_stop_it() {
        let port = serving();
        drop(http::ask(port, 600_000).unwrap());
        let mut flood = TcpStream::connect(http::address(port)).unwrap();
        // The server hangs up in the midst of it.
        let _ = flood.write_all(&vec![b'x'; 4 << 20]);
        assert_eq!(http::fetch(port, 1).unwrap(), (BODY_LINE.len() * BODY_LINES) as u64);
    }
}
