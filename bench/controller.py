"""Starts a worker per engine and makes them take turns.

Only one worker runs at a time: the others are stopped by SIGSTOP, threads and all. A pause would not do: OpenBLAS's
idle threads yield in a loop for about 25 ms after a call, Intel's OpenMP for 200 ms. No engine's spinning is configured
away, each keeps its own default. With n threads every worker is bound to the same n physical cores; JAX knows no other
way to be held to a number of threads.
"""
import atexit
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import machine
from .case import Result

ROOT = Path(__file__).resolve().parent.parent
# The repository comes last on the path, so that an installed nncore is measured and not the folder beside bench/.
START = f"import sys, runpy; sys.path.append({str(ROOT)!r}); runpy.run_module('bench.worker', run_name='__main__')"
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NNCORE_NUM_THREADS", "NUMEXPR_NUM_THREADS")
SLOW = 2  # a variant this many times slower, when calibrated, than the best of its kind is not measured further

# As shipped, OpenBLAS and MKL multiply with AVX2 on AMD processors that have AVX-512: on a Zen 5, at 45 % of its peak.
# These are the same engines made to use it: OpenBLAS by its documented variable, MKL by telling it the CPU is Intel's.
# They show what these libraries reach on an Intel machine.
FORCED = {"numpy-avx512": ("numpy", {"OPENBLAS_CORETYPE": "SkylakeX"}),
          "sklearn-avx512": ("sklearn", {"OPENBLAS_CORETYPE": "SkylakeX"}),
          "torch-avx512": ("torch", {"LD_PRELOAD": "mkl_serv_intel_cpu_true"})}


def preload(symbol):
    """A library whose function `symbol` returns 1, compiled here; its path."""
    path = Path(tempfile.mkdtemp(prefix="nncore-bench-")) / f"{symbol}.so"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-x", "c", "-", "-o", path], check=True,
                   text=True, input=f"int {symbol}(void);\nint {symbol}(void) {{ return 1; }}\n")
    return str(path)


class WorkerDied(Exception):
    pass


class Worker:
    """One engine's process. Stopped except while it answers."""

    def __init__(self, engine, threads, python=sys.executable, timeout=900):
        self.engine, self.threads, self.python, self.timeout = engine, threads, python, timeout
        self.start()

    def start(self):
        cpus = machine.physical_cpus()
        env = {**os.environ, **{v: str(self.threads) for v in POOLS}, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        if self.engine == "jax":
            env["JAX_PLATFORMS"] = "cpu"
            if self.threads == 1:
                env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        module, forced = FORCED.get(self.engine, (self.engine, {}))
        try:
            env.update({name: preload(value) if name == "LD_PRELOAD" else value for name, value in forced.items()})
        except (OSError, subprocess.CalledProcessError) as e:
            self.missing = str(e)
            return
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [self.python, "-P", "-c", START, module, "--threads", str(self.threads)], env=env,
            cwd=tempfile.gettempdir(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            bufsize=1,
            preexec_fn=lambda: len(machine.affinity()) > self.threads and os.sched_setaffinity(0, cpus[:self.threads]))
        try:
            self.hello = self.read()
        except WorkerDied as e:
            self.hello = {"missing": str(e)}
        self.missing = self.hello.get("missing")
        if self.missing:
            self.close()
        else:
            self.signal(signal.SIGSTOP)

    def signal(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)

    def read(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            code = self.process.wait()
            self.log.seek(0)
            why = f"worker ended with {code}" if ready else f"no answer in {self.timeout} s"
            raise WorkerDied(": ".join([why, *self.log.read().strip().splitlines()[-1:]]))
        return json.loads(line)

    def ask(self, **request):
        """Wakes the worker, returns its answer and stops it again. A worker that died is started anew."""
        self.signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.read()
        except (WorkerDied, BrokenPipeError) as e:
            self.start()
            return {"error": str(e) or "worker died"}
        self.signal(signal.SIGSTOP)
        return answer

    def close(self):
        self.signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Workers:
    """All engines that can be imported, with one number of threads."""

    def __init__(self, engines, threads, python, say=print):
        self.threads, self.missing, self.workers = threads, {}, []
        for engine in engines:
            worker = Worker(engine, threads, sys.executable if engine in ("nncore", "limit") else python)
            if worker.missing:
                self.missing[engine] = worker.missing
                say(f"  {engine} left out: {worker.missing}")
            else:
                self.workers.append(worker)

    def versions(self):
        return {w.engine: w.hello["versions"] for w in self.workers}

    def measure(self, case, rounds, seconds, forced=True):
        """All engines on one case, round by round; in each round another engine begins. forced: those of FORCED too."""
        result, turns, checks = Result(case), [], {}
        for worker in self.workers:
            kind, args = case.kind, case.args
            if worker.engine in FORCED and not forced:
                continue
            if worker.engine == "limit":
                if not case.limit:
                    continue
                args = dict(case.limit)
                kind = args.pop("kind")
            answer = worker.ask(do="prepare", kind=kind, args=args, seconds=seconds, check=case.tolerance is not None)
            if "error" in answer:
                result.notes.append(f"{worker.engine}: {answer['error']}")
                continue
            for name, reason in answer.get("failed", {}).items():
                result.notes.append(f"{worker.engine}/{name}: {reason}")
            speeds = answer["variants"]
            if not speeds:
                continue
            checks[worker.engine] = answer["check"]
            result.first[worker.engine] = answer.get("first", {})
            result.samples[worker.engine] = {variant: [] for variant in worth_measuring(speeds)}
            turns.append(worker)
        for i in range(case.rounds or rounds) if turns else ():
            for worker in turns[i % len(turns):] + turns[:i % len(turns)]:
                for variant, samples in result.samples[worker.engine].items():
                    answer = worker.ask(do="time", variant=variant)
                    samples.append(answer.get("seconds"))
                    if "error" in answer:
                        result.notes.append(f"{worker.engine}/{variant}: {answer['error']}")
        for worker in turns:
            worker.ask(do="forget")
        result.notes += disagreements(case, checks)
        return result

    def close(self):
        for worker in self.workers:
            worker.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def worth_measuring(speeds):
    """Variants that may be the fastest of their kind, which is the first word of the name ("eager fused")."""
    kind = {v: v.split()[0] for v in speeds}
    best = {k: min(t for v, t in speeds.items() if kind[v] == k) for k in kind.values()}
    return [v for v, t in speeds.items() if t <= SLOW * best[kind[v]]]


def disagreements(case, checks):
    """A note if engines' results differ from nncore's (or the first engine's): they did not do the same work."""
    checks = {e: c for e, c in checks.items() if c and e != "limit"}
    if case.tolerance is None or len(checks) < 2:
        return []
    judge = "nncore" if "nncore" in checks else next(iter(checks))
    want, others = checks[judge], []
    for engine, got in checks.items():
        if not all(abs(g - w) <= case.tolerance * (abs(want[1]) + 1e-6) for g, w in zip(got, want)):
            others.append(f"{engine} {got[0]:.6g}, {got[1]:.6g}")
    said = f"results DISAGREE (mean, rms): {judge} {want[0]:.6g}, {want[1]:.6g} but {'; '.join(others)}"
    return [said] if others else []
