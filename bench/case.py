"""What is measured: a case, the figure it should reach, and the samples that came back."""
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Case:
    """One piece of work, the same for every engine: `engine.KINDS[kind](**args)` returns the ways to do it.

    limit     work for the limit engine: {"kind": "fma", "flops": ...} or {"kind": "stream", "n": floats in an array,
              "reads": arrays, "writes": arrays}
    tolerance how far the engines' results may differ, relative; None where they draw different random numbers
    rounds    fewer for cases that take seconds
    """

    name: str
    kind: str
    args: dict
    limit: dict | None = None
    tolerance: float | None = 1e-3
    rounds: int | None = None


@dataclass(frozen=True)
class Figure:
    """At least `floor` times as fast as the fastest of `peers`, in each of `cases` (name prefixes), with `threads`.

    `own` is what of nncore is meant: its fastest mode, or one ("nncore/eager"). A peer is an engine ("torch") or one of
    its modes ("torch/eager"); "limit" is the machine. threads None means any.
    """

    text: str
    floor: float
    peers: tuple
    cases: tuple
    threads: int | None = None
    own: str = "nncore"


@dataclass
class Result:
    """samples[engine][variant]: seconds per call, one per round; a round that failed is None. first[engine][variant]:
    seconds of the first call."""

    case: Case
    samples: dict = field(default_factory=dict)
    first: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)

    def best(self, peer):
        """(name, samples) of the fastest variant, by median, of "engine" or "engine/prefix"; else (None, None)."""
        engine, _, prefix = peer.partition("/")
        found = {v: s for v, s in self.samples.get(engine, {}).items() if v.startswith(prefix) and any(s)}
        if not found:
            return None, None
        variant = min(found, key=lambda v: median(t for t in found[v] if t))
        return variant, found[variant]

    def ratio(self, peer, own="nncore"):
        """peer's time by own time: (of the minima, median of the rounds' pairs); None where one of them is missing."""
        _, mine = self.best(own)
        _, theirs = self.best(peer)
        if not mine or not theirs:
            return None
        pairs = [t / m for t, m in zip(theirs, mine) if t and m]
        if not pairs:
            return None
        return min(t for t in theirs if t) / min(m for m in mine if m), median(pairs)


def verdict(by_min, by_median, floor, missing=(), wrong=()):
    if wrong:
        return "WRONG RESULTS"
    if by_min >= floor and by_median >= floor and missing:
        return "reached, but incomplete"
    if by_min >= floor and by_median >= floor:
        return "reached"
    if by_min >= floor:
        return "reached by minimum only"
    return "reached by median only" if by_median >= floor else "NOT REACHED"


def judge(figure, results, threads):
    """The figure's line as a dict: worst case, its ratios, verdict; None if not meant for these threads."""
    if figure.threads is not None and figure.threads != threads:
        return None
    worst, lowest, missing, absent, wrong = None, (float("inf"), float("inf")), [], set(figure.peers), []
    for r in results:
        if not r.case.name.startswith(figure.cases):
            continue
        wrong += [r.case.name] if any("DISAGREE" in note for note in r.notes) else []
        ratios = {p: r.ratio(p, figure.own) for p in figure.peers}
        absent -= {p for p, q in ratios.items() if q}
        ratios = [q for q in ratios.values() if q]
        if not ratios:
            missing.append(r.case.name)
            continue
        q = min(q[0] for q in ratios), min(q[1] for q in ratios)
        lowest = min(lowest[0], q[0]), min(lowest[1], q[1])
        if worst is None or min(q) < min(worst[0]):
            worst = q, r.case.name
    if worst is None:
        return {"figure": figure.text, "threads": threads, "verdict": "not measured"} if missing else None
    (by_min, by_median), name = worst
    return {"figure": figure.text, "threads": threads, "floor": figure.floor, "worst": name, "by_min": by_min,
            "by_median": by_median, "verdict": verdict(*lowest, figure.floor, missing, wrong), "wrong": wrong,
            "missing": missing, "absent": sorted(absent)}
