//! Python systems: the baseline, processes, and copy-on-write.

use super::*;

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        program: plain("run_sequential.py"),
        system: System {
            id: "python/sequential",
            title: "sequential",
            lesson: "One thread does every task in sequence, as a plain Python loop. \
                     Watch the wall time; an unconsumed map() seems faster only because it does nothing.",
            section: Section::Baseline,
            backend: Backend::Python,
            tasks: ALL_TASKS,
            params: Params { parent_mb: true, ..ONE },
            shape: alone,
        },
    },
    Entry {
        program: plain("run_os_fork.py"),
        system: System {
            id: "python/fork",
            title: "fork",
            lesson: "os.fork() copies the interpreter: a new PID with the same memory, copy-on-write; changing a reference count \
                     copies its page. Watch the children share the parent's command line and most of its pages.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: FORK_TASKS,
            params: FEW,
            shape: forked,
        },
    },
    Entry {
        program: plain("run_fork_exec.py"),
        system: System {
            id: "python/exec",
            title: "fork + exec",
            lesson: "Each child is forked and replaces itself by a fresh interpreter through os.execv(): same PID, new program. \
                     Watch the creation time: starting Python costs far more than the fork.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: forked,
        },
    },
    Entry {
        program: process(StartMethod::Fork),
        system: System {
            id: "python/process-fork",
            title: "Process, start method fork",
            lesson: "multiprocessing.Process uses start method fork, the default on Linux up to 3.13. \
                     Watch its cost grow with parent MiB, while each child's private memory stays the same.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: FORK_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: process(StartMethod::Spawn),
        system: System {
            id: "python/process-spawn",
            title: "Process, start method spawn",
            lesson: "Each child is a fresh interpreter that imports the main file again and unpickles its arguments. \
                     Watch the resource_tracker next to the children, and a cost that is high but independent of the parent.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: process(StartMethod::Forkserver),
        system: System {
            id: "python/process-forkserver",
            title: "Process, start method forkserver",
            lesson: "A clean server starts once, imports preloaded modules and forks every child: the default since 3.14. \
                     Watch two helpers appear, and the server as the parent of the children.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: Program { start: Start::Fixed(StartMethod::Forkserver), ..plain("run_spawn_preload.py") },
        system: System {
            id: "python/spawn-preload",
            title: "fork server with preload",
            lesson: "The fork server imports modules once (set_forkserver_preload), before it forks workers. \
                     Watch workers start without importing them.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: processes,
        },
    },
    Entry {
        program: plain("run_affinity.py"),
        system: System {
            id: "python/one-cpu",
            title: "processes on one CPU",
            lesson: "Processes compute together on all CPUs, then limited to one CPU by sched_setaffinity(2). \
                     Watch the speed-up vanish: concurrent, but not parallel.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: PI_FIRST,
            params: PAIR,
            shape: forked,
        },
    },
    Entry {
        program: plain("run_fork_with_threads.py"),
        system: System {
            id: "python/fork-with-threads",
            title: "fork with threads running",
            lesson: "A process with four threads forks while one of them holds a lock. \
                     Watch the child have a single thread, and the lock locked with no thread to release it.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: false },
            shape: forked_beside_threads,
        },
    },
    Entry {
        program: Program { file: "run_process_queue.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-queue",
            title: "process + queue",
            lesson: "A Process computes the factorial of 5 and returns it through a Queue: pipe, lock and feeder thread. \
                     Watch the child's second thread, which exists only to feed the pipe.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 1, tasks: None, parent_mb: true },
            shape: queue,
        },
    },
    Entry {
        program: Program { file: "run_process_pool_executor.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-pool-submit",
            title: "ProcessPoolExecutor.submit",
            lesson: "One call runs in another process and returns a future. \
                     Watch what a single call needs: a worker process, a manager thread and a feeder thread.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: Params { workers: None, fixed_workers: 1, tasks: Some(1), parent_mb: true },
            shape: process_pool,
        },
    },
    Entry {
        program: Program { file: "run_process_pool_executor.py", start: Start::Chosen, ..PLAIN },
        system: System {
            id: "python/process-pool-executor",
            title: "ProcessPoolExecutor.map",
            lesson: "A pool of worker processes receives pickled calls over one pipe. \
                     Watch ten workers lose to one for ten tiny tasks: creating a process costs more than the work.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: process_pool,
        },
    },
    Entry {
        program: pool(),
        system: System {
            id: "python/pool",
            title: "Pool.map",
            lesson: "multiprocessing.Pool starts all workers at once and sends tasks in chunks. \
                     Watch the three threads of the parent.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: POOL,
            shape: pool_of_processes,
        },
    },
    Entry {
        program: pool(),
        system: System {
            id: "python/pool-imap",
            title: "Pool.imap",
            lesson: "Pool.imap sends one task per message and yields results in order. \
                     Watch more messages than with map.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: POOL,
            shape: pool_of_processes,
        },
    },
    Entry {
        program: pool(),
        system: System {
            id: "python/pool-max-tasks",
            title: "Pool, maxtasksperchild",
            lesson: "Each worker ends after two tasks, and the pool starts another: a cure for leaks. \
                     Watch new PIDs.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: WORKING_TASKS,
            params: FEW,
            shape: pool_of_processes,
        },
    },
    Entry {
        program: Program { packages: &["mpire"], start: Start::Chosen, ..plain("run_mpire.py") },
        system: System {
            id: "python/mpire",
            title: "mpire WorkerPool",
            lesson: "A pool adds its own task queues, progress and exception handling to multiprocessing. \
                     Watch its threads in parent and workers, and compare its start-up with the executor's.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: mpire,
        },
    },
    Entry {
        program: Program { packages: &["loky"], ..plain("run_loky.py") },
        system: System {
            id: "python/loky",
            title: "loky executor",
            lesson: "loky starts fresh interpreters and keeps them for later calls. \
                     Watch two resource trackers, and a start dearer than a fork.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: loky,
        },
    },
    Entry {
        program: Program { packages: &["joblib"], ..plain("run_loky.py") },
        system: System {
            id: "python/joblib",
            title: "joblib.Parallel",
            lesson: "joblib.Parallel sends calls in batches to workers of loky. \
                     Watch loky's processes; with one worker there are none.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: joblib,
        },
    },
    Entry {
        program: Program { packages: &["distributed"], ..plain("run_dask_local.py") },
        system: System {
            id: "python/dask-local",
            title: "dask LocalCluster",
            lesson: "A scheduler in the main process sends tasks to worker processes over TCP on loopback. \
                     Watch many threads per worker.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: FEW,
            shape: dask_local,
        },
    },
    Entry {
        program: web(&["gunicorn"]),
        system: System {
            id: "python/gunicorn-sync",
            title: "gunicorn, sync workers",
            lesson: "A master forks worker processes, and each worker handles one request at a time. \
                     Watch requests wait with task sleep: no more than one per worker is served.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: WEB,
            shape: gunicorn,
        },
    },
    Entry {
        program: Program { gil: Gil::Preferred, ..web(&["gunicorn"]) },
        system: System {
            id: "python/gunicorn-gthread",
            title: "gunicorn, gthread workers",
            lesson: "Each worker process has a pool of four threads for requests. \
                     Watch four sleeps overlap in each worker; with task pi the GIL lets one thread compute.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: WEB,
            shape: gunicorn_threads,
        },
    },
    Entry {
        program: web(&["gunicorn", "uvicorn", "uvicorn-worker"]),
        system: System {
            id: "python/gunicorn-uvicorn",
            title: "gunicorn, uvicorn workers",
            lesson: "gunicorn's master forks workers that run uvicorn: an event loop for each. \
                     Watch all sleeps overlap; with task pi a request delays all others of its worker.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: WEB,
            shape: gunicorn_loops,
        },
    },
    Entry {
        program: web(&["uvicorn"]),
        system: System {
            id: "python/uvicorn",
            title: "uvicorn",
            lesson: "A supervisor starts fresh interpreters, and each runs an event loop on the same socket. \
                     Watch the start of its workers, which import everything again; one worker needs no supervisor.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: WEB,
            shape: uvicorn,
        },
    },
    Entry {
        program: web(&["granian"]),
        system: System {
            id: "python/granian",
            title: "granian",
            lesson: "Each worker has threads of Rust for HTTP and calls the application on an event loop of Python. \
                     Watch more threads than with uvicorn, and the time of a request.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: WEB,
            shape: granian,
        },
    },
    Entry {
        program: Program { packages: &["distributed"], cluster: true, ..plain("run_dask_cluster.py") },
        system: System {
            id: "python/dask-cluster",
            title: "dask on your cluster",
            lesson: "The tasks go to a scheduler and workers that run already, also on other hosts: --cluster tcp://HOST:PORT. \
                     Watch what one worker, one host and all hosts bring against one process.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: ELSEWHERE,
            params: Params { workers: None, fixed_workers: 1, tasks: Some(20), parent_mb: false },
            shape: dask_cluster,
        },
    },
    Entry {
        program: Program { packages: &["celery"], ..plain("run_celery.py") },
        system: System {
            id: "python/celery",
            title: "celery, prefork workers",
            lesson: "A main process forks workers and takes calls from a broker, here a directory of files. \
                     Watch how much longer a call takes than in a pool.",
            section: Section::Processes,
            backend: Backend::Python,
            tasks: CPU_TASKS,
            params: Params { parent_mb: false, ..FEW },
            shape: celery,
        },
    },
    Entry {
        program: plain("run_copy_on_write.py"),
        system: System {
            id: "python/copy-on-write",
            title: "copy-on-write",
            lesson: "Four forked children inherit objects: one idles, one reads, one collects garbage, one collects after gc.freeze(). \
                     Watch what each makes private: reading alone copies pages, because it changes reference counts.",
            section: Section::Exhibits,
            backend: Backend::Python,
            tasks: &[TaskKind::None],
            params: Params { workers: None, fixed_workers: 4, tasks: None, parent_mb: true },
            shape: four_forked,
        },
    },
];
