//! Links the unwinder (libgcc_eh.a) in instead of loading libgcc_s.so, where the C compiler has it as an archive: a library less for the
//! loader to map at every start, of which the lab's workers pay each one (a fifth of what a small program costs), and one less to be
//! installed. Where there is no such archive the shared one is used as always; nothing else changes.
//! A release build also records its commit for `--version`; other builds do not, as each commit would build them again.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CONCMON_COMMIT");
    if std::env::var("PROFILE").as_deref() == Ok("release")
        && let Some(commit) = std::env::var("CONCMON_COMMIT").ok().or_else(commit)
    {
        println!("cargo::rustc-env=CONCMON_COMMIT={commit}");
    }
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") || std::env::var("HOST") != std::env::var("TARGET") {
        return;
    }
    if let (Some(out), Some(archive)) = (std::env::var_os("OUT_DIR"), archive()) {
        // The standard library asks the linker for `-lgcc_s`; a script of that name, found first, says where to look instead (ld(1), INPUT).
        let script = Path::new(&out).join("libgcc_s.so");
        if std::fs::write(script, format!("INPUT({})\n", archive.display())).is_ok() {
            println!("cargo::rustc-link-search=native={}", Path::new(&out).display());
        }
    }
}

/// The commit that is checked out, as far as the files of Git say it plainly (gitrepository-layout(5)).
fn commit() -> Option<String> {
    let read = |name: &str| {
        let path = Path::new(".git").join(name);
        let text = std::fs::read_to_string(&path).ok()?;
        // Of a file that is not there, cargo would take every build for the first.
        println!("cargo::rerun-if-changed={}", path.display());
        Some(text)
    };
    let head = read("HEAD")?;
    let hash = match head.trim().strip_prefix("ref: ") {
        Some(branch) => read(branch)?,
        None => head,
    };
    hash.trim().get(..12).filter(|hash| hash.bytes().all(|b| b.is_ascii_hexdigit())).map(str::to_owned)
}

/// Where the C compiler keeps it; a bare name is what it says when it has none.
fn archive() -> Option<PathBuf> {
    let said = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim_end());
    let plain = path.to_str()?.bytes().all(|b| b.is_ascii_graphic() && !b"()\"',;".contains(&b));
    (path.is_absolute() && plain && path.is_file()).then_some(path)
}
