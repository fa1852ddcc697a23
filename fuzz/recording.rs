//! Recordings of others' making: the file as it lies on a disk, and past its checksums the content of frames, up to the values that are
//! shown.

use std::path::PathBuf;

use concmon::columns::{COLUMNS, Row, RowRef};
use concmon::derive::{Deriver, Model};
use concmon::meters::METERS;
use concmon::record::{Decoder, Encoder, Parser, Part, Replay, unpack};
use concmon::snapshot::Snapshot;

/// The first byte says which: a file, or contents of frames, each behind its length.
pub fn recording(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'F', file)) => whole_file(file),
        Some((_, contents)) => frames(contents),
        None => {}
    }
}

fn whole_file(bytes: &[u8]) {
    let name = format!("concmon-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
    let path: PathBuf = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    std::fs::write(&path, bytes).expect("a place for files");
    let of_stream = stream(bytes);
    match Replay::open(&path) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(mut replay) => {
            assert!(replay.frames() > 0 && replay.frames() <= of_stream);
            for frame in (0..replay.frames()).rev().take(64) {
                assert!(replay.run_up(frame).contains(&frame));
                if let Ok(snapshot) = replay.frame(frame) {
                    sound(&snapshot);
                }
            }
        }
    }
    let _ = std::fs::remove_file(path);
}

/// The same bytes as a stream that comes in small pieces; how many frames it has.
fn stream(bytes: &[u8]) -> usize {
    let (mut parser, mut decoder, mut frames) = (Parser::default(), Decoder::default(), 0);
    for piece in bytes.chunks(113) {
        parser.push(piece);
        loop {
            match parser.part() {
                Ok(Some(Part::Frame(head, content))) => {
                    frames += 1;
                    if let Some(snapshot) = unpack(&head, &content).and_then(|raw| decoder.decode(&raw)) {
                        sound(&snapshot);
                    }
                }
                Ok(Some(Part::System(_))) => {}
                Ok(None) => break,
                Err(why) => {
                    assert!(!why.is_empty());
                    return frames;
                }
            }
        }
    }
    frames
}

fn frames(mut bytes: &[u8]) {
    let (mut decoder, mut deriver) = (Decoder::default(), Deriver::new(3_000_000_000));
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (content, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        bytes = rest;
        let Some(snapshot) = decoder.decode(content) else { continue };
        sound(&snapshot);
        let (mut again, told) = (Vec::new(), format!("{snapshot:?}"));
        Encoder::default().encode(&snapshot, &mut again).expect("what was read can be written");
        let back = Decoder::default().decode(&again).expect("and read again");
        assert_eq!(format!("{back:?}"), told);
        shown(&deriver.step(snapshot));
    }
}

/// What others rely on: pids ascend, and every process's threads are its own.
fn sound(snapshot: &Snapshot) {
    assert!(snapshot.processes.is_sorted_by(|a, b| a.key.pid < b.key.pid));
    for process in &snapshot.processes {
        let tasks = &snapshot.tasks[process.tasks.start as usize..process.tasks.end as usize];
        assert!(tasks.iter().all(|task| task.tgid == process.key.pid));
    }
}

/// Every value of every row, and the header's.
fn shown(model: &Model) {
    for (index, process) in (0u32..).zip(&model.now.processes).take(50) {
        let tasks = process.tasks.clone().take(9).map(|task| RowRef::Task { process: index, task });
        for row in tasks.chain([RowRef::Process(index)]).filter_map(|at| Row::new(model, at)) {
            for column in COLUMNS {
                let value = (column.get)(&row);
                std::hint::black_box(format!("{value:?}"));
            }
        }
    }
    for meter in METERS {
        std::hint::black_box(format!("{:?}", (meter.read)(model)));
    }
    std::hint::black_box(model.tree(true));
}
