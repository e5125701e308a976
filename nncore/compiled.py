"""nncore.compile: a step that is recorded while it runs, and then runs again without Python.

The first two calls with arguments of some shapes run the function as it stands and write down every call to a kernel
(_program.pxi). If both wrote down the same, later calls with such arguments copy them into the inputs of the program
(large tensors are read where they lie) and run those calls in C, without Python, allocation or the GIL. Results are the
same to the last bit.

What is recorded is what was computed, not the Python code around it. So what Python decides from the values of
tensors cannot be recorded and is refused; what it decides from other things is looked at before each replay where that
is possible (arguments, modes of modules, parameters, which gradients there are, and what nncore.guards finds in the
function), and recorded anew when it has changed.
"""
import functools
import os
import threading
import types
import warnings

import numpy as np

from . import _core
from .convert import to_array
from .guards import guards
from .tensor import Tensor

__all__ = ["compile", "Compiled"]

MOST_PROGRAMS = 8     # kept for a function; the least recently used one goes
MOST_RECORDINGS = 4   # of one signature in a row, no two of them the same
RESTLESS = 8          # recordings in a row, each with another value of something that is read, before a warning

_recording = threading.RLock()   # one thread at a time
_LEAVES = (Tensor, np.ndarray, np.generic, float)
_NATIVE = {np.dtype(name) for name in ("float32", "int64", "uint8", "bool")}
_PLAIN = (int, str, bytes, complex, type(None))   # constants that are compared by value


def compile(function):
    """A function that records what `function` computes and then replays it: faster where steps are small.

    function: a training or inference step, or a Module. Arguments may be tensors, NumPy arrays, floats (these become
    inputs) and anything else (constants: another value is another program), in tuples, lists and dicts too. The
    function is given tensors. It may return tensors, numbers and None, in tuples, lists and dicts; the tensors returned
    carry no graph.

    RuntimeError, while recording, where the step does what a replay could not repeat: reads a value on the host
    (float(x), x.item(), x.numpy(), if x > 0), sets a learning rate, changes a Module, or keeps a tensor outside of the
    step. ValueError where two recordings differ, as when a number drawn by Python's random goes into the step.

        @nncore.compile
        def train_step(x, y):
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss
    """
    return Compiled(function)


class Compiled(_core.CompiledBase):
    """What nncore.compile returns. A call tries the program used last (CompiledBase), then `call`."""

    def __init__(self, function):
        if not callable(function):
            raise TypeError(f"compile: a function or Module expected, got {type(function).__name__}")
        self.function = function
        self.programs = []    # the last used first
        self.trials = []      # recordings not yet confirmed by a second, the last one first
        self.restless = 0     # how many in a row were not, as something the step reads had changed
        self.__wrapped__, self.__doc__ = function, function.__doc__   # names: see __getattr__
        self.__module__ = getattr(function, "__module__", None)

    def call(self, args, kwargs):
        """A call whose arguments do not fit the program used last: another program, or a recording."""
        if _core.recording():   # a compiled function within another is part of it
            return self.function(*args, **kwargs)
        if kwargs or any([isinstance(x, (tuple, list, dict)) for x in args]):
            leaves, shape = _flatten((args, kwargs))
        else:
            leaves, shape = args, _flat_shape(len(args))
        flat = tuple([_native(x) for x in leaves])
        for program in self.programs:
            if program.shape == shape:
                result = program.core.attempt(flat)
                if result is not _core.MISSING:
                    self._use(program)
                    return result
        return self._record(flat, shape)

    def _use(self, program):
        if self.programs[0] is not program:   # a new list: another thread may go through the old one
            self.programs = [program, *(p for p in self.programs if p is not program)][:MOST_PROGRAMS]
        # What is tried first takes the arguments as they stand: nothing nested.
        self.set_last(program.core if program.shape == _flat_shape(len(program.kinds)) else None)

    def _record(self, flat, shape):
        """Run the function and record it; keep the program if the recording before said the same."""
        inputs = [_input(x) for x in flat]
        kinds = tuple((a.dtype, a.shape) if a is not None else (type(x), x if isinstance(x, _PLAIN) else id(x))
                      for a, x in zip(inputs, flat))
        with _recording:
            program, result = self._run(flat, shape, inputs, kinds)
            alike = [p for p in self.trials if p.starts_as(program)]
            differences = [p.difference(program) for p in alike]
            if None in differences:
                program.core.plan_memory()
                self.trials = [p for p in self.trials if p not in alike]
                self.programs = [program, *self.programs][:MOST_PROGRAMS]
                self.restless = 0
                self._use(program)
            elif len(alike) + 1 >= MOST_RECORDINGS:
                self.trials = [p for p in self.trials if p not in alike]
                raise ValueError(f"compile: {len(alike) + 1} recordings of {_name(self.function)} all differ "
                                 f"({differences[0]}): something in it changes from call to call that is no tensor (a "
                                 "random number of the host, a counter). Make it an argument")
            else:
                self._warn_of_what_changes(program)
                self.trials = [program, *self.trials][:MOST_PROGRAMS]
            return result

    def _warn_of_what_changes(self, program):
        """A step that reads a counter is recorded anew each time: right, but slow. So is one that begins with gradients
        which an earlier one has left and no optimizer holds."""
        reasons = [p.core.guard_that_differs(program.core) or "" for p in self.trials[:1]
                   if p.shape == program.shape and p.kinds == program.kinds and not p.starts_as(program)]
        self.restless = self.restless + 1 if reasons else 0
        if self.restless == RESTLESS:
            why = (f"{reasons[0]} is another each time; make it an argument" if reasons[0] else
                   "it begins with other gradients, modules or modes each time; give it an optimizer, or set gradients "
                   "to None at its end")
            warnings.warn(f"compile: {_name(self.function)} is recorded at each call, as {why}", RuntimeWarning,
                          stacklevel=4)

    def _run(self, flat, shape, inputs, kinds):
        core = _core.Program()
        tensors = [x if a is None else _core.make_tensor(a) for a, x in zip(inputs, flat)]
        args, kwargs = (tensors, {}) if shape is _flat_shape(len(flat)) else _unflatten(iter(tensors), shape)
        statics = tuple(None if a is not None else x for a, x in zip(inputs, flat))
        trial = next((p.core for p in self.trials if p.shape == shape and p.kinds == kinds), None)
        again = trial is not None and trial.guards_hold()   # then another search would find the same
        core.start(inputs, statics, trial.guards if again else tuple(guards(self.function, args, kwargs)))
        try:
            result = self.function(*args, **kwargs)
            outputs, form = _flatten(result, only_tensors=True)
            arrays = [t.array for t in outputs]
            del result, outputs, args, kwargs, tensors   # what is alive from here on is kept outside
            single = form is _LEAF
            core.finish(arrays, None if single else lambda found: _unflatten(iter(found), form))
        finally:
            core.stop()
        found = [_core.make_tensor(_core.copy(a)) for a in arrays]
        return _Program(core, shape, kinds, form), found[0] if single else _unflatten(iter(found), form)

    def summary(self):
        """What was recorded, as text: for each program its calls, flops, bytes moved, and memory."""
        name = _name(self.function)
        return "\n\n".join(p.summary(name) for p in self.programs) or f"{name}: nothing recorded yet"

    def __getattr__(self, name):   # of the module or function
        if name == "function":     # not there yet: being copied
            raise AttributeError(name)
        return getattr(self.function, name)

    def __get__(self, instance, owner=None):
        """A compiled method: each object has programs of its own."""
        if instance is None:
            return self
        bound = Compiled(types.MethodType(self.function, instance))
        instance.__dict__[self.function.__name__] = bound
        return bound

    def __reduce__(self):   # copies and pickles record anew
        return compile, (self.function,)

    def __deepcopy__(self, memo):
        from copy import deepcopy
        return compile(deepcopy(self.function, memo))

    def __repr__(self):
        return f"compile({_name(self.function)}, {len(self.programs)} programs)"


class _Program:
    """A recording, which arguments it is for, and the form of its result."""

    def __init__(self, core, shape, kinds, form):
        self.core, self.shape, self.kinds, self.form = core, shape, kinds, form

    def starts_as(self, other):
        """Whether both were recorded for such arguments and in the same state, so that they should be the same."""
        return self.shape == other.shape and self.kinds == other.kinds and self.core.starts_as(other.core)

    def difference(self, other):
        """Why these are not the same, in words; None if they are."""
        return self.core.difference(other.core) or (None if self.form == other.form else "its result has changed")

    def summary(self, name):
        calls = self.core.calls_made()
        ops = {}
        for op, _, _, moved, flops in calls:
            n, m, f = ops.get(op, (0, 0, 0))
            ops[op] = n + 1, m + moved, f + flops
        shapes = ", ".join("x".join(map(str, value)) or "number" if isinstance(kind, str) else repr(value)
                           for kind, value in self.kinds)
        moved, flops = sum(c[3] for c in calls), sum(c[4] for c in calls)
        lines = [f"{name}({shapes}): {len(calls)} calls, {flops / 1e6:.3g} Mflop in products, "
                 f"{moved / 1e6:.3g} MB moved",
                 f"  memory: arena {self.core.arena_bytes} bytes; {self.core.live_bytes} live at most, "
                 f"{self.core.naive_bytes} with a place for each array"]
        lines += [f"  {op:24s}{n:5d} calls {m / 1e6:10.3g} MB {f / 1e6:10.3g} Mflop"
                  for op, (n, m, f) in sorted(ops.items(), key=lambda item: -item[1][1])]
        return "\n".join(lines)


# ---- arguments and results -------------------------------------------------------------------------------------------

class _Leaf:
    def __repr__(self):
        return "*"


_LEAF = _Leaf()


@functools.lru_cache(64)
def _flat_shape(n):
    return (tuple, ((tuple, (_LEAF,) * n), (dict, ())))


def _flatten(x, only_tensors=False):
    """(leaves from left to right, what is left when they are taken out), for nested tuples, lists and dicts."""
    if type(x) is Tensor:
        return [x], _LEAF
    leaves = []
    return leaves, _take_out(x, leaves, only_tensors)


def _take_out(x, leaves, only_tensors):
    if isinstance(x, (tuple, list)):
        return type(x), tuple([_take_out(v, leaves, only_tensors) for v in x])
    if isinstance(x, dict):
        return dict, tuple([(k, _take_out(v, leaves, only_tensors)) for k, v in x.items()])
    if not only_tensors or isinstance(x, Tensor):
        leaves.append(x)
        return _LEAF
    if isinstance(x, (_core.Array, np.ndarray)):
        raise RuntimeError(f"compile: the step returns a {type(x).__name__}, which would never change again; return "
                           "the tensor")
    return None, x


def _unflatten(leaves, shape):
    if shape is _LEAF:
        return next(leaves)
    kind, parts = shape
    if kind is None:
        return parts
    if kind is dict:
        return {k: _unflatten(leaves, part) for k, part in parts}
    values = [_unflatten(leaves, part) for part in parts]
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


def _native(x):
    """x, or a tensor of its values where it is a NumPy array that no program reads as it is."""
    if isinstance(x, (np.ndarray, np.generic)) and not (x.dtype in _NATIVE and x.flags.c_contiguous):
        return _core.make_tensor(to_array(x))
    return x


def _input(x):
    """An Array of its own for an argument that is data; None for a constant."""
    if not isinstance(x, _LEAVES):
        return None
    if isinstance(x, Tensor) and x.requires_grad:
        raise ValueError(f"compile: an argument of shape {x.shape} requires a gradient, which a replay would not give "
                         "it; use detach(), or let the step read the tensor as a variable")
    return to_array(x)


def _after_fork():
    """In a child: the thread that was recording, if it was another one, is not here."""
    global _recording
    if not _core.recording():
        _recording = threading.RLock()
        _core.Program().stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _name(function):
    return getattr(function, "__name__", type(function).__name__)
