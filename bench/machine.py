"""The machine: its name, cores, caches, and which CPUs a run of n threads may use."""
import os
import platform
import subprocess
from pathlib import Path


def _lscpu():
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    except OSError:
        return {}
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


def affinity():
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def physical_cpus():
    """One CPU per physical core, of those this process may use, the last first: the first ones serve interrupts."""
    seen, chosen = set(), []
    for cpu in affinity():
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = path.read_text().strip() if path.exists() else cpu
        if core not in seen:
            seen.add(core)
            chosen.append(cpu)
    return chosen[::-1]


def blas_misses_avx512():
    """Whether OpenBLAS and MKL are known to leave this processor's AVX-512 unused."""
    info = _lscpu()
    return info.get("Vendor ID") == "AuthenticAMD" and "avx512f" in info.get("Flags", "").split()


def describe():
    """Facts for the head of the table and for --json."""
    info = _lscpu()
    flags = set(info.get("Flags", "").split())
    vector = [f for f in ("avx512f", "avx2", "fma", "avx", "sse2", "asimd", "sve") if f in flags]
    caches = {k: v for k, v in info.items() if k.endswith("cache")}
    return {"cpu": info.get("Model name", platform.processor() or platform.machine()),
            "family": info.get("CPU family"), "model": info.get("Model"), "vector": vector, "caches": caches,
            "cpus": len(affinity()), "cores": len(physical_cpus()), "hypervisor": info.get("Hypervisor vendor"),
            "system": platform.platform(), "load": os.getloadavg()[0]}
