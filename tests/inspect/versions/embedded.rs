//! Programs of other names that have CPython in them: linked to its library, with all of it linked in, stripped or not, or in a library of
//! their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use concmon::lab::python::{Interpreter, interpreters};
use serde_json::Value;

use super::{Target, agreed, as_told, common, on_each, read};
use crate::support::programs;

const HOST: &str = "
void Py_Initialize(void);
int PyRun_SimpleString(const char *);
int main(int argc, char **argv) { Py_Initialize(); return PyRun_SimpleString(argv[argc - 1]); }
";

/// A host whose Python is in a library that it loads.
const LOADER: &str = r#"
#include <dlfcn.h>
int main(int argc, char **argv) {
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_GLOBAL);
    if (!plugin) return 1;
    ((void (*)(void))dlsym(plugin, "Py_Initialize"))();
    return ((int (*)(const char *))dlsym(plugin, "PyRun_SimpleString"))(argv[argc - 1]);
}
"#;

/// Where the interpreter has its home, its shared and its static library.
const PARTS: &str = "
import json, os, sys, sysconfig
shared = {line.split()[-1] for line in open('/proc/self/maps') if '/libpython3' in line}
static = '%s/libpython%s.a' % (sysconfig.get_config_var('LIBPL'), sysconfig.get_config_var('LDVERSION'))
print(json.dumps({'home': sys.base_prefix, 'shared': min(shared, default=None),
    'static': static if os.path.exists(static) else None}))
";

const LIBRARIES: [&str; 4] = ["-lpthread", "-ldl", "-lutil", "-lm"];

const STANDING: &str = "
begin(3)
tell(3)
stay()
";

/// One interpreter's parts, and a place for what is made of them.
struct Workshop {
    python: PathBuf,
    minor: u8,
    home: String,
    place: tempfile::TempDir,
}

impl Workshop {
    /// A C program or library; the linker's message if it cannot be made.
    fn compile(&self, source: &str, name: &str, arguments: &[&str]) -> Result<PathBuf, String> {
        let (file, made) = (self.place.path().join(format!("{name}.c")), self.place.path().join(name));
        std::fs::write(&file, source).unwrap();
        let output = Command::new("cc").arg(&file).arg("-o").arg(&made).args(arguments).args(LIBRARIES).output();
        let output = output.map_err(|error| format!("cc: {error}"))?;
        output.status.success().then_some(made).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts the program with the interpreter's modules.
    fn start(&self, program: &Path) -> Target {
        let script = self.place.path().join("start");
        programs::script(&script, &format!("#!/bin/sh\nPYTHONHOME={} exec {} \"$@\"\n", self.home, program.display()));
        let mut target = Target::start(&script, STANDING);
        target.told();
        let exe = std::fs::read_link(format!("/proc/{}/exe", target.pid())).unwrap();
        assert!(!exe.file_name().unwrap().to_string_lossy().contains("python"), "{exe:?}");
        target
    }

    fn is_read(&self, program: &Path) {
        let mut target = self.start(program);
        let pid = target.pid();
        let (runtime, _) = agreed(program, &mut target, pid, |runtime, told| as_told(runtime, told, 3));
        assert_eq!(runtime.version.minor(), (3, self.minor), "{} {}", self.python.display(), program.display());
    }

    /// 3.9 has no section of its own for its runtime: without symbols in the program it is not found.
    fn is_read_from_310(&self, program: &Path) {
        if self.minor > 9 {
            return self.is_read(program);
        }
        let why = read(self.start(program).pid()).unwrap_err();
        assert!(why.contains("is not CPython: neither the program nor"), "{why}");
    }
}

/// Of all interpreters of that version the one with the most libraries, and where they are.
fn with_libraries(python: &Path, minor: u8) -> (PathBuf, Value) {
    let found = interpreters(&common::named());
    let free_threaded = |path: &Path| found.interpreters.iter().any(|one| one.path == path && one.free_threaded);
    let same = |one: &&Interpreter| one.version.1 == minor && one.free_threaded == free_threaded(python);
    let parts = |one: &Interpreter| {
        let output = Command::new(&one.path).args(["-c", PARTS]).output().unwrap();
        (one.path.clone(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let libraries =
        |(_, parts): &(PathBuf, Value)| [&parts["shared"], &parts["static"]].iter().filter(|path| !path.is_null()).count();
    found.interpreters.iter().filter(same).map(parts).max_by_key(libraries).unwrap()
}

#[test]
fn a_program_that_embeds_python_is_read_whatever_its_name_and_however_it_is_linked() {
    on_each(9, |python, minor| {
        let (python, parts) = with_libraries(python, minor);
        let home = parts["home"].as_str().unwrap().to_owned();
        let shop = Workshop { python, minor, home, place: tempfile::tempdir().unwrap() };
        let skipped =
            |what: &str, why: &str| loudly!("SKIPPED: {}: {what}: {}", shop.python.display(), why.lines().last().unwrap_or(""));
        // The interpreter itself under another name is a program that has all of it linked in.
        if parts["shared"].is_null() {
            let copy = shop.place.path().join("renamed");
            programs::copy(shop.python.canonicalize().unwrap(), &copy);
            shop.is_read(&copy);
        }
        match parts["shared"].as_str() {
            Some(shared) => {
                let path = format!("-Wl,-rpath,{}", Path::new(shared).parent().unwrap().display());
                match shop.compile(HOST, "linked", &["-s", shared, &path]) {
                    Ok(program) => shop.is_read(&program),
                    Err(why) => skipped("a program linked to it", &why),
                }
            }
            None => skipped("a program linked to it", "there is no shared library"),
        }
        let Some(library) = parts["static"].as_str() else {
            return skipped("a program with it linked in", "there is no static library");
        };
        match shop.compile(HOST, "exporting", &["-s", "-rdynamic", library]) {
            Ok(program) => shop.is_read(&program),
            Err(why) => return skipped("a program with it linked in", &why),
        }
        shop.is_read(&shop.compile(HOST, "hiding", &[library]).unwrap());
        shop.is_read_from_310(&shop.compile(HOST, "stripped", &["-s", library]).unwrap());
        let whole = ["-shared", "-s", "-Wl,--whole-archive", library, "-Wl,--no-whole-archive"];
        match shop.compile("", "plugin.so", &whole) {
            Ok(plugin) => {
                let plugin = format!("-DPLUGIN=\"{}\"", plugin.display());
                shop.is_read_from_310(&shop.compile(LOADER, "loading", &[&plugin]).unwrap());
            }
            Err(why) => skipped("a library of another name", &why),
        }
    });
}
