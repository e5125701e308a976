"""The default number of threads on invented machines: trees of /proc and /sys in a temporary folder."""

import os
import subprocess
import sys

import pytest

from nncore import threads


class Machine:
    """`files` maps a path below the root to its text; `cpus` is the affinity mask."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.monkeypatch = monkeypatch
        self.cpus(4)

    def cpus(self, count, siblings=None):
        """siblings: for each CPU the list of CPUs of its core, as the kernel writes it."""
        self.monkeypatch.setattr(threads, "affinity", lambda: set(range(count)))
        for cpu, text in enumerate(siblings or []):
            self.file(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", text + "\n")

    def file(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def decide(self, openmp=True, **environ):
        return threads.decide(openmp, str(self.root), environ)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def test_affinity_decides_when_nothing_else_is_known(machine):
    assert machine.decide() == (4, ["CPUs in the affinity mask of this process: 4 <-"])


@pytest.mark.parametrize("siblings, cores", [
    (["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"], 4),
    (["0-1", "0-1", "2-3", "2-3", "4-5", "4-5", "6-7", "6-7"], 4),
    (["0", "1", "2", "3", "4", "5", "6", "7"], 8),
    (["0-7"] * 8, 1),
])
def test_hyperthreads_of_a_core_count_once(machine, siblings, cores):
    machine.cpus(8, siblings)
    assert machine.decide()[0] == cores


def test_cores_without_hyperthreads_are_not_read_one_by_one(machine):
    machine.file("sys/devices/system/cpu/smt/active", "0\n")
    assert threads.cores({0, 1, 2}, str(machine.root)) == 3


def test_one_hyperthread_of_each_core_in_the_mask(machine):
    machine.cpus(2, ["0,4", "1,5"])
    assert machine.decide()[0] == 2


@pytest.mark.parametrize("text, cpus", [
    ("200000 100000", 2), ("150000 100000", 1.5), ("max 100000", None), ("10000 100000", 0.1), ("", None),
    ("200000", None), ("0 100000", None), ("100000 0", None), ("a b", None),
])
def test_quota_v2(machine, text, cpus):
    machine.file("proc/self/cgroup", "0::/\n")
    machine.file("sys/fs/cgroup/cpu.max", text + "\n")
    assert threads.quota(str(machine.root)) == cpus


@pytest.mark.parametrize("granted, n", [(0.1, 1), (1.0, 1), (1.4, 1), (1.5, 2), (2.5, 3), (3.0, 3), (16.0, 4)])
def test_a_fraction_of_a_cpu_is_rounded(machine, granted, n):
    machine.file("proc/self/cgroup", "0::/\n")
    machine.file("sys/fs/cgroup/cpu.max", f"{int(granted * 100000)} 100000\n")
    assert machine.decide()[0] == n


def test_the_least_quota_on_the_way_up_counts(machine):
    machine.file("proc/self/cgroup", "0::/user/session/job\n")
    machine.file("sys/fs/cgroup/user/session/job/cpu.max", "max 100000\n")
    machine.file("sys/fs/cgroup/user/session/cpu.max", "100000 100000\n")
    machine.file("sys/fs/cgroup/user/cpu.max", "300000 100000\n")
    n, reasons = machine.decide()
    assert n == 1
    assert reasons[1] == "CPU quota of its control group: 1 <-"


def test_a_path_of_the_host_inside_a_container_falls_back_to_the_mount(machine):
    machine.file("proc/self/cgroup", "0::/system.slice/docker-0123.scope\n")
    machine.file("sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert machine.decide()[0] == 2


@pytest.mark.parametrize("controllers, folder", [("cpu,cpuacct", "cpu,cpuacct"), ("cpuacct,cpu", "cpu"),
                                                 ("cpu", "cpu")])
@pytest.mark.parametrize("granted, n", [("300000", 3), ("-1", 4)])
def test_quota_v1(machine, controllers, folder, granted, n):
    machine.file("proc/self/cgroup", f"12:memory:/job\n3:cpuset:/\n2:{controllers}:/job\n1:name=systemd:/job\n0::/\n")
    machine.file(f"sys/fs/cgroup/{folder}/job/cpu.cfs_quota_us", granted + "\n")
    machine.file(f"sys/fs/cgroup/{folder}/job/cpu.cfs_period_us", "100000\n")
    assert machine.decide()[0] == n


def test_a_colon_in_the_name_of_a_group(machine):
    machine.file("proc/self/cgroup", "0::/a:b\n")
    machine.file("sys/fs/cgroup/a:b/cpu.max", "100000 100000\n")
    assert machine.decide()[0] == 1


@pytest.mark.parametrize("environ, n", [
    ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": " 2 , 1"}, 2), ({"OMP_NUM_THREADS": "8"}, 4),
    ({"OMP_NUM_THREADS": ""}, 4), ({"NNCORE_NUM_THREADS": "1"}, 1), ({"NNCORE_NUM_THREADS": "99"}, 4),
    ({"NNCORE_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, 2), ({"NNCORE_NUM_THREADS": "2", "OMP_NUM_THREADS": "3"}, 2),
])
def test_environment(machine, environ, n):
    decided, reasons = machine.decide(**environ)
    assert decided == n
    assert sum(reason.endswith("<-") for reason in reasons) >= 1


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²"])
def test_a_bad_number_of_threads_is_refused(machine, value):
    with pytest.raises(ValueError, match="NNCORE_NUM_THREADS=.*expected a whole number from 1 up"):
        machine.decide(NNCORE_NUM_THREADS=value)


@pytest.mark.parametrize("value", ["0", "-1", "two", ",2"])
def test_a_bad_number_for_openmp_is_ignored_aloud(machine, value):
    with pytest.warns(RuntimeWarning, match="OMP_NUM_THREADS=.*ignored"):
        assert machine.decide(OMP_NUM_THREADS=value)[0] == 4


def test_without_openmp_there_is_one_thread(machine):
    n, reasons = machine.decide(openmp=False)
    assert n == 1
    assert reasons[-1] == "built without OpenMP: 1 <-"


def test_short_spinning_leaves_no_trace():
    environ = {}
    with threads.short_spinning(environ):
        assert environ == {"GOMP_SPINCOUNT": threads.SPIN_COUNT}
    assert environ == {}
    with pytest.raises(ImportError):
        with threads.short_spinning(environ):
            raise ImportError
    assert environ == {}


@pytest.mark.parametrize("environ", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_short_spinning_respects_the_user(environ):
    before = dict(environ)
    with threads.short_spinning(environ):
        assert environ == before
    assert environ == before


def in_new_process(code, **environ):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NNCORE_", "OMP_", "GOMP_"))}
    return subprocess.run([sys.executable, "-c", code], env={**clean, **environ}, capture_output=True, text=True)


def test_the_import_leaves_the_environment_as_it_was():
    done = in_new_process("import os; before = dict(os.environ); import nncore; assert dict(os.environ) == before")
    assert done.returncode == 0, done.stderr


def test_the_decision_is_what_the_engine_uses():
    done = in_new_process("import nncore; print(nncore.get_num_threads())", NNCORE_NUM_THREADS="1")
    assert done.stdout == "1\n", done.stderr


def test_a_bad_number_stops_the_import():
    done = in_new_process("import nncore", NNCORE_NUM_THREADS="many")
    assert done.returncode != 0
    assert "NNCORE_NUM_THREADS='many' is not a number of threads" in done.stderr
