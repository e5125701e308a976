"""What nncore is, what it found on this machine, and how it was built: the text of `python -m nncore info`."""
import platform

from . import _core, threads
from ._version import __version__


def report():
    """Version, instruction sets, threads with the reasons for their number, and the build: one `name: value` a line."""
    default, reasons = threads.decide(_core.has_openmp())
    lacking = [name for name in _core.isa_compiled() if name not in _core.isa_names()]
    rows = [
        ("nncore", __version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("instruction set", f"{_core.isa_current()}, chosen from {', '.join(_core.isa_names())}"
                            + (f" (not on this CPU: {', '.join(lacking)})" if lacking else "")),
        ("threads", f"{_core.get_num_threads()}; by default {default}, the smallest of"),
        *(("", reason) for reason in reasons),
        *(("" if i else "build", part) for i, part in enumerate(_core.build_flags().split("\n"))),
    ]
    return "\n".join(f"{name + ':' if name else '':17}{value}" for name, value in rows)
