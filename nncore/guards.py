"""What a step reads from Python beside its arguments: constants of a recording, looked at before each replay.

Read from the bytecode of the function and of the functions it names, their functions, and so on, as far as they are not
nncore's, NumPy's or Python's own: globals, variables of enclosing functions, default arguments, and attributes of what
these are (`options.rate`, `self.layers.depth`, `config.RATE`). Of lists, dicts and sets of plain values, and of small
NumPy arrays, the contents too.

An object that is handed on by itself (`loss_of(options, x)`, `options = self.options`, an item of a list) may be read
anywhere: of it, those attributes are looked at whose names the walk meets on something that it does not know.

Not seen: getattr(), vars(), globals(), deques, methods replaced in a class, containers of more than MOST_ITEMS, the
contents of large arrays in a container, files, the clock. A list that the step only appends to is not read.
"""
import copy
import dis
import functools
import inspect
import sys
import types

import numpy as np

from . import _core

__all__ = ["guards"]

PLAIN = (int, float, str, bytes, bool, complex, type(None))
MOST_ITEMS = 64        # in a list, dict or set whose contents are compared before each replay: about 0.5 us
MOST_BYTES = 1 << 14   # in a NumPy array: about 1 us

_LIBRARIES = {"nncore", "numpy", *sys.stdlib_module_names}
_UNKNOWN = object()
_COUNT = _core.COUNT   # in place of a key: how many items
# What a Module mostly has as attributes, so that these need not be looked into for other modules.
_NO_MODULES = {type(None), bool, int, float, str, tuple, list, dict}
# Attributes of containers and arrays that tell nothing of what these hold.
_NO_CONTENTS = {"append", "extend", "insert", "add", "clear", "update", "setdefault", "shape", "dtype", "size", "ndim",
                "nbytes"}


def guards(function, args=(), kwargs=None):
    """[(where, name, value, twin, label)]: `value` is what the variable of a cell (name None), the entry of a dict or
    the attribute `name` of `where` must still be; or, if where is None, an object that must still hold what twin does.
    RuntimeError for a NumPy array that is too large to be compared.
    """
    walk = _Walk()
    walk.into(function, args, kwargs or {})
    walk.into_what_is_handed_on()
    return list(walk.found.values())


class _Walk:
    def __init__(self):
        self.found, self.seen = {}, set()
        self.handed_on = {}   # id -> (object, label)
        self.loose = set()    # attributes that are read of something unknown

    def into(self, value, args=(), kwargs=None):
        """Follow what a call of `value` would run."""
        kind = type(value)
        if _is_module[kind]:
            self.module(value, args, kwargs)
        elif kind is types.FunctionType:
            self.function(value, args, kwargs)
        elif kind is types.MethodType:
            self.function(value.__func__, (value.__self__, *args), kwargs)
        elif isinstance(value, functools.partial):
            self.into(value.func, (*value.args, *args), {**value.keywords, **(kwargs or {})})
        elif isinstance(value, _core.CompiledBase):
            self.into(value.function, args, kwargs)
        elif not isinstance(value, type) and _owner(kind) not in _LIBRARIES:
            call = getattr(kind, "__call__", None)
            if isinstance(call, types.FunctionType):
                self.function(call, (value, *args), kwargs)

    def module(self, value, args, kwargs):
        """Its forward, and those of the modules that it holds, whoever calls them."""
        todo = [(value, (value, *args), kwargs)]
        for module, args, kwargs in todo:
            if not _library(forward := type(module).forward):
                self.function(forward, args, kwargs)
            if id(module) not in self.seen:
                self.seen.add(id(module))
                todo += [(part, (part,), None) for part in vars(module).values()
                         if type(part) not in _NO_MODULES and _is_module[type(part)]]

    def function(self, f, args=(), kwargs=None):
        code = getattr(f, "__code__", None)
        key = id(code), id(args[0]) if args else None
        if code is None or _library(f) or key in self.seen:
            return
        self.seen.add(key)
        names = code.co_varnames[:code.co_argcount]
        known = {}
        if f.__defaults__:
            known.update(zip(reversed(names), reversed(f.__defaults__)))
            self.variable(f, "__defaults__", f.__defaults__, f"{f.__name__}.__defaults__")
        if f.__kwdefaults__:
            known.update(f.__kwdefaults__)
            self.variable(f, "__kwdefaults__", f.__kwdefaults__, f"{f.__name__}.__kwdefaults__")
        known.update(zip(names, args))
        if kwargs:
            known.update(kwargs)
        for name, cell in zip(code.co_freevars, f.__closure__ or ()):
            try:
                known[name] = self.variable(cell, None, cell.cell_contents, name)
            except ValueError:   # not assigned yet
                pass
        self.code(code, f.__globals__, known)
        if "super" in code.co_names and args:
            for base in type(args[0]).__mro__[1:]:
                for name in code.co_names:
                    if isinstance(base.__dict__.get(name), types.FunctionType):
                        self.function(base.__dict__[name], args if name == code.co_name else args[:1])

    def code(self, code, names, known):
        chains, stored, inner, loose = _reads[code]
        self.loose |= loose
        known = {name: value for name, value in known.items() if name not in stored}
        for local, name, attributes, written in chains:
            value = known.get(name, _UNKNOWN) if local else names.get(name, _UNKNOWN)
            if value is _UNKNOWN:
                self.loose.update(attributes)
                continue
            if not local and not isinstance(value, types.ModuleType):
                self.variable(names, name, value, name)
            for i, attribute in enumerate(attributes, 1):
                self.contents(value, attribute, name)
                name = f"{name}.{attribute}"
                value = self.attribute(value, attribute, name)
                if value is _UNKNOWN:
                    self.loose.update(attributes[i:])
                    break
            else:
                if not written:
                    self.hand_on(value, name)
        for c in inner:
            self.code(c, names, {n: v for n, v in known.items() if n not in c.co_varnames})

    def variable(self, where, name, value, label):
        """Guard what a name stands for; returns it."""
        if (id(where), name) not in self.found:
            self.found[id(where), name] = (where, name, value, None, label)
            self.into(value)
        return value

    def hand_on(self, value, label):
        """A value that may be read anywhere."""
        kind = type(value)
        if _is_container[kind]:
            self.contents(value, None, label)
        elif _has_attributes[kind] and len(self.handed_on) < MOST_ITEMS:
            self.handed_on.setdefault(id(value), (value, label))

    def into_what_is_handed_on(self):
        done = set()
        while True:   # more objects and more names may come to light
            todo = [(key, name) for key in self.handed_on for name in self.loose if (key, name) not in done]
            if not todo:
                return
            done.update(todo)
            for key, name in todo:
                base, label = self.handed_on[key]
                value = self.attribute(base, name, f"{label}.{name}")
                if value is not _UNKNOWN:
                    self.hand_on(value, f"{label}.{name}")

    def contents(self, value, attribute, label):
        """Guard what a container or array holds, unless an attribute is asked that does not depend on it."""
        if attribute in _NO_CONTENTS or not _is_container[type(value)]:
            return
        twin = None if isinstance(value, tuple) else _twin(value, label)
        if twin is not None:
            self.found[id(value), _UNKNOWN] = (None, None, value, twin, label)
        elif isinstance(value, (list, dict, tuple)) and len(value) <= MOST_ITEMS:
            self.items(value, label)

    def items(self, value, label):
        """Guard which objects a container holds, and how many."""
        if id(value) in self.seen:
            return
        self.seen.add(id(value))
        fixed = isinstance(value, tuple)
        if not fixed:
            self.found[id(value), _COUNT] = (value, _COUNT, len(value), None, f"len({label})")
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            name = f"{label}[{key!r}]"
            if not fixed and key is not None:   # that would be a cell
                self.variable(value, key, item, name)
            if not isinstance(item, np.ndarray) or item.nbytes <= MOST_BYTES:
                self.hand_on(item, name)

    def attribute(self, base, name, label):
        """The value of base.name, guarded; _UNKNOWN where it is computed, or nncore's or NumPy's own affair."""
        owner = _owner(type(base))
        if owner == "numpy":
            return _UNKNOWN
        if owner == "nncore":   # an optimizer, a layer: they watch their attributes by themselves
            return getattr(base, "__dict__", {}).get(name, _UNKNOWN)
        if isinstance(base, types.ModuleType):
            value = vars(base).get(name, _UNKNOWN)
            if value is _UNKNOWN or base.__name__.partition(".")[0] in _LIBRARIES:
                return _UNKNOWN
            return value if isinstance(value, types.ModuleType) else self.variable(vars(base), name, value, label)
        if isinstance(base, (*PLAIN, list, dict, tuple, set, types.FunctionType)):
            return _UNKNOWN
        found = inspect.getattr_static(base, name, _UNKNOWN)
        if isinstance(found, property):
            self.function(found.fget, (base,))
        elif isinstance(found, (classmethod, staticmethod)):
            self.into(getattr(base, name))
        elif isinstance(found, types.FunctionType) and name not in getattr(base, "__dict__", ()):
            self.function(found, () if isinstance(base, type) else (base,))
        elif found is not _UNKNOWN and (not hasattr(type(found), "__get__") or name in getattr(base, "__dict__", ())
                                        or isinstance(found, types.MemberDescriptorType)):
            try:
                value = getattr(base, name)
            except AttributeError:   # a slot without a value
                return _UNKNOWN
            if any(_owner(c) == "nncore" for c in type(base).__mro__):   # a Module of the user's: the same
                self.into(value)
                return value
            return self.variable(base, name, value, label)
        return _UNKNOWN


class _Answers(dict):
    """answers[x]: what ask(x) says, asked once. functools.lru_cache takes five times as long for a type."""

    def __init__(self, ask):
        self.ask = ask

    def __missing__(self, x):
        if len(self) >= 1024:
            self.clear()
        self[x] = answer = self.ask(x)
        return answer


_is_module = _Answers(lambda kind: hasattr(kind, "forward") and hasattr(kind, "modules"))
_is_container = _Answers(lambda kind: issubclass(kind, (list, dict, tuple, set, np.ndarray)))
_package = _Answers(lambda module: (module or "").partition(".")[0])


def _owner(kind):
    return _package[kind.__module__]


def _library(f):
    return _package[f.__module__] in _LIBRARIES


@_Answers
def _has_attributes(kind):
    """Whether objects of this type are a user's, with attributes that are looked at where they are handed on."""
    return not (issubclass(kind, (*PLAIN, type, types.ModuleType, types.FunctionType, types.MethodType))
                or _owner(kind) in ("nncore", "numpy"))


@_Answers
def _reads(code):
    """What code looks up: ([(whether local, name, attributes, whether what they lead to is only written to)], names
    assigned, the functions written in it, attributes of what has no name)."""
    chains, stored, loose, open_, before = {}, set(), set(), None, None

    def close(written=False):
        if open_:
            chains[open_[0], open_[1], tuple(open_[2]), written] = None
    for i in dis.get_instructions(code):
        op, last = i.opname, i.argval[-1] if isinstance(i.argval, tuple) and i.argval else i.argval
        if op.startswith("STORE_FAST") or op == "STORE_DEREF":
            stored.add(i.argval[0] if isinstance(i.argval, tuple) else i.argval)
            if op == "STORE_FAST_STORE_FAST":
                stored.add(last)
        if op in ("LOAD_ATTR", "LOAD_METHOD"):
            if open_ and before == "COPY":   # self.calls += 1
                close(True)
                open_ = None
            elif open_:
                open_[2].append(last)
            else:
                loose.add(last)
        elif op == "LOAD_GLOBAL" or op.startswith("LOAD_FAST") or op in ("LOAD_DEREF", "STORE_FAST_LOAD_FAST"):
            close()
            open_ = (op != "LOAD_GLOBAL", last, [])
            if isinstance(i.argval, tuple) and op.startswith("LOAD_FAST"):
                chains[True, i.argval[0], (), False] = None
        elif op == "COPY" and before != "COPY":
            pass   # what follows tells
        elif op not in ("CACHE", "PUSH_NULL", "NOP", "EXTENDED_ARG"):
            close(op in ("STORE_ATTR", "DELETE_ATTR"))
            open_ = None
        if op not in ("CACHE", "EXTENDED_ARG"):
            before = op
    close()
    return list(chains), stored, [c for c in code.co_consts if isinstance(c, types.CodeType)], loose


def _twin(value, label):
    """What the contents of `value` are compared with before a replay: a copy; None where they need not or cannot be."""
    if isinstance(value, np.ndarray):
        if not value.flags.writeable or value.dtype.hasobject:
            return None
        if value.nbytes > MOST_BYTES:
            raise RuntimeError(f"compile: the step reads {label}, a NumPy array of {value.nbytes} bytes: a change of "
                               "it would not be seen. Give it as an argument, make it a tensor outside of the step, or "
                               "forbid changes by its setflags(write=False)")
        return value.tobytes()
    return copy.deepcopy(value) if 0 <= _plain_items(value, MOST_ITEMS) else None


def _plain_items(x, most):
    """How many more than the plain values in x, however nested, there might be; negative: too many, or others."""
    if isinstance(x, dict):
        x = [*x, *x.values()]
    for v in x:
        if isinstance(v, PLAIN):
            most -= 1
        else:
            most = _plain_items(v, most) if type(v) in (list, dict, set, tuple) else -1
        if most < 0:
            return -1
    return most
