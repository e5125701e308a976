"""python -m bench [question ...]: prints a table per question and number of threads, then the figures asked for."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time

from . import cnn, conv, elementwise, gemm, imports, machine, memory, mlp, overhead, probe, table
from .case import judge
from .controller import FORCED, ROOT, Workers

IN_WORKERS = {"probe": probe, "gemm": gemm, "elementwise": elementwise, "mlp": mlp, "overhead": overhead,
              "conv": conv, "cnn": cnn}
IN_PROCESSES = {"import": imports, "memory": memory}
PEERS = ("numpy", "torch", "jax", "sklearn")
WITH_FORCED = ("gemm", "mlp")  # where the matrix product decides
WITH_MEMORY = {"cnn": cnn.memory}  # processes of their own, after the workers' tables


def parse(argv):
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="question",
                        help=f"of {', '.join([*IN_WORKERS, *IN_PROCESSES])}; default all")
    parser.add_argument("--threads", default="1,all", help="1, all, a number, or several with commas (default 1,all)")
    parser.add_argument("--peers", help=f"engines to compare with, of {', '.join([*PEERS, *FORCED])} (default the "
                        "first four, and the last three on AMD processors with AVX-512)")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers (default this one)")
    parser.add_argument("--cases", default="", help="only cases whose name contains this")
    parser.add_argument("--rounds", type=int, help="turns each engine takes (default 11, quick 3)")
    parser.add_argument("--ms", type=float, help="length of one sample (default 20, quick 4)")
    parser.add_argument("--compile", choices=("none", "steps", "all"), default="steps",
                        help="torch.compile on nothing, training steps, or elementwise functions too (minutes)")
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds: to see that it runs")
    parser.add_argument("--json", metavar="FILE", help="raw samples, versions and machine")
    options = parser.parse_args(argv)
    options.questions = options.questions or [*IN_WORKERS, *IN_PROCESSES]
    unknown = set(options.questions) - {*IN_WORKERS, *IN_PROCESSES}
    if unknown:
        parser.error(f"unknown question: {', '.join(sorted(unknown))}")
    if options.peers is None:
        options.peers = [*PEERS, *(FORCED if machine.blas_misses_avx512() else ())]
    else:
        options.peers = [p for p in options.peers.split(",") if p]
    if set(options.peers) - {*PEERS, *FORCED}:
        parser.error(f"peers are {', '.join([*PEERS, *FORCED])}")
    cores = len(machine.physical_cpus())
    try:
        options.threads = sorted({cores if t == "all" else int(t) for t in options.threads.split(",")})
    except ValueError:
        parser.error("--threads takes numbers and `all`")
    if not 1 <= options.threads[0] <= options.threads[-1] <= cores:
        parser.error(f"--threads: this process may use {cores} cores")
    problem = unusable(options)
    if problem:
        parser.error(problem)
    options.rounds = options.rounds or (3 if options.quick else 11)
    options.seconds = (options.ms or (4 if options.quick else 20)) / 1e3
    return options


def unusable(options):
    """What would be found out only after minutes of measuring, or leave an empty table; None if all is well."""
    if options.rounds is not None and options.rounds < 1:
        return f"--rounds: at least 1, not {options.rounds}"
    if options.ms is not None and not 0 < options.ms < 1e5:
        return f"--ms: above 0 and below 100000, not {options.ms}"
    if shutil.which(options.python) is None:
        return f"--python: there is no program {options.python}"
    names = [case.name for q in options.questions if q in IN_WORKERS for case in IN_WORKERS[q].cases(options.quick)]
    if names and not any(options.cases in name for name in names):
        return f"--cases: no case of {', '.join(options.questions)} has {options.cases!r} in its name"
    folder = os.path.dirname(os.path.abspath(options.json or ""))
    if options.json and (not os.access(folder, os.W_OK) or os.path.isdir(options.json)):
        return f"--json: cannot write {options.json}"
    return None


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text[:100]:<100}", end="", file=sys.stderr, flush=True)


def ask_workers(options, threads, record, figures):
    """All questions that workers answer, with one number of threads."""
    questions = [q for q in options.questions if q in IN_WORKERS]
    peers = options.peers if set(questions) & set(WITH_FORCED) else [p for p in options.peers if p not in FORCED]
    engines = ["limit"] if questions == ["probe"] else ["nncore", *peers, "limit"]
    with Workers(engines, threads, options.python) as workers:
        record["versions"][threads] = workers.versions()
        record["missing"].update(workers.missing)
        for question in questions:
            module, found = IN_WORKERS[question], []
            for case in module.cases(options.quick):
                if options.cases in case.name:
                    progress(f"{question}, {threads} threads: {case.name}")
                    found.append(workers.measure(case, options.rounds, options.seconds, question in WITH_FORCED))
            progress("")
            if not found:
                continue
            title = f"{question}, {threads} thread{'s' if threads > 1 else ''}"
            if question == "probe":
                print("\n" + table.limits(title, found))
            else:
                print("\n" + table.results(title, found, [p for p in options.peers if p not in FORCED]))
                if any(p in r.samples for r in found for p in FORCED):
                    print("\n" + table.results(title, found, FORCED))
            if question == "mlp" and (text := table.starts(found, [p for p in options.peers if p not in FORCED])):
                print("\n" + text)
            for r in found:
                for note in dict.fromkeys(r.notes):
                    print(f"  {r.case.name}: {note}")
            sys.stdout.flush()
            figures += filter(None, (judge(f, found, threads) for f in module.FIGURES))
            figures += module.judge_recording(found, threads) if question == "mlp" else []
            record["results"] += [{"question": question, "threads": threads, "case": r.case.name, "args": r.case.args,
                                   "limit": r.case.limit, "samples": r.samples, "first": r.first, "notes": r.notes}
                                  for r in found]


def main(argv=None):
    options = parse(argv)
    os.environ["NNCORE_BENCH_COMPILE"] = options.compile
    facts = machine.describe()
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    commit = commit.stdout.strip()
    record = {"machine": facts, "commit": commit, "python": sys.version.split()[0], "command": sys.argv[1:],
              "date": time.strftime("%F %T"), "versions": {}, "missing": {}, "results": []}
    figures = []
    print(f"{facts['cpu']} (family {facts['family']}, model {facts['model']}), {facts['cores']} cores, "
          f"{' '.join(facts['vector'])}, commit {commit}")
    if facts["load"] > 0.3:
        print(f"load {facts['load']:.2f}: this machine has other work, the ratios are not to be trusted")
    for threads in options.threads if set(options.questions) & set(IN_WORKERS) else ():
        ask_workers(options, threads, record, figures)
    for question, module in IN_PROCESSES.items():
        if question in options.questions:
            rows, judged, record[question] = module.measure(options)
            print("\n" + table.align(rows), flush=True)
            figures += judged
    for question, measure in WITH_MEMORY.items():
        if question in options.questions:
            rows, judged, record[f"{question} memory"] = measure(options)
            print("\n" + table.align(rows), flush=True)
            figures += judged
    for engine, versions in next(iter(record["versions"].values()), {}).items():
        print(f"\n{engine}: {', '.join(f'{k} {v}' for k, v in versions.items())}", end="")
    if figures:
        print("\n\nfigures to reach (ratio: above 1, nncore is faster)\n" + table.figures(figures))
    if options.json:
        record["figures"] = figures
        with open(options.json, "w") as f:
            json.dump(record, f, indent=1)


if __name__ == "__main__":
    main()
