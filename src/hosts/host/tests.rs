use super::*;
use crate::derive::{test_process, test_snapshot};
use crate::hosts::destinations;
use crate::record::Encoder;

const MS: u64 = 1_000_000;

fn host() -> Host {
    Host::new(destinations(&["box".to_owned()]).unwrap().remove(0), S, 0)
}

/// Frames of a host as bytes, one after the other.
#[derive(Default)]
struct Far {
    encoder: Encoder,
    begun: bool,
}

impl Far {
    fn frame(&mut self, snapshot: &Snapshot) -> Vec<u8> {
        let (mut raw, key) = (Vec::new(), !self.begun);
        self.encoder.encode(snapshot, &mut raw).unwrap();
        crate::record::test_stream(&raw, key, snapshot, !std::mem::replace(&mut self.begun, true))
    }
}

fn at(boot_ns: u64) -> Moment {
    Moment { boot_ns, unix_ns: 1_700_000_000 * i128::from(S) + i128::from(boot_ns) }
}

fn sample(taken_ns: u64) -> Snapshot {
    test_snapshot(taken_ns, vec![test_process(1, 0, 1), test_process(5, 1, 2)])
}

#[test]
fn frames_become_a_model_with_the_hosts_own_clock() {
    let (mut host, mut far) = (host(), Far::default());
    host.begin(0);
    assert_eq!(host.part().link.state, LinkState::Connecting);
    // The host was booted long before the viewer; frames take 20 ms, one takes 90 ms.
    for (step, way) in [(0, 20), (1, 90), (2, 20)] {
        let bytes = far.frame(&sample(5000 * S + step * S));
        // Cut in the middle: a piece of a frame is no frame.
        let (one, other) = bytes.split_at(bytes.len() / 2);
        host.receive(one, at(100 * S + step * S)).unwrap();
        assert_eq!(host.part().link.frames, step);
        host.receive(other, at(100 * S + step * S + way * MS)).unwrap();
    }
    let part = host.part();
    assert_eq!(part.link.offset_ns, -4900 * i128::from(S) + 20 * i128::from(MS), "the shortest way counts");
    assert_eq!((part.link.state, part.link.frames, part.link.lost, part.link.late), (LinkState::Live, 3, 0, 0));
    let model = part.model.unwrap();
    assert_eq!((model.now.taken_ns, model.dt_ns, model.now.processes.len()), (5002 * S, Some(S), 2));
}

#[test]
fn lost_and_late_frames_are_counted_and_silence_is_said() {
    let (mut host, mut far) = (host(), Far::default());
    host.begin(0);
    host.receive(&far.frame(&sample(10 * S)), at(10 * S)).unwrap();
    // Two are left out by the host, and one is held up on the way.
    host.receive(&far.frame(&sample(13 * S)), at(13 * S)).unwrap();
    host.receive(&far.frame(&sample(14 * S)), at(16 * S)).unwrap();
    let link = host.part().link;
    assert_eq!((link.lost, link.late), (2, 1));
    assert!(!host.is_stuck(18 * S));
    assert_eq!(host.part().link.state, LinkState::Live);
    assert!(!host.is_stuck(20 * S));
    assert_eq!(host.part().link.state, LinkState::Late);
    assert!(host.is_stuck(25 * S), "in the end it is given up");
}

#[test]
fn a_host_comes_back_after_longer_and_longer_waits() {
    let (mut host, mut far) = (host(), Far::default());
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        host.begin(now);
        host.end("ssh failed".to_owned(), now);
        let LinkState::Down { again_ns, since_ns, .. } = host.part().link.state else { panic!("down") };
        assert_eq!(since_ns, 0, "since the first failure");
        assert!(!host.is_due(again_ns - 1) && host.is_due(again_ns));
        waits.push((again_ns - now) / S);
        now = again_ns;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    host.begin(now);
    assert!(matches!(host.part().link.state, LinkState::Down { .. }), "the reason stays until a frame comes");
    host.receive(&far.frame(&sample(S)), at(now)).unwrap();
    assert!(host.is_live() && host.part().model.is_some());
    host.end("gone".to_owned(), now + S);
    assert!(host.part().model.is_none(), "rows of a host without a stream are old");
    let LinkState::Down { again_ns, .. } = host.part().link.state else { panic!("down") };
    assert_eq!(again_ns - now - S, S, "a good stream makes the next wait short");
}

#[test]
fn the_time_without_a_stream_is_no_lost_frame_and_a_boot_begins_anew() {
    let (mut host, mut far) = (host(), Far::default());
    host.begin(0);
    host.receive(&far.frame(&sample(100 * S)), at(10 * S)).unwrap();
    host.end("cut".to_owned(), 11 * S);
    host.begin(60 * S);
    host.receive(&Far::default().frame(&sample(150 * S)), at(60 * S)).unwrap();
    assert_eq!(host.part().link.lost, 0);
    host.end("cut".to_owned(), 61 * S);
    host.begin(90 * S);
    host.receive(&Far::default().frame(&sample(3 * S)), at(90 * S)).unwrap();
    let part = host.part();
    assert_eq!((part.link.lost, part.model.unwrap().dt_ns), (0, None));
    assert_eq!(part.link.offset_ns, 87 * i128::from(S));
}

#[test]
fn what_is_no_stream_is_refused_and_ids_of_no_linux_too() {
    let begun = || {
        let mut host = host();
        host.begin(0);
        host
    };
    assert!(matches!(begun().receive(b"Welcome\n", at(0)), Err(Refusal::Stream(why)) if why.starts_with("is not a recording")));
    let mut later = Far::default().frame(&sample(S));
    later[8] += 1;
    assert!(matches!(begun().receive(&later, at(0)), Err(Refusal::Stream(why)) if why.contains("recording format")));
    let mut wrong = Far::default().frame(&sample(S));
    *wrong.last_mut().unwrap() ^= 1;
    assert!(matches!(begun().receive(&wrong, at(0)), Err(Refusal::Frame(_))));
    // With the number of another host in it, it would be that host's process.
    let foreign = test_snapshot(S, vec![test_process(1 << 22 | 7, 0, 1)]);
    assert!(matches!(begun().receive(&Far::default().frame(&foreign), at(0)), Err(Refusal::Frame(_))));
}
