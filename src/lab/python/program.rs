//! The program of a Python run: the interpreter, the system's main file, and the modules beside it.

use super::probe::Interpreter;
use crate::lab::catalog::PythonProgram;
use crate::lab::control::{Program, RUN_DIRECTORY};

/// The module of the protocol; a program of the user's own may import it too.
pub const WORKER_MODULE: (&str, &str) = ("concmon_lab.py", include_str!("../../../assets/python/concmon_lab.py"));

/// Compiles the modules, then becomes the main file.
const BOOT: &str = "lab_boot.py";

/// Modules every run gets.
const SHARED: &[(&str, &str)] = &[
    WORKER_MODULE,
    (BOOT, include_str!("../../../assets/python/lab_boot.py")),
    ("lab_recorder.py", include_str!("../../../assets/python/lab_recorder.py")),
    ("lab_root.py", include_str!("../../../assets/python/lab_root.py")),
    ("lab_celery.py", include_str!("../../../assets/python/lab_celery.py")),
    ("lab_echo_client.py", include_str!("../../../assets/python/lab_echo_client.py")),
    ("lab_outside.py", include_str!("../../../assets/python/lab_outside.py")),
    ("lab_pool.py", include_str!("../../../assets/python/lab_pool.py")),
    ("lab_worker.py", include_str!("../../../assets/python/lab_worker.py")),
    ("lab_http_client.py", include_str!("../../../assets/python/lab_http_client.py")),
    ("lab_server.py", include_str!("../../../assets/python/lab_server.py")),
    ("lab_service.py", include_str!("../../../assets/python/lab_service.py")),
    ("lab_tasks.py", include_str!("../../../assets/python/lab_tasks.py")),
    ("lab_units.py", include_str!("../../../assets/python/lab_units.py")),
    ("lab_web.py", include_str!("../../../assets/python/lab_web.py")),
];

macro_rules! mains {
    ($($name:literal),* $(,)?) => {
        /// Main files, one per kind of system.
        const MAINS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../assets/python/", $name)))),*];
    };
}

mains!(
    "run_affinity.py",
    "run_aiofiles.py",
    "run_aiohttp.py",
    "run_anyio.py",
    "run_anyio_tests.py",
    "run_async_vs_threads.py",
    "run_asyncio.py",
    "run_asyncio_files.py",
    "run_blocked_loop.py",
    "run_celery.py",
    "run_copy_on_write.py",
    "run_cpu_threads.py",
    "run_dask_cluster.py",
    "run_dask_local.py",
    "run_django.py",
    "run_echo.py",
    "run_fork_exec.py",
    "run_fork_with_threads.py",
    "run_gevent.py",
    "run_interpreter_pool_executor.py",
    "run_interpreters.py",
    "run_loky.py",
    "run_loop_interface.py",
    "run_loop_jobs.py",
    "run_mpire.py",
    "run_os_fork.py",
    "run_pool.py",
    "run_process.py",
    "run_process_pool_executor.py",
    "run_process_queue.py",
    "run_sequential.py",
    "run_sleep_threads.py",
    "run_sockets.py",
    "run_spawn_preload.py",
    "run_thread.py",
    "run_thread_pool_executor.py",
    "run_trio.py",
    "run_web.py",
);

/// What to execute; `None` if the system names a file that this binary does not carry.
#[must_use]
pub fn program(system: &PythonProgram, interpreter: &Interpreter) -> Option<Program> {
    let (name, text) = MAINS.iter().find(|(name, _)| *name == system.file)?;
    let files = SHARED.iter().chain([&(*name, *text)]).map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    let python = interpreter.path.to_string_lossy().into_owned();
    let args = vec![python.clone(), "-s".into(), BOOT.into(), python, (*name).into()];
    // The run's own directory first, for interpreters that the system's processes start themselves; what is printed is seen at once.
    let env = vec![("PYTHONPATH".into(), RUN_DIRECTORY.into()), ("PYTHONUNBUFFERED".into(), "1".into())];
    Some(Program { path: interpreter.path.clone(), args, env, env_remove: vec!["PYTHON*".into()], files, directory: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog::{SYSTEMS, python_program};

    #[test]
    fn every_python_system_of_the_catalog_has_its_file_and_every_file_a_system() {
        let used: Vec<&str> = SYSTEMS.iter().filter_map(|s| python_program(s.id)).map(|p| p.file).collect();
        for file in &used {
            assert!(MAINS.iter().any(|(name, _)| name == file), "{file} is not embedded");
        }
        for (name, _) in MAINS {
            assert!(used.contains(name), "{name} is run by no system");
        }
    }
}
