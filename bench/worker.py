"""One engine in a process of its own: reads requests and writes answers, JSON lines on stdin and stdout.

    {"do": "prepare", "kind": ..., "args": {...}, "seconds": a sample should last, "check": whether to return a summary}
        ->  {"variants": {name: seconds per call}, "first": {name: seconds of the first call}, "failed": {name: reason},
             "check": [mean, root mean square]}
            variants null: this engine does not offer the kind
    {"do": "time", "variant": name}  ->  {"seconds": per call}
    {"do": "forget"}                 ->  {}
"""
import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import time


def summary(result):
    """[mean, root mean square] of a result, to see that engines computed the same thing; None if there is none."""
    import numpy as np
    if result is None:
        return None
    a = np.asarray(result, dtype=np.float64)
    return [float(a.mean()), float(np.sqrt(np.mean(a * a)))] if a.size else None


class Server:
    def __init__(self, engine):
        self.engine, self.ready = engine, {}

    def prepare(self, kind, args, seconds, check=True):
        self.ready = {}
        make = self.engine.KINDS.get(kind)
        ways = make(**args) if make else None
        if not ways:
            return {"variants": None}
        from .timed import Timed
        speeds, firsts, failed, found = {}, {}, {}, None
        for name, way in ways.items():
            timed = way if isinstance(way, Timed) else Timed(way)
            try:
                start = time.perf_counter()
                result = timed.first()
                firsts[name] = time.perf_counter() - start
                if check and found is None:
                    found = summary(self.engine.to_numpy(result))
                self.ready[name], speeds[name] = self.calibrate(timed, seconds)
            except Exception as e:  # one way that does not work here must not hide the others
                failed[name] = f"{type(e).__name__}: {e}".strip().splitlines()[0][:200]
        return {"variants": speeds, "first": firsts, "failed": failed, "check": found}

    @staticmethod
    def calibrate(timed, seconds):
        timed.block(1)  # takes memory from the system: too few calls would fit into a sample, and measure cold caches
        calls, t = 1, timed.block(1)
        while t < seconds / 4:
            calls *= 2 if t <= 0 or seconds / t < 16 else 8
            t = timed.block(calls)
        return (timed, max(1, round(calls * seconds / t))), t / calls / timed.units

    def time(self, variant):
        timed, calls = self.ready[variant]
        if calls > 1:
            timed.block(max(1, calls // 4))  # caches and clocks belong to the engine that ran before
        return {"seconds": timed.block(calls) / calls / timed.units}

    def forget(self):
        self.ready = {}
        return {}


def die_with_parent():
    """A stopped worker whose controller was killed would stay forever. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main():
    die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m bench.worker")
    parser.add_argument("engine")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not mix with the answers

    def answer(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        engine = importlib.import_module(f"bench.engines.{options.engine}_engine")
        engine.set_threads(options.threads)
    except Exception as e:
        return answer({"missing": f"{type(e).__name__}: {e}".splitlines()[0]})
    answer({"engine": options.engine, "versions": engine.versions(), "python": sys.version.split()[0]})
    server = Server(engine)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(getattr(server, request.pop("do"))(**request))
        except Exception as e:
            answer({"error": f"{type(e).__name__}: {e}".splitlines()[0][:300]})


if __name__ == "__main__":
    main()
