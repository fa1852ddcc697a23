//! Looks back into the last minutes of a live session, as into a recording.

use std::path::Path;
use std::time::Duration;

use super::player::Player;
use crate::app::msg::{Msg, Notice};
use crate::app::replay::{ReplayKey, Shown};
use crate::record::Flight;

/// The player of the last minutes, while the user looks back.
#[derive(Debug, Default)]
pub(super) struct Past(Option<Player>);

impl Past {
    /// Begins with the samples kept now, where the key leads from the newest; why not, if that fails.
    pub(super) fn begin(&mut self, flight: Option<&Flight>, key: ReplayKey, interval: Duration, ghost_ns: u64) -> Option<Msg> {
        let bad = |why: String| Some(Msg::Tell(Notice::bad(why)));
        let Some(flight) = flight else { return bad("this session shows a recording: all of it is there".to_owned()) };
        let replay = match flight.replay() {
            Ok(replay) => replay,
            Err(error) => return bad(error.to_string()),
        };
        match Player::look_back(replay, interval, ghost_ns, key) {
            Ok(player) => self.0 = Some(player),
            Err(error) => return bad(format!("cannot start the thread that plays: {error}")),
        }
        None
    }

    /// The user has gone back to now.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    pub(super) fn player(&self) -> Option<&Player> {
        self.0.as_ref()
    }

    /// What is next to be shown.
    pub(super) async fn shown(&mut self) -> Option<Shown> {
        match &mut self.0 {
            Some(player) => player.shown.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// Writes the last minutes into a file; the result as a notice.
pub(super) fn save(flight: Option<&Flight>, path: &Path) -> Notice {
    let Some(flight) = flight else { return Notice::bad("this session shows a recording, which is a file already") };
    match flight.save(path) {
        Ok(frames) => Notice::good(format!("{frames} samples saved: concmon --replay {}", path.display())),
        Err(error) => Notice::bad(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use crate::derive::{test_changed, test_process, test_snapshot};
    use crate::record::{Flight, MOST_FLIGHT_BYTES, Replay};
    use crate::snapshot::{EventKind, LifecycleEvent, Snapshot};

    const S: u64 = 1_000_000_000;

    fn snapshot(at: u64, count: i32) -> Snapshot {
        let changed = |pid: i32| (pid.cast_unsigned() + at as u32).is_multiple_of(50);
        let process = |pid: i32| {
            test_changed(test_process(pid, 1, 5), |process| {
                process.utime_ns = Some(if changed(pid) { at * 1000 } else { 7 });
                process.read_after_ns = u64::try_from(pid).unwrap() * 900;
            })
        };
        test_snapshot(at * S, (1..=count).map(process).collect())
    }

    #[test]
    fn ten_minutes_are_kept_and_every_frame_is_the_sample_that_was_taken() {
        let flight = Flight::new(10);
        for at in 1..=1500 {
            flight.add(&snapshot(at, 20));
        }
        let frames = flight.frames();
        assert!((600..=600 + 64).contains(&frames), "{frames}");
        let mut replay = flight.replay().unwrap();
        assert_eq!(replay.frames(), frames);
        for frame in [frames - 1, 0, frames / 2] {
            let kept = replay.frame(frame).unwrap();
            let taken = snapshot(kept.taken_ns / S, 20);
            let values = |s: &Snapshot| s.processes.iter().map(|p| (p.key, p.utime_ns, p.read_after_ns)).collect::<Vec<_>>();
            assert_eq!(values(&kept), values(&taken));
        }
        assert_eq!(replay.taken_ns(frames - 1), 1500 * S);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kept");
        assert_eq!(flight.save(&path).unwrap(), frames);
        assert_eq!(Replay::open(&path).unwrap().frames(), frames);
        std::fs::write(directory.path().join("letter"), "dear").unwrap();
        assert!(flight.save(&directory.path().join("letter")).is_err(), "nothing else is written over");
    }

    #[test]
    fn the_bound_holds_however_much_changes_and_the_newest_time_stays() {
        let flight = Flight::new(10);
        for at in 1..=400 {
            let mut all = snapshot(at, 5_000);
            // Every process changes in every sample, by more than a few bytes.
            for process in &mut all.processes {
                process.utime_ns =
                    Some(u64::from(process.key.pid.unsigned_abs()).wrapping_mul(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            }
            flight.add(&all);
            assert!(flight.bytes() <= MOST_FLIGHT_BYTES, "{} bytes", flight.bytes());
        }
        let replay = flight.replay().unwrap();
        assert!(replay.frames() > 60, "{} frames", replay.frames());
        assert_eq!(replay.taken_ns(replay.frames()), 400 * S);
    }

    #[test]
    fn events_of_samples_that_are_left_out_go_with_the_next() {
        let flight = Flight::new(10);
        let event = |at: u64| LifecycleEvent { at_ns: at, kind: EventKind::Exec { tgid: i32::try_from(at % 1000).unwrap() } };
        for tenth in 0..40u64 {
            let at_ns = S + tenth * S / 10;
            flight.add(&Snapshot { events: vec![event(at_ns + tenth)], ..test_snapshot(at_ns, vec![test_process(1, 0, 1)]) });
        }
        let mut replay = flight.replay().unwrap();
        assert!(replay.frames() <= 5, "{}", replay.frames());
        let kept: usize = (0..replay.frames()).map(|frame| replay.frame(frame).unwrap().events.len()).sum();
        assert!(kept >= 37, "{kept} of 40; the last few wait for the next frame");
    }
}
