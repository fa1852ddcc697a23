//! A real terminal for end-to-end tests: a program in a pty, and its screen. Waits for the screen, never for time.

use std::io::{Read as _, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use vt100::{MouseProtocolMode, Screen};

/// How long anything may take before the test fails; only reached when something is broken.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What the terminal was asked to do beside drawing: only an attacker's bytes would ask for any of these.
#[derive(Default)]
pub struct Alarms(Vec<String>);

impl vt100::Callbacks for Alarms {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.0.push("bell".into());
    }
    fn visual_bell(&mut self, _: &mut Screen) {
        self.0.push("visual bell".into());
    }
    fn resize(&mut self, _: &mut Screen, size: (u16, u16)) {
        self.0.push(format!("resized itself to {size:?}"));
    }
    fn set_window_icon_name(&mut self, _: &mut Screen, name: &[u8]) {
        self.0.push(format!("icon name {:?}", name.escape_ascii().to_string()));
    }
    fn set_window_title(&mut self, _: &mut Screen, title: &[u8]) {
        self.0.push(format!("title {:?}", title.escape_ascii().to_string()));
    }
    fn copy_to_clipboard(&mut self, _: &mut Screen, _: &[u8], data: &[u8]) {
        self.0.push(format!("clipboard {:?}", data.escape_ascii().to_string()));
    }
    fn paste_from_clipboard(&mut self, _: &mut Screen, _: &[u8]) {
        self.0.push("clipboard read".into());
    }
    fn unhandled_char(&mut self, _: &mut Screen, c: char) {
        self.0.push(format!("character {c:?}"));
    }
    fn unhandled_control(&mut self, _: &mut Screen, byte: u8) {
        self.0.push(format!("control {byte:#x}"));
    }
    fn unhandled_escape(&mut self, _: &mut Screen, a: Option<u8>, b: Option<u8>, last: u8) {
        self.0.push(format!("escape {a:?} {b:?} {:?}", char::from(last)));
    }
    fn unhandled_csi(&mut self, _: &mut Screen, a: Option<u8>, _: Option<u8>, parameters: &[&[u16]], last: char) {
        // What the program itself asks for and the emulator does not know: synchronised updates, a mode of the mouse, the
        // underline's own colour taken away.
        let own = match last {
            'h' | 'l' => a == Some(b'?') && matches!(parameters, [[2026 | 1015 | 7]]),
            'm' => a.is_none() && matches!(parameters, [[59]]),
            _ => false,
        };
        if !own {
            self.0.push(format!("CSI {a:?} {parameters:?} {last:?}"));
        }
    }
    fn unhandled_osc(&mut self, _: &mut Screen, parameters: &[&[u8]]) {
        self.0.push(format!("OSC {:?}", parameters.iter().map(|p| p.escape_ascii().to_string()).collect::<Vec<_>>()));
    }
}

/// What the reader thread has made of the bytes so far.
struct Seen {
    /// The bytes themselves, for what a screen does not show.
    bytes: Vec<u8>,
    parser: vt100::Parser<Alarms>,
    /// The terminal reads nothing for now.
    paused: bool,
    /// The terminal's other side is closed: no more bytes will come.
    closed: bool,
    exit: Option<ExitStatus>,
}

/// A program in a terminal. Killed when dropped.
pub struct Pty {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    killer: Box<dyn portable_pty::ChildKiller + Send + Sync>,
    pid: i32,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// What to start.
pub struct Program<'a> {
    pub program: &'a str,
    pub args: &'a [&'a str],
    pub rows: u16,
    pub columns: u16,
    pub env: &'a [(&'a str, &'a str)],
}

impl Pty {
    /// Starts a program with nothing of the test's own environment but the PATH.
    pub fn spawn(start: &Program<'_>) -> Self {
        let size = PtySize { rows: start.rows, cols: start.columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pty");
        let mut command = CommandBuilder::new(start.program);
        command.args(start.args);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("HOME", "/nonexistent");
        for (name, value) in start.env {
            command.env(name, value);
        }
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        let mut child = pair.slave.spawn_command(command).expect("the program starts");
        // Ours must go, or the end of the program would not close the terminal.
        drop(pair.slave);

        let parser = vt100::Parser::new_with_callbacks(start.rows, start.columns, 0, Alarms::default());
        let seen =
            Arc::new((Mutex::new(Seen { parser, bytes: Vec::new(), paused: false, closed: false, exit: None }), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let writer = pair.master.take_writer().expect("a writer");
        let killer = child.clone_killer();
        let pid = i32::try_from(child.process_id().expect("a pid")).expect("a pid that fits");

        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            // EIO is how Linux says that the other side has closed.
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                let mut seen = shared.0.lock().unwrap();
                seen.parser.process(&buffer[..n]);
                seen.bytes.extend_from_slice(&buffer[..n]);
                shared.1.notify_all();
                drop(shared.1.wait_while(seen, |seen| seen.paused).unwrap());
            }
            shared.0.lock().unwrap().closed = true;
            shared.1.notify_all();
        });
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let status = child.wait().expect("the child can be waited for");
            shared.0.lock().unwrap().exit = Some(status);
            shared.1.notify_all();
        });
        Self { master: pair.master, writer, killer, pid, seen }
    }

    /// The program's pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Types.
    pub fn send(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).and_then(|()| self.writer.flush()).expect("the terminal takes input");
    }

    /// Gives the terminal another size, which sends SIGWINCH.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        // The emulator panics when a line wraps on a screen of one row or column; the program gets the true size anyway.
        self.seen.0.lock().unwrap().parser.screen_mut().set_size(rows.max(2), columns.max(2));
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("the terminal can be resized");
    }

    /// Waits until the screen is as wanted, and returns what `look` found there.
    pub fn wait_for<T>(&self, what: &str, look: impl Fn(&Screen) -> Option<T>) -> T {
        self.wait(what, |seen| look(seen.parser.screen()))
    }

    /// Waits until the screen is as wanted.
    pub fn wait_until(&self, what: &str, look: impl Fn(&Screen) -> bool) {
        self.wait_for(what, |screen| look(screen).then_some(()));
    }

    /// Waits until the text is somewhere on the screen.
    pub fn wait_text(&self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |screen| screen.contents().contains(text));
    }

    /// Waits until the program has written these bytes to its terminal.
    pub fn wait_bytes(&self, what: &str, wanted: &[u8]) {
        self.wait(what, |seen| seen.bytes.windows(wanted.len()).any(|w| w == wanted).then_some(()));
    }

    /// Whether the program has written these bytes so far.
    pub fn has_written(&self, bytes: &[u8]) -> bool {
        self.seen.0.lock().unwrap().bytes.windows(bytes.len()).any(|w| w == bytes)
    }

    /// Waits for the program's end and for the last of its output.
    pub fn wait_exit(&self) -> ExitStatus {
        self.wait("the program's end", |seen| seen.exit.clone().filter(|_| seen.closed))
    }

    fn wait<T>(&self, what: &str, look: impl Fn(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let (lock, changed) = &*self.seen;
        let mut seen = lock.lock().unwrap();
        loop {
            if let Some(found) = look(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited in vain for {what}; exit {:?}; the screen:\n{}",
                seen.exit,
                dump(seen.parser.screen())
            );
            // A program that is over changes nothing any more: fail at once, with what it left.
            assert!(
                !(seen.closed && seen.exit.is_some()),
                "over ({:?}) without {what}; the screen:\n{}",
                seen.exit,
                dump(seen.parser.screen())
            );
            seen = changed.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Has the terminal read nothing (`true`), or go on reading.
    pub fn pause(&self, paused: bool) {
        self.seen.0.lock().unwrap().paused = paused;
        self.seen.1.notify_all();
    }

    /// Waits for the program's end alone: its terminal may still hold output that was not read.
    pub fn wait_dead(&self) -> ExitStatus {
        self.wait("the program's end", |seen| seen.exit.clone())
    }

    /// What the terminal was asked to do beside drawing, so far.
    pub fn alarms(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().parser.callbacks().0.clone()
    }

    /// Looks at the screen as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        look(self.seen.0.lock().unwrap().parser.screen())
    }

    /// What the screen shows now.
    pub fn contents(&self) -> String {
        self.seen.0.lock().unwrap().parser.screen().contents()
    }

    /// Fails unless the terminal is as a shell wants it.
    pub fn assert_restored(&self) {
        let seen = self.seen.0.lock().unwrap();
        let screen = seen.parser.screen();
        assert!(is_restored(screen), "the terminal was not given back; the screen:\n{}", dump(screen));
        if let Some(modes) = self.master.get_termios() {
            use nix::sys::termios::LocalFlags;
            let cooked = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
            let flags = LocalFlags::from_bits_truncate(modes.local_flags.bits());
            assert!(flags.contains(cooked), "still in raw mode: {flags:?}");
        }
    }
}

/// Main screen, visible cursor, no mouse reports, no bracketed paste.
pub fn is_restored(screen: &Screen) -> bool {
    !screen.alternate_screen()
        && !screen.hide_cursor()
        && screen.mouse_protocol_mode() == MouseProtocolMode::None
        && !screen.bracketed_paste()
}

/// The row that shows the text, from 0.
pub fn row_of(screen: &Screen, text: &str) -> Option<u16> {
    let (_, columns) = screen.size();
    screen.rows(0, columns).position(|row| row.contains(text)).and_then(|row| u16::try_from(row).ok())
}

fn dump(screen: &Screen) -> String {
    let (_, columns) = screen.size();
    screen.rows(0, columns).map(|row| format!("|{row}\n")).collect()
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Ok(mut seen) = self.seen.0.lock() {
            seen.paused = false;
            self.seen.1.notify_all();
        }
        let over = self.seen.0.lock().is_ok_and(|seen| seen.exit.is_some());
        if !over {
            let _ = self.killer.kill();
        }
    }
}
