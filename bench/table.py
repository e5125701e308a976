"""Results as aligned text."""
from statistics import median


def seconds(t):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if t >= size:
            return f"{t / size:.3g} {unit}" if t / size < 999.5 else f"{t / size:.0f} {unit}"
    return f"{t * 1e9:.3g} ns"


def rate(limit, t):
    """Work per second, in the unit of the case's limit."""
    if not limit:
        return ""
    if limit["kind"] == "fma":
        return f"{limit['flops'] / t * 1e-9:.4g} GFLOP/s"
    return f"{4e-9 * limit['n'] * (limit['reads'] + limit['writes']) / t:.4g} GB/s"


def align(rows, gap="  "):
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    rows = [[str(c) for c in r] for r in rows]
    widths = [max((len(r[i]) for r in rows if i < len(r)), default=0) for i in range(max(map(len, rows)))]
    return "\n".join(gap.join([r[0].ljust(widths[0]), *map(str.rjust, r[1:], widths[1:])]).rstrip() for r in rows)


def peer_cells(result, peer):
    """time, ratio to nncore by minimum, by median, fastest variant."""
    variant, samples = result.best(peer)
    if not samples:
        return ["", "", "", ""]
    ratio = result.ratio(peer)
    t = seconds(median(s for s in samples if s))
    return [t, *(f"{q:.2f}" for q in ratio), variant] if ratio else [t, "", "", variant]


def results(title, found, peers):
    """A row per case: nncore's time, rate and share of the limit; of each peer the time, the ratios (above 1: nncore is
    faster) and the variant that was fastest."""
    peers = [p for p in peers if any(p in r.samples for r in found)]
    head = [title, "nncore", "", "of limit"]
    for p in peers:
        head += [p, "/min", "/med", ""]
    rows = [head]
    for r in found:
        _, mine = r.best("nncore")
        share = r.ratio("limit")
        t = median(s for s in mine if s) if mine else None
        row = [r.case.name, seconds(t) if t else "", rate(r.case.limit, t) if t else "",
               f"{100 * share[1]:.0f} %" if share else ""]
        for p in peers:
            row += peer_cells(r, p)
        rows.append(row)
    used = [i for i in range(len(head)) if any(row[i] for row in rows[1:])]
    return align([[row[i] for i in used] for row in rows])


def starts(found, peers):
    """A row per compiled step: how long until it gives its first result, and what nncore's recording costs."""
    rows = [["until the first result of the compiled step", "nncore", "recording, in eager steps", *peers]]
    for r in found:
        own, cost = r.first.get("nncore", {}).get("compiled"), recording(r)
        times = [first_result(r, p) for p in peers]
        if own:
            rows.append([r.case.name, seconds(own), f"{cost:.1f}" if cost is not None else "",
                         *(seconds(t) if t else "" for t in times)])
    legend = ("one reading in a process that has imported its engine; of a peer, its compiled variant that is fastest "
              "afterwards (torch.compile finds what an earlier run left in its cache on disk).\nrecording: nncore's "
              "first two calls, which are recorded, less two eager steps, in eager steps; medians")
    return f"{align(rows)}\n{legend}" if len(rows) > 1 else ""


def first_result(result, peer):
    """Seconds of the first call of the compiled variant that is fastest afterwards; None if there is none."""
    compiled = {v: median(t for t in s if t) for v, s in result.samples.get(peer, {}).items()
                if not v.startswith("eager") and any(s)}
    return result.first.get(peer, {}).get(min(compiled, key=compiled.get)) if compiled else None


def recording(result):
    """What recording a new program costs, in eager steps; None if it was not measured."""
    mine = {v: median(t for t in s if t) for v, s in result.samples.get("nncore", {}).items() if any(s)}
    if not {"eager", "recording"} <= set(mine):
        return None
    return (mine["recording"] - 2 * mine["eager"]) / mine["eager"]


def limits(title, found):
    rows = [[title, "median", "best"]]
    for r in found:
        _, samples = r.best("limit")
        if samples:
            rows.append([r.case.name, rate(r.case.limit, median(samples)), rate(r.case.limit, min(samples))])
    return align(rows)


def figures(judged):
    rows = []
    for j in judged:
        where = f"{j['threads']} thread{'s' if j['threads'] > 1 else ''}" if j.get("threads") else ""
        if "by_min" not in j:
            got = j.get("got", "")
        else:
            got = f"worst {j['by_min']:.2f} by min, {j['by_median']:.2f} by median: {j['worst']}"
            got += f" (without {', '.join(j['absent'])})" if j["absent"] else ""
            got += f" ({len(j['missing'])} cases not measured)" if j["missing"] else ""
            got += f" ({len(j['wrong'])} cases with another result than the peers)" if j["wrong"] else ""
        rows.append([j["figure"], where, j["verdict"], got])
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, (max(len(x[i]) for x in rows) for i in range(4)))).rstrip()
                     for r in rows) if rows else ""
