//! The fuzz targets of `fuzz/` without a fuzzer: every saved seed, cut and changed in every place, must pass the targets' assertions.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::PathBuf;

use targets::{TARGETS, run};

fn fuzz() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = fuzz().join("seeds").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn every_seed_passes() {
    for (target, _) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 2, "{target} has too few seeds");
        for (_, bytes) in seeds {
            run(target, &bytes);
        }
        run(target, b"");
    }
}

/// The simplest mutations there are, all of them: what a torn read, a full buffer or one wrong byte would make.
#[test]
fn every_seed_passes_cut_and_changed_anywhere() {
    for (target, _) in TARGETS {
        for (_, bytes) in seeds(target) {
            // The long ones are made of alike lines; their first bytes have every kind. Whole documents take long to be drawn.
            let step = if matches!(*target, "report" | "recording") { bytes.len().div_ceil(40) } else { 1 };
            for at in (0..bytes.len()).step_by(step).take(400) {
                run(target, &bytes[..at]);
                run(target, &bytes[at..]);
                for other in [0, b'\n', b' ', b'-', b'9', b')', 0x1b, 0x7f, 0x80, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] = other;
                    run(target, &changed);
                }
            }
        }
    }
}

#[test]
fn every_target_has_its_binary() {
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let binaries = std::fs::read_dir(fuzz().join("fuzz_targets")).unwrap().count();
    assert_eq!(binaries, TARGETS.len());
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target} is not in fuzz/Cargo.toml");
        let driver = std::fs::read_to_string(fuzz().join("fuzz_targets").join(format!("{target}.rs"))).unwrap();
        assert!(driver.contains(&format!("\"{target}\"")), "{target}");
    }
}
