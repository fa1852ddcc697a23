//! The thread that plays a recording: reads frames at the set pace or on request, derives, and publishes. It skips no frame: it waits until
//! the last one was taken. At the end of a stream it shows each frame as it comes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::app::replay::{Playback, ReplayKey, Shown};
use crate::derive::{Deriver, Model};
use crate::record::{RecordError, Replay};

/// An order to the player.
#[derive(Debug)]
enum Order {
    Key(ReplayKey),
    Interval(Duration),
    /// Frames of a stream have come.
    Grown,
    End,
}

/// The running thread; ends when dropped.
#[derive(Debug)]
pub struct Player {
    orders: Sender<Order>,
    /// What is to be shown, in order.
    pub shown: mpsc::Receiver<Shown>,
}

impl Player {
    /// Starts with the second frame, the first that has rates, and goes on to the next every `interval`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(replay: Replay, interval: Duration, ghost_ns: u64) -> std::io::Result<Self> {
        Self::begin(replay, interval, ghost_ns, None)
    }

    /// Starts where this key leads from the last frame, and stands still there.
    ///
    /// # Errors
    /// As [`Player::start`].
    pub fn look_back(replay: Replay, interval: Duration, ghost_ns: u64, key: ReplayKey) -> std::io::Result<Self> {
        Self::begin(replay, interval, ghost_ns, Some(key))
    }

    fn begin(replay: Replay, interval: Duration, ghost_ns: u64, back: Option<ReplayKey>) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, shown) = mpsc::channel(2);
        let at = back.map(|_| replay.frames() - 1);
        let playing = back.is_none();
        let stream = replay.is_growing();
        let told = orders.clone();
        replay.on_growth(move || {
            // Without its player the frames have no reader.
            let _ = told.send(Order::Grown);
        });
        let player = Playing { replay, deriver: Deriver::default(), ghost_ns, interval, at, playing, stream, outbox };
        std::thread::Builder::new().name("player".into()).spawn(move || player.run(&inbox, back))?;
        Ok(Self { orders, shown })
    }

    /// A key.
    pub fn key(&self, key: ReplayKey) {
        // Without its thread the last frame stays, as the notice says.
        let _ = self.orders.send(Order::Key(key));
    }

    /// The time between two frames from now on.
    pub fn set_interval(&self, interval: Duration) {
        let _ = self.orders.send(Order::Interval(interval));
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // The reader of a stream can give orders too, so that their end does not come by itself.
        let _ = self.orders.send(Order::End);
    }
}

/// The program is ending.
struct Over;

/// Whether the screens must start again, and the models that lead to a frame.
type Led = (bool, Vec<Arc<Model>>);

struct Playing {
    replay: Replay,
    deriver: Deriver,
    ghost_ns: u64,
    interval: Duration,
    /// The frame that is shown.
    at: Option<usize>,
    playing: bool,
    /// Whether it is, or was, a stream.
    stream: bool,
    outbox: mpsc::Sender<Shown>,
}

impl Playing {
    fn run(mut self, orders: &Receiver<Order>, back: Option<ReplayKey>) {
        let told = self.end();
        // Of a stream the newest is wanted.
        let begin = if self.stream { self.last() } else { 1.min(self.last()) };
        let first = back.map_or(begin, |key| self.target(key));
        if self.go(first, told).is_err() {
            return;
        }
        let mut due = Instant::now() + self.interval;
        loop {
            let order = if self.playing && !self.is_live() {
                orders.recv_timeout(due.saturating_duration_since(Instant::now()))
            } else {
                orders.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let done = match order {
                Ok(Order::Key(key)) => self.key(key),
                Ok(Order::Interval(interval)) => {
                    self.interval = interval;
                    Ok(())
                }
                Ok(Order::Grown) => self.grow(),
                Ok(Order::End) => return,
                Err(RecvTimeoutError::Timeout) => self.go(self.here() + 1, None),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_err() {
                return;
            }
            due = Instant::now() + self.interval;
        }
    }

    fn here(&self) -> usize {
        self.at.unwrap_or(0)
    }

    /// Whether the newest frame of a stream is shown, and the next one as soon as it comes.
    fn is_live(&self) -> bool {
        self.playing && self.replay.is_growing() && self.here() == self.last()
    }

    /// How the recording ended, if that is to be reported.
    fn end(&self) -> Option<String> {
        let what = if self.stream { "stream" } else { "recording" };
        self.replay.cut().map(|cut| format!("the {what} {cut}"))
    }

    /// Takes in the frames that have come of a stream. If the shown frame was dropped meanwhile, the oldest that is kept is shown.
    fn grow(&mut self) -> Result<(), Over> {
        let live = self.is_live();
        let dropped = self.replay.take_in();
        let kept = self.here().checked_sub(dropped);
        self.at = Some(kept.unwrap_or(0));
        let told = self.end();
        if live && self.here() < self.last() {
            return self.go(self.last(), told);
        }
        self.playing &= self.replay.is_growing() || self.here() < self.last();
        match kept {
            Some(_) => self.hand_over(false, Vec::new(), told),
            None => self.begin_at(0, told),
        }
    }

    /// Shows a frame with what leads to it, independent of what was shown before.
    fn begin_at(&mut self, frame: usize, told: Option<String>) -> Result<(), Over> {
        self.at = None;
        self.go(frame, told)
    }

    fn last(&self) -> usize {
        self.replay.frames() - 1
    }

    fn key(&mut self, key: ReplayKey) -> Result<(), Over> {
        let target = self.target(key);
        if target == self.here() { self.hand_over(false, Vec::new(), None) } else { self.go(target, None) }
    }

    /// The frame that a key leads to.
    fn target(&mut self, key: ReplayKey) -> usize {
        let here = self.here();
        match key {
            ReplayKey::Play => {
                self.playing = !self.playing;
                // From its end it begins again.
                if self.playing && here == self.last() && !self.replay.is_growing() { 0 } else { here }
            }
            ReplayKey::Step(by) => {
                self.playing &= by.abs() > 1;
                let to = here.saturating_add_signed(isize::try_from(by).unwrap_or(0));
                to.min(self.last())
            }
            ReplayKey::Seconds(by) => {
                let now = self.replay.taken_ns(here);
                self.replay.frame_at(now.saturating_add_signed(i64::from(by) * 1_000_000_000))
            }
            ReplayKey::First => 0,
            ReplayKey::Last => {
                // The end of a stream is now.
                self.playing |= self.replay.is_growing();
                self.last()
            }
        }
    }

    /// Shows a frame; where it is damaged, the nearest that is not, in the direction of travel if there is one.
    fn go(&mut self, target: usize, mut told: Option<String>) -> Result<(), Over> {
        let forwards = self.at.is_none_or(|at| target > at);
        let mut wanted = target.min(self.last());
        // Each frame is wanted once at most.
        for _ in 0..=self.last() {
            match self.models(wanted) {
                Ok((anew, models)) => {
                    self.at = Some(wanted);
                    self.playing &= wanted < self.last() || self.replay.is_growing();
                    return self.hand_over(anew, models, told);
                }
                Err((error, frame)) => {
                    let next = if forwards { self.replay.key_after(frame) } else { frame.checked_sub(1) };
                    told = Some(format!("{error}; frames that depend on it are skipped"));
                    match next {
                        Some(next) => wanted = next,
                        None => break,
                    }
                }
            }
        }
        self.playing = false;
        self.at = self.at.or(Some(wanted));
        // What is shown stays; the next move starts from a frame of its own.
        self.deriver = Deriver::default();
        self.hand_over(false, Vec::new(), told)
    }

    /// The models that lead to a frame, itself the last, and whether the screens must start again; or the first frame that could not be
    /// read.
    fn models(&mut self, frame: usize) -> Result<Led, (RecordError, usize)> {
        let next = self.at.is_some_and(|at| at + 1 == frame);
        let (mut from, to) = if next { (frame, frame + 1) } else { (self.replay.run_up(frame).start, frame + 1) };
        let mut anew = !next;
        loop {
            if anew {
                self.deriver = Deriver::new(self.ghost_ns);
            }
            let mut models = Vec::with_capacity(to - from);
            let mut failed = None;
            for at in from..to {
                match self.replay.frame(at) {
                    Ok(snapshot) => models.push(Arc::new(self.deriver.step(snapshot))),
                    Err(error) => {
                        failed = Some((error, at));
                        break;
                    }
                }
            }
            let Some((error, at)) = failed else { return Ok((anew, models)) };
            // What leads there may do without the damaged part.
            match self.replay.key_after(at).filter(|key| *key <= frame) {
                Some(key) => (from, anew) = (key, true),
                None => return Err((error, at)),
            }
        }
    }

    fn hand_over(&self, anew: bool, models: Vec<Arc<Model>>, told: Option<String>) -> Result<(), Over> {
        // Frames are counted from the stream's first, which may not be kept any more.
        let dropped = self.replay.dropped();
        let stream = self.stream.then_some(self.replay.is_growing());
        let (frames, frame) = (dropped + self.replay.frames(), dropped + self.here());
        let at = Playback { frames, frame, playing: self.playing, stream };
        self.outbox.blocking_send(Shown { at, anew, models, told }).map_err(|_| Over)
    }
}
