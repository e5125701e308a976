"""The benchmark's own arithmetic, and one short run of it against NumPy."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import cnn, conv, elementwise, gemm, mlp, overhead, table  # noqa: E402
from bench.__main__ import parse  # noqa: E402
from bench.case import Case, Figure, Result, judge  # noqa: E402
from bench.controller import disagreements, worth_measuring  # noqa: E402
from bench.timed import Timed  # noqa: E402

QUESTIONS = (elementwise, gemm, mlp, overhead, conv, cnn)


def result(name="x", **samples):
    return Result(Case(name, "kind", {}), samples)


def test_ratio_by_minimum_and_by_pairs_of_rounds():
    r = result(nncore={"a": [1.0, 2.0, 1.0]}, torch={"eager": [9.0, 9.0, 9.0], "out": [2.0, 2.0, 3.0]})
    assert r.best("torch") == ("out", [2.0, 2.0, 3.0])
    assert r.ratio("torch") == (2.0, 2.0)
    assert r.ratio("torch/eager") == (9.0, 9.0)
    assert r.ratio("jax") is None


def test_failed_rounds_are_left_out():
    r = result(nncore={"a": [None, 1.0, 2.0]}, torch={"a": [1.0, 3.0, None]})
    assert r.ratio("torch") == (1.0, 3.0)


def test_figure_takes_the_worst_case_and_the_fastest_peer():
    found = [result("NN 1", nncore={"a": [1.0]}, torch={"a": [2.0]}, numpy={"a": [1.5]}),
             result("NN 2", nncore={"a": [1.0]}, torch={"a": [0.9]}),
             result("other", nncore={"a": [9.0]}, torch={"a": [1.0]})]
    figure = Figure("f", 1.0, ("torch", "numpy"), ("NN",), threads=1)
    judged = judge(figure, found, 1)
    assert (judged["worst"], judged["by_min"], judged["verdict"]) == ("NN 2", 0.9, "NOT REACHED")
    assert judge(figure, found[:1], 1)["verdict"] == "reached"
    assert judge(figure, [found[0], result("NN 3", torch={"a": [1.0]})], 1)["verdict"] == "reached, but incomplete"
    found[0].notes.append("results DISAGREE")
    assert judge(figure, found[:1], 1)["verdict"] == "WRONG RESULTS"
    assert judge(figure, found, 2) is None
    assert judge(figure, [result("NN 3", torch={"a": [1.0]})], 1)["verdict"] == "not measured"


def test_starts_and_recording():
    r = result("step 4", nncore={"eager": [1.0, 1.0, 2.0], "compiled": [0.5], "recording": [6.0, 5.0, None]},
               torch={"eager fused": [1.0], "compiled": [3.0], "whole step compiled": [2.0]}, jax={"eager": [1.0]})
    r.first.update(nncore={"eager": 9.0, "compiled": 4.0}, torch={"compiled": 1.0, "whole step compiled": 7.0})
    assert table.recording(r) == 3.5 and table.recording(result(nncore={"eager": [1.0]})) is None
    assert table.first_result(r, "torch") == 7.0 and table.first_result(r, "jax") is None
    text = table.starts([r], ["torch", "jax"]).splitlines()
    assert text[1].split() == ["step", "4", "4", "s", "3.5", "7", "s"] and "recording:" in text[-1]
    assert table.starts([result(nncore={"eager": [1.0]})], ["torch"]) == "" and "4 s" in table.starts([r], [])
    line, = mlp.judge_recording([r, result()], 1)
    assert line["verdict"] == "reached" and "3.5" in line["got"] and "3.5: step 4" in table.figures([line])
    r.samples["nncore"]["recording"] = [8.0]
    assert mlp.judge_recording([r], 1)[0]["verdict"] == "NOT REACHED" and mlp.judge_recording([result()], 1) == []


def test_engines_that_compute_something_else_are_named():
    case = Case("x", "kind", {})
    assert disagreements(case, {"nncore": [1.0, 2.0], "torch": [1.0, 2.0001]}) == []
    note, = disagreements(case, {"nncore": [1.0, 2.0], "torch": [1.1, 2.0], "jax": [1.0, 2.0]})
    assert "DISAGREE" in note and "torch" in note and "jax" not in note
    assert disagreements(case, {"nncore": [1.0, 2.0], "torch": [float("nan"), 2.0]})


def test_slow_variants_are_dropped_within_their_kind():
    speeds = {"eager fused": 9.0, "eager foreach": 30.0, "compiled fused": 1.0, "compiled": 1.5}
    assert worth_measuring(speeds) == ["eager fused", "compiled fused", "compiled"]


def test_timed_counts_calls():
    calls = []
    Timed(lambda: calls.append(1)).block(7)
    assert len(calls) == 7
    assert Timed("a + a", {"a": 2}).first() == 4


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.__name__.split(".")[-1])
def test_nncore_offers_every_kind_of_case_and_figures_name_cases(question):
    from bench.engines import nncore_engine
    for quick in (True, False):
        assert {c.kind for c in question.cases(quick)} <= nncore_engine.KINDS.keys()
    names = [c.name for c in question.cases(False)]
    assert len(set(names)) == len(names)
    for figure in question.FIGURES:
        for prefix in figure.cases:
            assert any(n.startswith(prefix) for n in names), f"{figure.text}: no case {prefix!r}"


@pytest.mark.parametrize("arguments, message", [
    (["--rounds", "0"], "--rounds: at least 1"), (["--rounds", "-3"], "--rounds: at least 1"),
    (["--ms", "0"], "--ms: above 0"), (["--ms", "nan"], "--ms: above 0"),
    (["--cases", "no such"], "no case of gemm has"),
    (["--python", "/nonexistent/python"], "--python: there is no program"),
    (["--json", "/nonexistent/x.json"], "--json: cannot write"), (["--json", "."], "--json: cannot write")])
def test_what_cannot_be_used_is_said_before_anything_is_measured(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        parse(["gemm", "--threads", "1", "--quick", *arguments])
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_short_run_against_numpy(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench", "gemm", "overhead", "--quick", "--rounds", "2", "--ms", "1",
               "--threads", "1", "--peers", "numpy", "--cases", "4", "--json", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "DISAGREE" not in done.stdout
    assert "gemm, 1 thread" in done.stdout and "figures to reach" in done.stdout
    record = json.loads(out.read_text())
    assert record["machine"]["cores"] >= 1 and {"nncore", "numpy"} <= record["versions"]["1"].keys()
    for r in record["results"]:
        if r["question"] == "gemm":
            for engine in ("nncore", "numpy"):
                assert all(t > 0 for samples in r["samples"][engine].values() for t in samples), r
