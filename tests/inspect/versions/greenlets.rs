//! Greenlets have the frames that the program itself reports of them, in the interpreter of the managed environment and in those of
//! `CONCMON_TEST_PYTHONS` that have the module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use concmon::inspect;
use concmon::kernel::DetailReader;
use concmon::snapshot::{DetailContent, Greenlet, GreenletState, Greenlets, PythonRuntime};
use serde_json::Value;

use super::{Target, common};

/// `report()` prints each greenlet that has started and not finished, with its type and the frames that it has while it waits.
const REPORTING: &str = "
import gc, greenlet
def report(**more):
    told = {}
    for one in gc.get_objects():
        if isinstance(one, greenlet.greenlet) and greenlet.greenlet.__bool__(one):
            frames, frame = [], one.gr_frame
            while frame is not None:
                frames.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
                frame = frame.f_back
            told['%#x' % id(one)] = {'type': type(one).__name__, 'frames': frames}
    print(json.dumps({'greenlets': told, **more}), flush=True)
";

/// The interpreters that can import the module.
pub(super) fn pythons_with(module: &str) -> Vec<PathBuf> {
    let data = std::env::var_os("CONCMON_TEST_DATA").map(PathBuf::from);
    let homes = data.and_then(|data| std::fs::read_dir(data.join("concmon/python")).ok()).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = homes.map(|home| home.path().join("bin/python3")).chain(common::named()).collect();
    found.retain(|python| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if found.is_empty() {
        loudly!("SKIPPED: no interpreter of CONCMON_TEST_DATA or CONCMON_TEST_PYTHONS has {module}");
    }
    found
}

pub(super) fn read_whole(pid: i32) -> PythonRuntime {
    let reader = DetailReader::open("/proc").unwrap();
    match inspect::read_whole(&reader, reader.key_of(pid).unwrap()).unwrap().content {
        Ok(DetailContent::Runtime(runtime)) => *runtime,
        other => panic!("{other:?}"),
    }
}

/// What `concmon inspect --json` prints, which fits its schema.
pub(super) fn json(pid: i32) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    let output = command.args(["inspect", &pid.to_string(), "--json"]).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema: Value = serde_json::from_str(include_str!("../../../assets/report/inspect.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new());
    value
}

/// Whether the interpreter has no GIL, and with it no lists of objects.
fn is_free_threaded(python: &Path) -> bool {
    let code = "import sysconfig; raise SystemExit(sysconfig.get_config_var('Py_GIL_DISABLED') == 1)";
    Command::new(python).args(["-c", code]).status().unwrap().code() == Some(1)
}

type Frame = (String, String, i64);

fn frames(one: &Greenlet) -> Vec<Frame> {
    let frame = |frame: &concmon::snapshot::PythonFrame| {
        let name = frame.function.rsplit('.').next().unwrap().to_owned();
        std::iter::repeat_n((name, frame.file.to_string(), frame.line.map_or(-1, i64::from)), frame.times)
    };
    one.frames.iter().flat_map(frame).collect()
}

/// Type and frames of each greenlet by its address.
fn by_id(greenlets: &Greenlets) -> BTreeMap<String, (String, Vec<Frame>)> {
    greenlets.greenlets.iter().map(|one| (format!("{:#x}", one.id), (one.kind.to_string(), frames(one)))).collect()
}

fn reported(told: &Value) -> BTreeMap<String, (String, Vec<Frame>)> {
    let frame =
        |frame: &Value| (frame[0].as_str().unwrap().into(), frame[1].as_str().unwrap().into(), frame[2].as_i64().unwrap());
    let one = |one: &Value| {
        (one["type"].as_str().unwrap().to_owned(), one["frames"].as_array().unwrap().iter().map(frame).collect::<Vec<_>>())
    };
    told["greenlets"].as_object().unwrap().iter().map(|(id, told)| (id.clone(), one(told))).collect()
}

/// Reads until what was read is accepted.
fn until_so(pid: i32, accept: impl Fn(&Greenlets) -> Result<(), String>) -> (PythonRuntime, Greenlets) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut runtime = read_whole(pid);
        let why = match runtime.greenlets.take() {
            Some(greenlets) => match accept(&greenlets) {
                Ok(()) => return (runtime, greenlets),
                Err(why) => why,
            },
            None => format!("{:?}", runtime.notes),
        };
        assert!(Instant::now() < until, "{why}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn waiting_greenlets_have_the_frames_that_the_program_reports_and_the_running_ones_those_of_their_threads() {
    let script = format!(
        "{REPORTING}
class Own(greenlet.greenlet):
    pass
main = greenlet.getcurrent()
def waiting(depth):
    def numbers():
        yield main.switch()
    if depth > 0:
        return waiting(depth - 1)
    try:
        1 / 0
    except ZeroDivisionError:
        # Within an exception that is handled, and a generator.
        for number in numbers():
            pass
def plain():
    main.switch(
    )
class Class:
    def method(self):
        waiting(0)
keep = [Own(lambda: waiting(3)), greenlet.greenlet(plain), Own(Class().method)]
keep += [greenlet.greenlet(plain) for n in range(40)]
[one.switch() for one in keep]
keep.append(greenlet.greenlet(plain))
ended = greenlet.greenlet(lambda: None)
ended.switch()
def in_thread():
    here = greenlet.getcurrent()
    below = greenlet.greenlet(lambda: here.switch())
    below.switch()
    stander = greenlet.greenlet(stand_at_gate)
    keep.extend([here, below, stander])
    begun.set()
    stander.switch()
begun = threading.Event()
begin(1, in_thread)
begun.wait()
gc.collect(0)
def answer():
    while sys.stdin.readline():
        report(stander=next(t.native_id for t in threading.enumerate() if t is not threading.current_thread()))
answering = greenlet.greenlet(answer)
answering.switch()
"
    );
    for python in pythons_with("greenlet") {
        let mut target = Target::start(&python, &script);
        let told = target.ask();
        if is_free_threaded(&python) {
            let notes = read_whole(target.pid()).notes;
            assert!(notes.iter().any(|note| note.contains("It uses greenlets, which cannot be read")), "{notes:?}");
            continue;
        }
        let expected = reported(&told);
        assert_eq!(expected.len(), 48, "{expected:?}");
        let (_, greenlets) = until_so(target.pid(), |greenlets| match by_id(greenlets) {
            found if found == expected => Ok(()),
            found => Err(format!("{}: {found:?}\nreported: {expected:?}", python.display())),
        });
        assert_eq!(greenlets.count, 48);
        let (main, stander) = (target.pid(), i32::try_from(told["stander"].as_i64().unwrap()).unwrap());
        let of = |tid: i32| greenlets.greenlets.iter().filter(move |one| one.tid == Some(tid));
        assert_eq!((of(main).count(), of(stander).count()), (45, 3), "{}: {greenlets:?}", python.display());
        for tid in [main, stander] {
            let running: Vec<_> = of(tid).filter(|one| one.state == GreenletState::Running).collect();
            assert!(matches!(running[..], [one] if one.frames.is_empty() && !one.is_main), "{running:?}");
            assert_eq!(of(tid).filter(|one| one.is_main).count(), 1);
        }
    }
}

#[test]
fn greenlets_of_gevent_wait_and_their_hub_runs() {
    let script = format!(
        "{REPORTING}
import gevent, gevent.event, gevent.queue
def sleeper(n):
    gevent.sleep(
        1000 + n)
def getter():
    gevent.queue.Queue().get()
def waiter():
    gevent.event.Event().wait()
keep = [gevent.spawn(sleeper, n) for n in range(20)] + [gevent.spawn(getter), gevent.spawn(waiter)]
later = gevent.spawn_later(1000, getter)
gevent.sleep(0.01)
report()
gevent.sleep(1000)
"
    );
    for python in pythons_with("gevent") {
        let mut target = Target::start(&python, &script);
        let told = target.told();
        let expected: BTreeMap<_, _> = reported(&told).into_iter().filter(|(_, (kind, _))| kind == "Greenlet").collect();
        assert_eq!(expected.len(), 22, "{expected:?}");
        until_so(target.pid(), |greenlets| {
            let is_running = |one: &&Greenlet| one.state == GreenletState::Running;
            let running: Vec<&str> = greenlets.greenlets.iter().filter(is_running).map(|one| &*one.kind).collect();
            let mut found = by_id(greenlets);
            found.retain(|_, (kind, _)| kind == "Greenlet");
            if found == expected && running == ["Hub"] && greenlets.count == 24 {
                Ok(())
            } else {
                Err(format!("{}: {running:?} {found:?}\nreported: {expected:?}", python.display()))
            }
        });
        assert_eq!(json(target.pid())["greenlets"]["greenlets"].as_array().unwrap().len(), 24);
    }
}

#[test]
fn greenlets_that_go_on_are_never_shown_in_functions_where_they_do_not_wait() {
    let script = format!(
        "{REPORTING}
main = greenlet.getcurrent()
def red():
    main.switch()
def green():
    main.switch()
def in_red():
    while True:
        red()
def in_green():
    while True:
        green()
keep = [greenlet.greenlet(function) for function in (in_red, in_green) * 20]
sys.setswitchinterval(1e-5)
junk = []
told = False
while True:
    for one in keep:
        one.switch()
    junk.append([[] for n in range(100)])
    if len(junk) > 100:
        junk.clear()
    if not told:
        report()
        told = True
"
    );
    for python in pythons_with("greenlet").into_iter().filter(|python| !is_free_threaded(python)) {
        let mut target = Target::start(&python, &script);
        target.told();
        let (mut read, mut seen) = (0, 0);
        for _ in 0..30 {
            let Some(greenlets) = read_whole(target.pid()).greenlets else { continue };
            read += 1;
            for one in greenlets.greenlets.iter().filter(|one| !one.moved && !one.is_main && one.state == GreenletState::Waiting)
            {
                let functions: Vec<&str> = one.frames.iter().map(|frame| &*frame.function).collect();
                assert!(
                    matches!(functions[..], ["red", "in_red"] | ["green", "in_green"] | ["in_red"] | ["in_green"]),
                    "{}: {one:?}",
                    python.display()
                );
                seen += 1;
            }
        }
        assert!(read > 0 && seen > 0, "{}: {read} readings, {seen} greenlets", python.display());
    }
}
