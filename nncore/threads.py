"""How many threads nncore uses by default, and why.

The smallest of five limits decides: the CPUs this process may run on, the CPU quota of its control group (containers),
physical cores (two threads of one core share its vector units: measured gains of hyperthreads are nil to negative),
``OMP_NUM_THREADS`` and ``NNCORE_NUM_THREADS``. ``nncore.set_num_threads`` may go beyond them.

Reading them takes about 0.1 ms for two cores and 10 us for each core more: files of a few bytes in /proc and /sys.
Nothing of the compiled part is imported here, and every file is looked for under ``root``, so that tests can invent
machines.
"""

import os
import warnings
from contextlib import contextmanager

# About 75 us on AMD Zen 5 (a pause is 25 ns; 10 to 50 on other processors): bridges the gap between two ops of a
# training step. A sleeping team costs 12-40 us to wake; one that spins longer takes its processor from others (see
# csrc/par.c).
SPIN_COUNT = "3000"


def decide(openmp=True, root="/", environ=os.environ):
    """The number of threads to start with, and one line about each limit that was found; ``<-`` marks what decides.

    Raises ValueError if NNCORE_NUM_THREADS is not a number of threads; warns if OMP_NUM_THREADS is not.
    """
    found = limits(root, environ)
    rounded = {name: max(1, int(value + 0.5)) for name, value in found.items() if value is not None}
    if not openmp:
        rounded["openmp"] = 1
    n = min(rounded.values())
    text = {
        "affinity": "CPUs in the affinity mask of this process: {}",
        "quota": "CPU quota of its control group: {:.4g}",
        "cores": "physical cores among its CPUs: {}",
        "OMP_NUM_THREADS": "OMP_NUM_THREADS={}",
        "NNCORE_NUM_THREADS": "NNCORE_NUM_THREADS={}",
        "openmp": "built without OpenMP: 1",
    }
    return n, [text[name].format(found.get(name)) + (" <-" if limit == n else "") for name, limit in rounded.items()]


def limits(root="/", environ=os.environ):
    """Every limit by name, in CPUs or threads; None for those that do not exist here. The quota may be a fraction."""
    cpus = affinity()
    return {
        "affinity": len(cpus),
        "quota": quota(root),
        "cores": cores(cpus, root),
        "OMP_NUM_THREADS": openmp_threads(environ),
        "NNCORE_NUM_THREADS": nncore_threads(environ),
    }


@contextmanager
def short_spinning(environ=os.environ):
    """For the import of the compiled part: an OpenMP runtime that is loaded inside lets idle threads sleep soon.

    GNU OpenMP reads its environment when it is loaded. If another library has loaded it before, or if the user set
    either variable, what is there stays.
    """
    if "GOMP_SPINCOUNT" in environ or "OMP_WAIT_POLICY" in environ:
        yield
        return
    environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        yield
    finally:
        del environ["GOMP_SPINCOUNT"]


def affinity():
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))  # macOS


def quota(root="/"):
    """CPU time per time granted to the control group of this process: the least of the group and those around it.

    Inside a container /proc/self/cgroup may name a path of the host; its own group is then the root of the mount, where
    the walk upward ends.
    """
    least = None
    for line in (read(root, "proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            mounts, granted = ["sys/fs/cgroup", "sys/fs/cgroup/unified"], quota_v2
        elif "cpu" in controllers.split(","):
            mounts, granted = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/" + controllers], quota_v1
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for mount in dict.fromkeys(mounts):
            for depth in range(len(parts), -1, -1):
                cpus = granted(root, "/".join([mount, *parts[:depth]]))
                if cpus is not None and (least is None or cpus < least):
                    least = cpus
    return least


def quota_v2(root, group):
    return ratio(*((read(root, group + "/cpu.max") or "").split() + ["", ""])[:2])


def quota_v1(root, group):
    granted = read(root, group + "/cpu.cfs_quota_us")
    return granted and ratio(granted, read(root, group + "/cpu.cfs_period_us") or "")


def ratio(granted, period):
    """None for `max`, -1 and whatever else is not two numbers above zero."""
    granted, period = granted.strip(), period.strip()
    if not (granted.isdigit() and period.isdigit() and int(granted) and int(period)):
        return None
    return int(granted) / int(period)


def cores(cpus, root="/"):
    """Physical cores among `cpus`; None where the system does not tell."""
    if (read(root, "sys/devices/system/cpu/smt/active") or "").strip() == "0":
        return len(cpus)
    count, counted = 0, set()
    for cpu in cpus:
        if cpu in counted:
            continue
        siblings = read(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        if siblings is None:
            return None
        count += 1
        counted.update(numbers(siblings))
    return count


def numbers(text):
    """The numbers in a list as the kernel writes it: 0-2,8 is 0, 1, 2, 8."""
    for piece in text.strip().split(","):
        first, _, last = piece.partition("-")
        if first:
            yield from range(int(first), int(last or first) + 1)


def openmp_threads(environ):
    """OMP_NUM_THREADS may be a list, one number for each level of nesting: the first counts."""
    value = environ.get("OMP_NUM_THREADS", "").strip()
    if not value:
        return None
    first = value.split(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    warnings.warn(f"OMP_NUM_THREADS={value!r} is not a number of threads: ignored", RuntimeWarning, stacklevel=2)
    return None


def nncore_threads(environ):
    value = environ.get("NNCORE_NUM_THREADS", "").strip()
    if not value:
        return None
    if value.isdecimal() and int(value):
        return int(value)
    raise ValueError(f"NNCORE_NUM_THREADS={value!r} is not a number of threads: expected a whole number from 1 up")


def read(root, path):
    try:
        with open(os.path.join(root, path), encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None
