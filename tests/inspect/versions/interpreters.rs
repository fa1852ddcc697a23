//! Sub-interpreters: the frames are those that the code in them and around them reports, with the TID of their thread.

use std::time::{Duration, Instant};

use concmon::snapshot::PythonRuntime;

use super::{Target, agreed, as_told, frames, on_each, read, told_frames};

/// The module has another name since 3.13.
const SUB: &str = "
try:
    import _interpreters as sub
except ImportError:
    import _xxsubinterpreters as sub
";

/// The runtime without its sub-interpreters.
fn main_of(runtime: &PythonRuntime) -> PythonRuntime {
    let mut main = runtime.clone();
    main.interpreters.retain(|one| one.id == 0);
    main
}

#[test]
fn sub_interpreters_have_frames_and_locks_of_their_own() {
    let script = r"
code = '''
import json, sys, threading, time
def report(frame):
    frames = []
    while frame is not None:
        frames.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
        frame = frame.f_back
    tid = threading.get_native_id()
    print(json.dumps({'tid': tid, 'threads': {str(tid): {'frames': frames}}}), flush=True)
def stand_inside():
    report(sys._getframe()); time.sleep(600)
stand_inside()
'''
def stand_outside():
    sub.run_string(sub.create(), code)
begin(1, stand_outside)
stay()
";
    on_each(9, |python, minor| {
        let mut target = Target::start(python, &format!("{SUB}{script}"));
        let pid = target.pid();
        let told = target.told();
        let tid = told["tid"].as_u64().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        let runtime = loop {
            let runtime = read(pid).unwrap();
            let inside = runtime.interpreters.get(1).and_then(|one| one.threads.first());
            if inside.is_some_and(|inside| inside.native_id == tid && frames(inside) == told_frames(&told)[&tid]) {
                break runtime;
            }
            assert!(Instant::now() < until, "{}: {told}, read {runtime:#?}", python.display());
            std::thread::sleep(Duration::from_millis(5));
        };
        let [main, sub] = &runtime.interpreters[..] else { panic!("{runtime:#?}") };
        assert_eq!(sub.threads.len(), 1);
        // Each has a lock of its own since 3.12.
        assert_eq!(main.gil_address == sub.gil_address, minor < 12, "{}", python.display());
        // The thread that runs it is one of the main interpreter too, with the frames around it.
        let (runtime, _) = agreed(python, &mut target, pid, |runtime, told| as_told(&main_of(runtime), told, 1));
        let outside = runtime.interpreters[0].threads.iter().find(|thread| thread.native_id == tid).unwrap();
        assert_eq!(frames(outside)[0].0, "stand_outside");
    });
}

/// Before 3.11 a TID is read from the C library's structure of the thread, which is gone or has no TID any more.
#[test]
fn an_interpreter_whose_thread_has_ended_hides_no_other_thread() {
    let script = "
begin(2)
tell(2)
made = []
maker = threading.Thread(target=lambda: made.append(sub.create()))
maker.start()
maker.join()
print('{}', flush=True)
stay()
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, &format!("{SUB}{script}"));
        let pid = target.pid();
        target.told();
        target.told();
        let (runtime, _) = agreed(python, &mut target, pid, |runtime, told| as_told(&main_of(runtime), told, 2));
        assert_eq!(runtime.interpreters.len(), 2, "{}", python.display());
    });
}
