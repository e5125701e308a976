"""Optimizer: parameters, gradients and state in flat arenas, stepped in one pass.

The parameters of a group are moved, at construction, one behind the other into one array; their gradients into another;
every kind of state is a third. So a step is one call for a group, whatever the number of layers, and zero_grad touches
no memory: the first gradient of the next backward overwrites.

A parameter without a gradient is not stepped, as in PyTorch: its momentum and its count of steps stand still. A group
is therefore cut into segments, at first one; where some of a segment's parameters have a gradient and others have none,
it is cut for good, and every piece goes on with a count of its own.
"""
import weakref

from .. import _core
from ..convert import to_array
from ..tensor import Tensor

__all__ = ["Optimizer", "ParameterGroup"]

ALIGN = 16  # floats: every parameter starts on a cache line
TRIM = 1 << 18  # parameters from so many on give the memory they lay in before back to the system


class ParameterGroup(dict):
    """A group's parameters and settings, as PyTorch's: group["lr"] = 0.1. A number set here is in force at once, also
    in a recorded step, as it is written to where the step reads it."""

    @staticmethod
    def optimizer():
        """The optimizer, once the group is built: a weak reference, so that both die when they are no longer used."""

    def __setitem__(self, name, value):
        self.update({name: value})

    def update(self, *values, **more):
        """Change settings together. ValueError or TypeError, and nothing changed, for values out of range."""
        if _core.recording():
            raise RuntimeError(f"a compiled step must not set {', '.join(map(str, dict(*values, **more)))} of an "
                               "optimizer: set it outside of the step; a step that is replayed sees the present value")
        values = dict(*values, **more)
        optimizer = self.optimizer()
        if optimizer is not None:
            for name, value in values.items():
                if name in self["switches"] and bool(value) != bool(self[name]):
                    raise ValueError(f"{name} = {self[name]} decides what state the optimizer keeps; "
                                     f"it cannot become {value}")
            optimizer.check({**self, **values})
        super().update(values)
        if optimizer is not None:
            flags = optimizer.flags(self)
            if flags != self.call_flags:
                _core.structure_changed()  # a recorded step has them as constants
            self.call_flags = flags
        for segment in self.get("segments", ()):
            segment.write(self)

    def __ior__(self, values):
        self.update(values)
        return self


class Segment:
    """A run of parameters that are stepped together: numbers first .. last-1 of a group, and what the step's call
    needs."""

    def __init__(self, group, layout, first, last, hyper):
        self.layout, self.first, self.last, self.hyper = layout, first, last, hyper
        self.tensors = group["params"][first:last]
        self.settle(group)
        self.write(group)

    def settle(self, group):
        """Look up where the parameters, their gradients and their state lie."""
        ends = group.offsets + [group.size]
        start, end = ends[self.first], ends[self.last]

        def part(array):
            return None if array is None else _core.flat_slice(array, start, end - start)
        self.homes = group.homes[self.first:self.last]
        self.weights, self.grads = part(group.weights), part(group.grads)
        self.states = tuple(part(s) for s in group.state)

    def write(self, group):
        """The group's settings to where the step reads them."""
        values = self.hyper.numpy()
        for i, name in self.layout:
            key, item = name if isinstance(name, tuple) else (name, None)
            values[i] = group[key] if item is None else group[key][item]

    @property
    def steps(self):
        return int(self.hyper.numpy()[2])


class Optimizer:
    """Base of the optimizers.

    parameters: tensors, or dicts with a list under "params" and settings of their own. Subclasses give
        op         name of the step in csrc/ops.inc
        layout     ((index, setting), ...): which setting stands where in the step's `hyper`; 2 counts the steps
        switches   settings that decide, by being zero or not, what state is kept: that cannot change later
        states(group), flags(group)
    """
    op = None
    layout = ()
    switches = ()

    def __init__(self, parameters, defaults):
        self.defaults = defaults
        self.param_groups = []
        parameters = list(parameters)
        if not parameters:
            raise ValueError(f"{type(self).__name__}: no parameters")
        for group in parameters if isinstance(parameters[0], dict) else [{"params": parameters}]:
            if not isinstance(group, dict) or "params" not in group:
                raise TypeError(f"{type(self).__name__}: tensors, or dicts with a list under 'params', expected")
            self.add_param_group(group)

    # ---- what a subclass says --------------------------------------------------------------------------------------

    def states(self, group):
        """(name, start value) of each array of state in the order of the step's operands; None for one not in use."""
        raise NotImplementedError

    def flags(self, group):
        """Flags of the step's call."""
        return _core.MAXIMIZE if group.get("maximize") else 0

    def check(self, group):
        """ValueError for settings out of range."""
        for key, default in self.defaults.items():
            if isinstance(group[key], (str, type(None))):
                raise TypeError(f"{type(self).__name__}: {key} = {group[key]!r} is no number")
        if not group["lr"] >= 0:
            raise ValueError(f"{type(self).__name__}: lr = {group['lr']} is negative")
        if not group["weight_decay"] >= 0:
            raise ValueError(f"{type(self).__name__}: weight_decay = {group['weight_decay']} is negative")

    # ---- groups ----------------------------------------------------------------------------------------------------

    def add_param_group(self, group):
        """Train further parameters: a dict with "params" and settings that differ from the defaults."""
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(f"{type(self).__name__}: unknown settings {sorted(unknown)}; "
                             f"known: {sorted(self.defaults)}")
        parameters = group["params"]
        parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for p in parameters:
            if not isinstance(p, Tensor):
                raise TypeError(f"{type(self).__name__}: tensors expected, got {type(p).__name__}")
            if not p.is_leaf or p.dtype != "float32":
                raise ValueError(f"{type(self).__name__}: only float32 leaf tensors can be trained, not {p!r}")
            if id(p) in taken:
                raise ValueError(f"{type(self).__name__}: a parameter of shape {p.shape} appears twice")
            taken.add(id(p))
        new = ParameterGroup({**self.defaults, **group, "params": parameters})
        self.check(new)
        _core.structure_changed()
        self._build(new)
        self.param_groups.append(new)

    def _build(self, group):
        """Arenas for a group, and its one segment."""
        offsets, size = [], 0
        for p in group["params"]:
            offsets.append(size)
            size += -(-p.size // ALIGN) * ALIGN
        group.offsets, group.size = offsets, size
        group.names = self.states(group)
        group.state = [None if name is None else _core.full(size, start) for name, start in group.names]
        self._move_in(group)
        group["segments"] = [Segment(group, self.layout, 0, len(offsets), _core.zeros(8, "float64"))]
        group["switches"] = self.switches
        group.call_flags = self.flags(group)
        group.optimizer = weakref.ref(self)

    @staticmethod
    def _move_in(group):
        """The parameters and their gradients into arenas of this optimizer."""
        group.weights, group.grads = _core.zeros(group.size), _core.zeros(group.size)
        for p, offset in zip(group["params"], group.offsets):
            p.move_to(_core.flat_slice(group.weights, offset, p.shape), _core.flat_slice(group.grads, offset, p.shape))
        group.homes = [p.array for p in group["params"]]
        for segment in group.get("segments", ()):
            segment.settle(group)
        if group.size > TRIM:
            _core.memory_trim()

    # ---- the step --------------------------------------------------------------------------------------------------

    def step(self):
        """Change every parameter that has a gradient, once."""
        op = _core.OPTIMIZERS[self.op]
        # All that may fail comes before the first change.
        todo = [(group.call_flags, s) for group in self.param_groups for s in self._segments(group)]
        for flags, s in todo:
            _core.optimizer_step(op, flags, s.weights, s.states, s.hyper, s.grads)

    def _segments(self, group):
        """The segments of a group whose parameters have gradients."""
        segments = group["segments"]
        present = [_core.grads_present(s.tensors, s.homes) for s in segments]
        if present == [1]:
            return segments
        paused = _core.pause_recording(True)  # what follows happens once and is no part of the step
        try:
            return self._settled(group, segments, present)
        finally:
            _core.pause_recording(not paused)

    def _settled(self, group, segments, present):
        """_segments, where the group is not in one piece."""
        if -2 in present:  # another optimizer has taken some into its arenas
            self._move_in(group)
            present = [_core.grads_present(s.tensors, s.homes) for s in segments]
        if -1 in present:
            segments = [piece for s, p in zip(segments, present) for piece in (self._cut(group, s) if p == -1 else [s])]
            dict.__setitem__(group, "segments", segments)
            _core.structure_changed()  # recorded steps work on the segments of before
            present = [_core.grads_present(s.tensors, s.homes) for s in segments]
        return [s for s, p in zip(segments, present) if p == 1]

    def _cut(self, group, segment):
        """Pieces of a segment whose parameters all have a gradient or all have none; each counts its steps from
        here."""
        present = [p.grad_array() is not None for p in segment.tensors]
        edges = [0, *(i for i in range(1, len(present)) if present[i] != present[i - 1]), len(present)]
        return [Segment(group, self.layout, segment.first + a, segment.first + b, _core.copy(segment.hyper))
                for a, b in zip(edges, edges[1:])]

    def zero_grad(self, set_to_none=True):
        """Forget all gradients: they are None until the next backward. set_to_none=False: those there are become
        zeros."""
        for group in self.param_groups:
            if set_to_none:
                _core.clear_grads(group["params"])
            else:
                for p in group["params"]:
                    if p.grad_array() is not None:
                        p.set_grad_array(_core.zeros(p.shape))

    # ---- state -----------------------------------------------------------------------------------------------------

    def state_dict(self):
        """Settings, counts of steps and state, as NumPy arrays by the number of the parameter: to go on from later."""
        state, groups, first = {}, [], 0
        for group in self.param_groups:
            steps = [segment.steps for segment in group["segments"] for _ in segment.tensors]
            for i, (p, offset) in enumerate(zip(group["params"], group.offsets)):
                entry = {"step": steps[i]}
                for (name, _), array in zip(group.names, group.state):
                    if name is not None:
                        entry[name] = _core.flat_slice(array, offset, p.shape).numpy().copy()
                state[first + i] = entry
            settings = {name: group[name] for name in (*self.defaults, "initial_lr") if name in group}
            groups.append({**settings, "params": list(range(first, first + len(group["params"])))})
            first += len(group["params"])
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        """Go on from what state_dict returned. ValueError or TypeError, and nothing changed, where it does not fit."""
        name = f"{type(self).__name__}.load_state_dict"
        try:
            plan = [self._fitted(saved, state_dict["state"], group)
                    for saved, group in zip(self._saved_groups(name, state_dict["param_groups"]), self.param_groups)]
        except (KeyError, AttributeError) as error:
            raise ValueError(f"{name}: {error} is missing") from None
        _core.structure_changed()  # recorded steps work on the segments of before
        for group, (settings, segments, arrays) in zip(self.param_groups, plan):
            for to, value in arrays:
                _core.assign(to, value)
            dict.__setitem__(group, "segments", segments)
            group.update(settings)

    def _saved_groups(self, name, groups):
        counts = [len(g["params"]) for g in groups]
        if counts != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"{name}: groups of {counts} parameters do not fit "
                             f"{[len(g['params']) for g in self.param_groups]}")
        return groups

    def _fitted(self, saved, state, group):
        """What loading `saved` into a group comes to: settings, segments that count on, [(array, its new values)]."""
        name = f"{type(self).__name__}.load_state_dict"
        settings = {key: saved[key] for key in self.defaults}
        self.check(settings)
        if "initial_lr" in saved:  # a scheduler's
            settings["initial_lr"] = saved["initial_lr"]
        if any(bool(settings[key]) != bool(group[key]) for key in self.switches):
            raise ValueError(f"{name}: {', '.join(self.switches)} differ")
        arrays = []
        for i, (number, p) in enumerate(zip(saved["params"], group["params"])):
            for (key, _), array in zip(group.names, group.state):
                if key is not None:
                    value = to_array(state[number][key], "float32")
                    if value.shape != p.shape:
                        raise ValueError(f"{name}: {key} of parameter {number} has shape {value.shape}, "
                                         f"the parameter {p.shape}")
                    arrays.append((_core.flat_slice(array, group.offsets[i], p.shape), value))
        steps = [int(state[number]["step"]) for number in saved["params"]]
        if min(steps, default=0) < 0:
            raise ValueError(f"{name}: {min(steps)} steps")
        edges = [0, *(i for i in range(1, len(steps)) if steps[i] != steps[i - 1]), len(steps)]
        segments = []
        for first, last in zip(edges, edges[1:]):
            hyper = _core.zeros(8, "float64")
            hyper.numpy()[2] = steps[first]
            segments.append(Segment(group, self.layout, first, last, hyper))
        return settings, segments, arrays

    def __getstate__(self):
        """For copy.deepcopy and pickle, together with the model whose parameters these are: the arenas are built
        anew."""
        groups = [{name: group[name] for name in ("params", *self.defaults)} for group in self.param_groups]
        return {**vars(self), "param_groups": groups, "state": self.state_dict()}

    def __setstate__(self, state):
        groups, values = state["param_groups"], state["state"]
        vars(self).update({name: value for name, value in state.items() if name != "state"}, param_groups=[])
        for group in groups:
            self.add_param_group(group)
        self.load_state_dict(values)

    def __repr__(self):
        lines = [f"{type(self).__name__}("]
        for group in self.param_groups:
            settings = ", ".join(f"{name}={group[name]}" for name in self.defaults)
            lines.append(f"  {len(group['params'])} parameters: {settings}")
        return "\n".join(lines) + "\n)"
