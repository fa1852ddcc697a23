"""The lab's figures beside those of a stopwatch: each system run by concmon and by a script of its own, which uses nothing of concmon, in turn.

    python3 benches/stopwatch/run.py [--concmon PATH] [--rounds N] [--order N] [--only WORD] PYTHON...

Prints one table per interpreter (the medians of the rounds: concmon / script, and the difference where it is larger than allowed) and, with
--order, how often tiny runs come out in the right order, by the medians of three interleaved runs each. Allowed: 10 % or 50 us for creation
and wall, 10 % or 0.3 ms for CPU, 5 % or 50 faults, 5 % or 64 KiB for memory; and the spread of the script's own rounds (half the distance of
its quartiles), as no figure is steadier than what it measures.
"""
import argparse, json, os, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
FORK, SPAWN, SERVER = (["--start-method", m] for m in ("fork", "spawn", "forkserver"))
#: System, options of `concmon lab run`, the script and its arguments.
SYSTEMS = [
    ("sequential", [], ["sequential.py"]),
    ("fork", [], ["fork.py", "fork", "4"]),
    ("fork", ["--workers", "1"], ["fork.py", "fork", "1"]),
    ("exec", [], ["fork.py", "exec", "4"]),
    ("process-fork", [], ["process.py", "fork", "4"]),
    ("process-fork", ["--workers", "1"], ["process.py", "fork", "1"]),
    ("process-fork", ["--workers", "10"], ["process.py", "fork", "10"]),
    ("process-spawn", [], ["process.py", "spawn", "4"]),
    ("process-spawn", ["--workers", "1"], ["process.py", "spawn", "1"]),
    ("process-forkserver", [], ["process.py", "forkserver", "4"]),
    ("process-pool-submit", FORK, ["pool.py", "fork", "1", "1"]),
    ("process-pool-executor", FORK, ["pool.py", "fork", "4", "10"]),
    ("process-pool-executor", [*FORK, "--workers", "1"], ["pool.py", "fork", "1", "10"]),
    ("process-pool-executor", [*FORK, "--workers", "10"], ["pool.py", "fork", "10", "10"]),
    ("process-pool-executor", SPAWN, ["pool.py", "spawn", "4", "10"]),
    ("process-pool-executor", SERVER, ["pool.py", "forkserver", "4", "10"]),
    ("thread", [], ["thread.py", "4"]),
    ("thread", ["--workers", "10"], ["thread.py", "10"]),
    ("thread-pool-executor", ["--workers", "1"], ["pool.py", "thread", "1", "10"]),
    ("thread-pool-executor", ["--workers", "10"], ["pool.py", "thread", "10", "10"]),
    ("asyncio", [], ["tasks.py", "10"]),
]
#: From the fastest to the slowest.
ORDER = [SYSTEMS[i] for i in (0, 18, 19, 12, 13)]
NAMES = ("creation us", "wall us", "cpu us", "faults", "switches", "PSS KiB", "USS KiB")
#: What is allowed as a share, and in the unit.
ALLOWED = ((0.1, 50), (0.1, 50), (0.1, 300), (0.05, 50), (0.1, 20), (0.05, 64), (0.05, 64))


def median(values):
    return statistics.median(values) if values else None


def of_concmon(concmon, python, system, options):
    command = [concmon, "lab", "run", "python/" + system, *options, "--python", python, "--json"]
    run = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["runs"][0]
    workers = [w for w in run["workers"] if w["pss_bytes"]]
    created = [ns / 1e3 for ns in run["creation_ns"] if ns]
    return (
        median(created) if system != "sequential" else None,
        run["wall_ns"] / 1e3,
        run["cpu_ns"] / 1e3,
        run["minor_faults"],
        run["voluntary_switches"],
        median([w["pss_bytes"] / 1024 for w in workers]),
        median([w["uss_bytes"] / 1024 for w in workers]),
    )


def of_script(python, script):
    command = [python, os.path.join(HERE, script[0]), *script[1:]]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    cpu, faults, switches = said["costs"]
    memory = [[each[i] / 1024 for each in said["memory"]] for i in (0, 1)]
    return (median([ns / 1e3 for ns in said["creation"]]), said["wall"] / 1e3, cpu / 1e3, faults, switches, *map(median, memory))


def spread(values):
    if len(values) < 4:
        return 0
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2


def table(concmon, python, rounds, only):
    print("\n%s, medians of %d interleaved rounds: concmon / script\n" % (python, rounds))
    print("| system | %s |" % " | ".join(NAMES))
    print("|" + "---|" * (len(NAMES) + 1))
    far = 0
    for system, options, script in SYSTEMS:
        if only and only not in system:
            continue
        ours, theirs = [], []
        for turn in range(rounds):
            for act in (0, 1) if turn % 2 else (1, 0):
                if act:
                    ours.append(of_concmon(concmon, python, system, options))
                else:
                    theirs.append(of_script(python, script))
        cells = []
        for i, (share, units) in enumerate(ALLOWED):
            a, b = [r[i] for r in ours if r[i] is not None], [r[i] for r in theirs if r[i] is not None]
            if not a or not b:
                cells.append("-")
                continue
            mine, his = median(a), median(b)
            within = abs(mine - his) <= max(share * his, units, spread(b))
            far += not within
            cells.append("%.0f / %.0f%s" % (mine, his, "" if within else " **%+.0f %%**" % ((mine / max(his, 1) - 1) * 100)))
        print("| %s %s | %s |" % (system, " ".join(options).replace("--start-method ", "").replace("--workers ", "x"), " | ".join(cells)), flush=True)
    print("\n%d figures differ by more than is allowed." % far)


def order(concmon, python, times):
    ours = theirs = 0
    for _ in range(times):
        mine, his = [[] for _ in ORDER], [[] for _ in ORDER]
        for _ in range(3):
            for at, (system, options, script) in enumerate(ORDER):
                mine[at].append(of_concmon(concmon, python, system, options)[1])
                his[at].append(of_script(python, script)[1])
        mine, his = [median(walls) for walls in mine], [median(walls) for walls in his]
        ours, theirs = ours + (mine == sorted(mine)), theirs + (his == sorted(his))
    names = ["%s %s" % (system, " ".join(options)) for system, options, _ in ORDER]
    print("\n%s: %s: right %d of %d times by concmon, %d by the scripts" % (python, " < ".join(names), ours, times, theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concmon", default=os.path.join(HERE, "../../target/release/concmon"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--order", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("python", nargs="+")
    args = parser.parse_args()
    for python in args.python:
        if args.rounds:
            table(args.concmon, python, args.rounds, args.only)
        if args.order:
            order(args.concmon, python, args.order)


if __name__ == "__main__":
    sys.exit(main())
