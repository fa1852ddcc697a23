#!/usr/bin/env python3
"""Runs healthy programs, idle and under load, and prints what `concmon problems` reports of them.

    python3 benches/false_alarms/run.py --concmon target/release/concmon --seconds 90 [NAME ...]

A program that is not installed is skipped, with the reason. Python packages are taken from the interpreter that runs this script:
`pip install gunicorn uvicorn uvicorn-worker hypercorn granian celery redis "dask[distributed]" joblib`. The output is the table of
docs/measurements.md. Exit code: 0 if no problem was reported of any program, 1 otherwise.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

HERE = pathlib.Path(__file__).parent
READY_S = 60
# No program here has a group of its own: a quota is that of the machine or container that runs this, and to report it is right.
OF_THE_MACHINE = {"throttled"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port):
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"port {port} was not opened within {READY_S} s")


def request_for_ever(port, stop):
    while not stop.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()


def run_for_ever(command, environment, stop):
    while not stop.is_set():
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class Program:
    """One healthy program: how to start it, and how to give it something to do."""

    def __init__(self, name, modules=(), tools=()):
        self.name, self.modules, self.tools = name, modules, tools
        self.environment = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
        self.processes = []

    def missing(self):
        modules = [name for name in self.modules if importlib.util.find_spec(name) is None]
        tools = [name for name in self.tools if shutil.which(name) is None]
        return ", ".join(modules + tools)

    def spawn(self, command, **more):
        log = open(self.folder / "log", "ab")  # noqa: SIM115: the process keeps it
        process = subprocess.Popen(
            [str(word) for word in command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True, **more,
        )
        self.processes.append(process)
        return process.pid

    def start(self, folder):
        """Starts it; returns the PID at the top of its processes."""
        raise NotImplementedError

    def load(self, stop):
        """Gives it something to do until `stop` is set."""
        stop.wait()

    def end(self):
        for process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Http(Program):
    """A web server. `command` gets a port."""

    def __init__(self, name, command, modules=(), tools=(), daemon=False):
        super().__init__(name, modules, tools)
        self.command, self.daemon = command, daemon

    def start(self, folder):
        self.folder, self.port = folder, free_port()
        self.daemon_pid = None
        pid = self.spawn(self.command(folder, self.port))
        wait_for_port(self.port)
        if self.daemon:
            self.daemon_pid = pid = int((folder / "pid").read_text())
        return pid

    def load(self, stop):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(request_for_ever, self.port, stop)

    def end(self):
        if self.daemon_pid:
            os.kill(self.daemon_pid, signal.SIGTERM)
        super().end()


class Script(Program):
    """A Python script that prints `ready`. It works while the file `busy` exists in its folder."""

    def __init__(self, name, text, modules=()):
        super().__init__(name, modules)
        self.text = textwrap.dedent(text)

    def start(self, folder):
        self.folder = folder
        (folder / "script.py").write_text(self.text)
        pid = self.spawn([sys.executable, "-u", "-W", "ignore", "script.py"])
        end = time.monotonic() + READY_S
        while b"ready" not in (folder / "log").read_bytes():
            if time.monotonic() > end or self.processes[0].poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-300:])
            time.sleep(0.1)
        return pid

    def load(self, stop):
        (self.folder / "busy").touch()
        stop.wait()
        (self.folder / "busy").unlink()


class Celery(Program):
    """Celery's prefork pool with Redis."""

    def start(self, folder):
        self.folder, port = folder, free_port()
        self.spawn(["redis-server", "--port", port, "--save", "", "--dir", folder])
        wait_for_port(port)
        self.environment["CELERY_BROKER"] = f"redis://127.0.0.1:{port}/0"
        pid = self.spawn([sys.executable, "-m", "celery", "-A", "app", "worker", "--concurrency", "2"])
        end = time.monotonic() + READY_S
        while b"ready." not in (folder / "log").read_bytes() and time.monotonic() < end:
            time.sleep(0.2)
        return pid

    def load(self, stop):
        run_for_ever([sys.executable, "-c", "import app\nfor n in range(500): app.task.delay(n)"], self.environment, stop)


class Postgres(Program):
    """PostgreSQL; not as root."""

    def start(self, folder):
        self.folder, self.port = folder, free_port()
        more = {}
        if os.geteuid() == 0:
            os.chmod(folder, 0o777)
            more = {"user": 65534, "group": 65534, "extra_groups": []}
        data = folder / "data"
        subprocess.run(["initdb", "-D", data, "-A", "trust", "-U", "me"], check=True, stdout=subprocess.DEVNULL, **more)
        pid = self.spawn(["postgres", "-D", data, "-p", self.port, "-k", folder, "-c", "listen_addresses=127.0.0.1"], **more)
        wait_for_port(self.port)
        return pid

    def load(self, stop):
        query = "select count(*) from generate_series(1, 300000)"
        command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "me", "-d", "postgres", "-c", query]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(run_for_ever, command, self.environment, stop)


class Make(Program):
    """make -j with compilations, again and again; idle, it waits for a slow one."""

    def start(self, folder):
        self.folder = folder
        names = " ".join(f"o{n}" for n in range(40))
        rule = "int f(int x){return x*x;}"
        text = f"all: {names}\n{names}:\n\t@echo '{rule}' | cc -O2 -x c -c - -o $@.o\nrest:\n\t@sleep 100000\n"
        (folder / "Makefile").write_text(text)
        loop = "while :; do if [ -e busy ]; then make -s -j4 all; else make -s -j2 rest & wait_for=$!; while [ ! -e busy ]; do sleep 1; done; kill $wait_for; wait; fi; done"
        return self.spawn(["sh", "-c", loop])

    def load(self, stop):
        (self.folder / "busy").touch()
        stop.wait()
        (self.folder / "busy").unlink()


class Demo(Program):
    """A demo of the lab, which runs under `concmon lab run`."""

    def __init__(self, name, concmon, system):
        super().__init__(name)
        self.concmon, self.system = concmon, system

    def start(self, folder):
        self.folder = folder
        command = f"while :; do '{self.concmon}' lab run {self.system} --workers 4 --hold-ms 15000 --no-setup; done"
        return self.spawn(["sh", "-c", command])


def nginx(folder, port):
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; server {{ listen 127.0.0.1:{port}; return 200 ok; }} }}\n"
    )
    return ["nginx", "-c", folder / "nginx.conf"]


def node(folder, port):
    (folder / "server.js").write_text(
        "const http = require('http'), crypto = require('crypto');\n"
        "http.createServer((q, s) => crypto.pbkdf2('a', 'b', 2000, 32, 'sha256', (e, k) => s.end(k.toString('hex'))))"
        f".listen({port}, '127.0.0.1');\n"
    )
    # Its own four threads would be more than a small machine has CPUs.
    return ["env", f"UV_THREADPOOL_SIZE={max(1, (os.cpu_count() or 1) - 1)}", "node", "server.js"]


def gunicorn(*more, application="app:wsgi"):
    return lambda folder, port: [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *more, application]


BUSY = """
    import os, time
    def busy(): return os.path.exists("busy")
    def work(n):
        total = 0
        for k in range(200_000): total += k * n
        return total
"""
JOBLIB = BUSY + """
    import joblib
    if __name__ == "__main__":
        with joblib.Parallel(n_jobs=2) as parallel:
            parallel(joblib.delayed(work)(n) for n in range(4))
            print("ready")
            while True:
                if busy(): parallel(joblib.delayed(work)(n) for n in range(50))
                else: time.sleep(.2)
"""
DASK = BUSY + """
    from distributed import Client, LocalCluster
    if __name__ == "__main__":
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
            client.gather(client.map(work, range(4)))
            print("ready")
            while True:
                if busy(): client.gather(client.map(work, range(100), pure=False))
                else: time.sleep(.2)
"""
POOL = BUSY + """
    import multiprocessing
    if __name__ == "__main__":
        # As wide as its CPUs: a wider one that computes is told as such, rightly.
        with multiprocessing.get_context("{method}").Pool(len(os.sched_getaffinity(0))) as pool:
            pool.map(work, range(4))
            print("ready")
            while True:
                if busy(): pool.map(work, range(100))
                else: time.sleep(.2)
"""
THREADS = BUSY + """
    import concurrent.futures, queue, threading
    jobs = queue.Queue()
    def consume():
        while True:
            jobs.get()
            jobs.task_done()
    for _ in range(2): threading.Thread(target=consume, daemon=True).start()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(abs, range(4)))
        print("ready")
        while True:
            if busy():
                for n in range(1000): jobs.put(n)
                jobs.join()
                list(pool.map(abs, range(100)))
            else: time.sleep(.2)
"""
ASYNCIO = BUSY + """
    import asyncio
    async def client(lock, jobs):
        while True:
            async with lock:
                await asyncio.sleep(.001 if busy() else .5)
            await jobs.put(1)
    async def server(jobs):
        while True:
            await jobs.get()
            jobs.task_done()
    async def main():
        lock, jobs = asyncio.Lock(), asyncio.Queue(2)
        tasks = [asyncio.create_task(client(lock, jobs)) for _ in range(5)] + [asyncio.create_task(server(jobs))]
        listener = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        print("ready")
        await asyncio.gather(*tasks)
    asyncio.run(main())
"""


def programs(concmon):
    plain = ("-w", "2")
    yield Http("gunicorn sync", gunicorn(*plain), ["gunicorn"])
    yield Http("gunicorn gthread", gunicorn(*plain, "-k", "gthread", "--threads", "4"), ["gunicorn"])
    yield Http("gunicorn --preload", gunicorn(*plain, "--preload"), ["gunicorn"])
    yield Http(
        "gunicorn --daemon",
        lambda folder, port: gunicorn(*plain, "--daemon", "-p", str(folder / "pid"))(folder, port), ["gunicorn"], daemon=True,
    )
    worker = "uvicorn_worker.UvicornWorker"
    yield Http("gunicorn with uvicorn", gunicorn(*plain, "-k", worker, application="app:asgi"), ["gunicorn", "uvicorn_worker"])
    yield Http(
        "uvicorn --workers 2",
        lambda folder, port: [sys.executable, "-m", "uvicorn", "--port", port, "--workers", 2, "app:asgi"], ["uvicorn"],
    )
    yield Http(
        "hypercorn --workers 2",
        lambda folder, port: [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{port}", "-w", 2, "app:asgi"], ["hypercorn"],
    )
    yield Http(
        "granian --workers 2",
        lambda folder, port: [sys.executable, "-m", "granian", "--port", port, "--workers", 2, "--interface", "asgi", "app:asgi"],
        ["granian"],
    )
    yield Celery("celery prefork, redis", ["celery", "redis"], ["redis-server"])
    yield Script("dask LocalCluster", DASK, ["distributed"])
    yield Script("joblib (loky)", JOBLIB, ["joblib"])
    for method in ("fork", "spawn", "forkserver"):
        yield Script(f"multiprocessing.Pool ({method})", POOL.replace("{method}", method))
    yield Script("ThreadPoolExecutor, queue.Queue", THREADS)
    yield Script("asyncio: lock, queue, server", ASYNCIO)
    yield Postgres("postgres", tools=["postgres", "initdb", "psql"])
    yield Http("nginx", nginx, tools=["nginx"])
    yield Http("node", node, tools=["node"])
    yield Make("make -j4", tools=["make", "cc"])
    for system in ("native/fork", "native/thread-pool", "python/process-pool-executor", "python/thread-pool-executor", "python/asyncio"):
        yield Demo(f"lab run {system}", concmon, system)


def is_alarm(finding):
    return finding["level"] == "warning" and finding["id"] not in OF_THE_MACHINE


def look(concmon, pid, seconds):
    command = [concmon, "problems", "--json", "--for", str(seconds), f"under({pid})"]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    if output.returncode not in (0, 1):
        raise RuntimeError(f"concmon: exit code {output.returncode}: {output.stderr.strip()}")
    found = json.loads(output.stdout)
    problems = [f"{p['cause']}: {p['tasks'][0]['wait']['evidence']}" for p in found["problems"]]
    warnings = [f"{f['id']}: {f['evidence']}" for f in found["findings"] if is_alarm(f)]
    information = [f["id"] for f in found["findings"] if not is_alarm(f)]
    return problems + warnings, sorted(set(information)), found["looked"]["processes"]


def attempt(program, concmon, seconds):
    """The row of the table of one program, and whether a problem was reported."""
    missing = program.missing()
    if missing:
        return f"| {program.name} | skipped: {missing} is not installed | | |", False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        stop, cells, information, alarm = threading.Event(), [], set(), False
        loader = threading.Thread(target=program.load, args=(stop,))
        try:
            pid = program.start(pathlib.Path(folder))
            for phase in ("idle", "load"):
                if phase == "load":
                    loader.start()
                problems, more, _ = look(concmon, pid, seconds)
                information.update(more)
                alarm |= bool(problems)
                cells.append("none" if not problems else "; ".join(problems))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            return f"| {program.name} | failed: {error} | | |", True
        finally:
            stop.set()
            if loader.is_alive():
                loader.join()
            program.end()
    return f"| {program.name} | {cells[0]} | {cells[1]} | {', '.join(sorted(information))} |", alarm


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concmon", default="target/release/concmon")
    parser.add_argument("--seconds", type=float, default=90, help="time of each of the two phases")
    parser.add_argument("names", nargs="*", help="only programs whose name contains one of these")
    args = parser.parse_args()
    concmon = str(pathlib.Path(args.concmon).resolve())
    print("| program | idle | under load | for information |\n|---|---|---|---|", flush=True)
    alarms = 0
    for program in programs(concmon):
        if not args.names or any(name in program.name for name in args.names):
            row, alarm = attempt(program, concmon, args.seconds)
            alarms += alarm
            print(row, flush=True)
    sys.exit(1 if alarms else 0)


if __name__ == "__main__":
    main()
