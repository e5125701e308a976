"""nncore: neural networks on the CPU, compiled, small, quick to start.

Tensors and operations are here; layers in nncore.nn, optimizers in nncore.optim, losses as functions in nncore.losses,
data in nncore.data, networks of the literature in nncore.models, initialisers in nncore.init.
"""
import os as _os

from . import threads as _threads
from ._version import __version__

with _threads.short_spinning():
    from . import _core


def _start():
    """Choose the instruction set (NNCORE_ISA), the number of threads, the way of convolution
    (NNCORE_CONV_ALGORITHM)."""
    wanted = _os.environ.get("NNCORE_ISA") or None
    try:
        _core.isa_select(wanted)
    except ValueError as error:
        raise ImportError(f"NNCORE_ISA={wanted}: {error}") from None
    _core.set_num_threads(_threads.decide(_core.has_openmp())[0])
    algorithm = _os.environ.get("NNCORE_CONV_ALGORITHM") or "auto"
    try:
        _core.set_conv_algorithm(algorithm)
    except ValueError as error:
        raise ImportError(f"NNCORE_CONV_ALGORITHM={algorithm}: {error}") from None


_start()

from . import autograd, convert, losses, ops, random, tensor as _tensor  # noqa: E402
from ._core import (  # noqa: E402
    get_num_threads, isa_current, isa_names, memory_stats, set_conv_algorithm, set_num_threads)
from .autograd import enable_grad, is_grad_enabled, no_grad  # noqa: E402
from .ops import *  # noqa: E402,F403
from .random import Generator, manual_seed  # noqa: E402
from .tensor import *  # noqa: E402,F403
from . import init, nn, optim  # noqa: E402
from .compiled import compile  # noqa: E402
from .profiler import profile  # noqa: E402

from .tensor import tensor  # noqa: E402  the function, not the module


def __getattr__(name):
    """nncore.data, nncore.models and nncore.train are imported when they are first used."""
    if name in ("data", "models", "train"):
        from importlib import import_module
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
