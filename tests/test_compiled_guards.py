"""nncore.compile: what a step reads from Python beside its arguments is a constant of a recording; a change is seen."""
import argparse
import dataclasses
import functools
import sys
import types
import warnings

import numpy as np
import pytest

import nncore
from nncore import nn, ops
from nncore.guards import MOST_BYTES, MOST_ITEMS

RATE, TABLE, ARRAY = 1.0, {"rate": 1.0}, np.ones(3, "f4")
settings = types.ModuleType("settings_of_a_user")
settings.rate, settings.scale = 1.0, lambda x: x * settings.rate


class Config:
    rate = 1.0

    def __init__(self, rate=1.0):
        self.own, self.inner = rate, types.SimpleNamespace(rate=rate)
        self.list, self.array = [rate], np.full(3, rate, "f4")

    @property
    def computed(self):
        return self.own

    def method(self, x):
        return x * self.own

    @staticmethod
    def static(x):
        return x * RATE

    def __call__(self, x):
        return self.method(x)


class Slots:
    __slots__ = ("rate",)

    def __init__(self):
        self.rate = 1.0


@dataclasses.dataclass
class Data:
    rate: float = 1.0


class Scaled(nn.Module):
    def __init__(self):
        self.config, self.factors = Config(), [1.0]

    def forward(self, x):
        return x * self.config.inner.rate * self.factors[0] * RATE


def scaled(x, rate=1.0, table={"rate": 1.0}):
    return x * RATE * rate * table["rate"]


def deep(x):
    return scaled(x)


def set_global(value):
    global RATE
    RATE = value



def cases():
    """{name: (step, change(value))}: the step multiplies by the value."""
    config, slots, data, model = Config(), Slots(), Data(), Scaled()
    spaces, parsed, items = types.SimpleNamespace(rate=1.0), argparse.Namespace(rate=1.0), [1.0, 2.0]
    table, array, optional = {"a": {"b": [1.0]}}, np.ones(3, "f4"), [None]

    def default(x, options=config, *, more=items):
        return x * options.own * more[0]

    def change_default(value):
        default.__defaults__ = (Config(value),)
    return {
        "global": (lambda x: x * RATE, set_global),
        "attribute": (lambda x: x * config.own, lambda v: setattr(config, "own", v)),
        "attribute of an attribute": (lambda x: x * config.inner.rate, lambda v: setattr(config.inner, "rate", v)),
        "attribute replaced": (lambda x: x * config.inner.rate,
                               lambda v: setattr(config, "inner", types.SimpleNamespace(rate=v))),
        "of the class": (lambda x: x * config.rate, lambda v: setattr(Config, "rate", v)),
        "of the class itself": (lambda x: x * Config.rate, lambda v: setattr(Config, "rate", v)),
        "shadowed": (lambda x: x * config.rate, lambda v: setattr(config, "rate", v)),
        "slot": (lambda x: x * slots.rate, lambda v: setattr(slots, "rate", v)),
        "dataclass": (lambda x: x * data.rate, lambda v: setattr(data, "rate", v)),
        "namespace": (lambda x: x * spaces.rate, lambda v: setattr(spaces, "rate", v)),
        "arguments of a program": (lambda x: x * parsed.rate, lambda v: setattr(parsed, "rate", v)),
        "property": (lambda x: x * config.computed, lambda v: setattr(config, "own", v)),
        "method": (lambda x: config.method(x), lambda v: setattr(config, "own", v)),
        "bound method": (config.method, lambda v: setattr(config, "own", v)),
        "static method": (lambda x: config.static(x), set_global),
        "object that is called": (lambda x: config(x), lambda v: setattr(config, "own", v)),
        "callable object": (config, lambda v: setattr(config, "own", v)),
        "module": (lambda x: x * settings.rate, lambda v: setattr(settings, "rate", v)),
        "function of a module": (lambda x: settings.scale(x), lambda v: setattr(settings, "rate", v)),
        "global of a function": (lambda x: scaled(x), set_global),
        "global of a function's function": (lambda x: deep(x), set_global),
        "partial": (functools.partial(scaled, rate=1.0), set_global),
        "function within": (lambda x: (lambda y: y * config.own)(x), lambda v: setattr(config, "own", v)),
        "comprehension": (lambda x: [x * config.own for _ in range(2)][1], lambda v: setattr(config, "own", v)),
        "compiled within": (nncore.compile(lambda x: config.method(x)), lambda v: setattr(config, "own", v)),
        "default replaced": (lambda x: default(x), change_default),
        "attribute of a default": (lambda x: default(x), lambda v: setattr(config, "own", v)),
        "item of a default": (lambda x: default(x), lambda v: items.__setitem__(0, v)),
        "item of a list": (lambda x: x * items[0], lambda v: items.__setitem__(0, v)),
        "items of a list": (lambda x: x * sum(items) / 3.0, lambda v: items.__setitem__(0, 3 * v - 2)),
        "item of a dict": (lambda x: x * TABLE["rate"], lambda v: TABLE.update(rate=v)),
        "item of an item": (lambda x: x * table["a"]["b"][0], lambda v: table["a"]["b"].__setitem__(0, v)),
        "list of an object": (lambda x: x * config.list[0], lambda v: config.list.__setitem__(0, v)),
        "array": (lambda x: x * array, lambda v: array.fill(v)),
        "array of an object": (lambda x: x * config.array, lambda v: config.array.fill(v)),
        "global array": (lambda x: x * ARRAY, lambda v: ARRAY.fill(v)),
        "object of a Module": (model, lambda v: setattr(model.config.inner, "rate", v)),
        "list of a Module": (model, lambda v: model.factors.__setitem__(0, v)),
        "global of a Module's forward": (lambda x: model(x), set_global),
        "within Sequential": (nn.Sequential(nn.Identity(), model), lambda v: setattr(model.config.inner, "rate", v)),
        "function of nncore": (lambda x: ops.exp(optional[0] * x) if optional[0] else x * 1.0,
                               lambda v: optional.__setitem__(0, None if v == 1.0 else np.log(v))),
    }


@pytest.mark.parametrize("name", cases())
def test_a_change_is_seen(name):
    step, change = cases()[name]
    step = nncore.compile(step)
    try:
        for value in (1.0, 2.0, 3.0, 1.0, 2.0):
            change(value)
            for _ in range(4):
                np.testing.assert_allclose(step(np.ones(3, "f4")).numpy(), value, rtol=1e-6)
            assert 1 <= len(step.programs)
        recorded = len(step.programs)
        for value in (2.0, 2.0 * 1.0, float("2")):   # an equal number is the same number
            change(value)
            step(np.ones(3, "f4"))
        if "replaced" not in name:
            assert len(step.programs) == recorded and not step.trials
    finally:
        change(1.0)
        Config.rate = 1.0


def test_attributes_of_an_argument():
    step = nncore.compile(lambda x, config: x * config.own)
    config = Config()
    for value in (1.0, 2.0, 1.0):
        config.own = value
        for _ in range(4):
            assert step(1.0, config).item() == value


@pytest.mark.parametrize("old, new", [(0.0, -0.0), (1, True), (1, 1.0), (float("nan"), 1.0), ((1, 0.0), (1, -0.0))])
def test_equal_is_not_the_same(old, new):
    config = types.SimpleNamespace(value=old)
    step = nncore.compile(lambda x: (x, repr(config.value)))
    for value in (old, new, old):
        config.value = value
        for _ in range(3):
            assert step(1.0)[1] == repr(value)


def test_a_tensor_of_an_object_is_another_one():
    config = types.SimpleNamespace(weight=nncore.ones(3))
    step = nncore.compile(lambda x: x * config.weight)
    for value in (1.0, 2.0):
        config.weight = nncore.full((3,), value)
        for _ in range(4):
            assert step(1.0).tolist() == [value] * 3
    config.weight.fill_(5.0)   # its values are no constants
    assert step(1.0).tolist() == [5.0] * 3 and not step.trials


def test_large_arrays_are_refused_unless_they_cannot_change():
    large = np.ones(MOST_BYTES // 4 + 1, "f4")
    step = nncore.compile(lambda x: x * large)
    with pytest.raises(RuntimeError, match="large, a NumPy array of 16388 bytes"):
        step(1.0)
    large.setflags(write=False)
    for _ in range(3):
        assert step(2.0)[0].item() == 2


def scaled_by(x, config):
    return x * config.rate


class Alias(nn.Module):
    def __init__(self, config):
        self.config = config

    def forward(self, x):
        config = self.config
        return self.scale(x, config)

    def scale(self, x, config):
        return x * config.rate


class Derived(Alias):
    def forward(self, x):
        return super().forward(x) + 0


def of_an_alias(config):
    def step(x):
        alias = config
        return x * alias.inner.rate
    return step


def of_two_names(config):
    def step(x):
        first = second = config
        if (third := config) is None:
            return x
        return x * first.rate + second.rate * 0 + third.rate * 0
    return step


class Configs(list):
    pass


def of_a_loop(configs):
    def step(x):
        y = 0
        for config in configs:
            y = y + x * config.rate
        return y
    return step


@pytest.mark.parametrize("name, step", [
    ("rate", lambda config: lambda x: scaled_by(x, config)), ("rate", Alias), ("rate", Derived),
    ("inner", of_an_alias), ("rate", lambda config: of_a_loop([config])),
    ("rate", lambda config: of_a_loop(Configs([config]))), ("rate", of_two_names),
    ("rate", lambda config: of_a_loop((config,))), ("rate", lambda config: lambda x: scaled_by(x, {"a": config}["a"])),
    ("rate", lambda config: functools.partial(scaled_by, config=config))],
    ids=["argument", "module", "super", "alias", "list", "own list", "two names", "tuple", "dict", "partial"])
def test_an_object_that_is_handed_on(name, step):
    """Those of its attributes count that something reads, wherever; others may change."""
    config = types.SimpleNamespace(rate=1.0, inner=types.SimpleNamespace(rate=1.0), other=0)
    step = nncore.compile(step(config))
    for i, rate in enumerate((1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 1.0)):
        config.other = i
        setattr(config, name, rate if name == "rate" else types.SimpleNamespace(rate=rate))
        assert step(nncore.ones(2)).tolist() == [rate, rate]
    assert name == "inner" or len(step.programs) == 2


@pytest.mark.parametrize("make, read, write", [
    (lambda: [nncore.zeros(2)], lambda box: box[0], lambda box, value: box.__setitem__(0, value)),
    (lambda: {"h": nncore.zeros(2)}, lambda box: box["h"], lambda box, value: box.__setitem__("h", value)),
    (lambda: [nncore.zeros(2)], lambda box: box[-1], lambda box, value: box.append(value))],
    ids=["list", "dict", "longer list"])
def test_tensors_in_a_container_that_are_replaced(make, read, write):
    box = make()
    step = nncore.compile(lambda x: x + read(box))
    for i in range(12):
        if i % 4 == 0:
            write(box, nncore.full((2,), i))
        assert step(nncore.ones(2)).tolist() == [i // 4 * 4 + 1] * 2


def test_settings_of_an_optimizer_that_a_step_reads():
    optimizer = nncore.optim.SGD([nn.Parameter(np.ones(2, "f4"))], lr=1.0, weight_decay=1.0)
    group = optimizer.param_groups[0]
    step = nncore.compile(lambda x: x * optimizer.param_groups[0]["lr"] + group["weight_decay"])
    for lr, decay in ((1, 1), (1, 1), (1, 1), (2, 1), (2, 1), (2, 3), (2, 3)):
        group["lr"], group["weight_decay"] = lr, decay
        assert step(nncore.ones(2)).tolist() == [lr + decay] * 2


def test_the_limits():
    """As the README says: long lists, and what has no name of its own."""
    long, objects = [1.0] * (MOST_ITEMS + 1), [types.SimpleNamespace(own=1.0)]
    for step, change in ((lambda x: x * long[0], lambda: long.__setitem__(0, 2.0)),
                         (lambda x: x * getattr(objects[0], "own"), lambda: setattr(objects[0], "own", 4.0))):
        step = nncore.compile(step)
        before = [step(1.0).item() for _ in range(3)]
        change()
        assert step(1.0).item() == before[0]


def test_a_step_that_begins_with_gradients_of_the_one_before_is_recorded_each_time_with_a_warning():
    model = nn.Linear(3, 2)

    @nncore.compile
    def step(x):
        model.weight.grad = model.bias.grad = None
        model(x).sum().backward()
        return x.sum()
    with pytest.warns(RuntimeWarning, match="other gradients.*give it an optimizer"):
        for i in range(12):
            step(np.full((2, 3), i, "f4"))
            assert (model.weight.grad.numpy() == 2 * i).all()


def test_a_step_that_counts_is_recorded_each_time_with_a_warning():
    class Counting:
        steps = 0

        def step(self, x):
            self.steps += 1
            return x * float(self.steps)
    counting = Counting()
    step = nncore.compile(counting.step)
    with pytest.warns(RuntimeWarning, match="self.steps is another each time"):
        assert [step(1.0).item() for _ in range(20)] == list(range(1, 21))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = nncore.compile(lambda x: x * RATE)
        for i in range(20):
            set_global(float(i % 2))
            assert [quiet(1.0).item() for _ in range(3)] == [float(i % 2)] * 3
        set_global(1.0)


def test_a_list_that_is_appended_to_is_not_read():
    runs, seen = [], {"shape": None}

    @nncore.compile
    def step(x):
        runs.append(len(x.shape))
        seen.update(shape=x.shape)
        return x * 2.0
    for _ in range(5):
        step(1.0)
    assert runs == [0, 0] and step.programs


def test_libraries_are_not_searched():
    assert {"nncore", "numpy"} <= set(sys.modules)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    step = nncore.compile(lambda x: ops.exp(model(x)) * np.float32(1))
    for _ in range(3):
        step(np.ones((1, 2), "f4"))
    assert [g[4] for g in step.programs[0].core.guards] == ["model"]


def test_a_module_replaced_between_two_recordings_is_searched_anew():
    model = nn.Sequential(nn.Linear(3, 3))
    step = nncore.compile(lambda x: model(x))
    x = nncore.ones(2, 3)
    step(x)
    setattr(model, "0", Scaled())  # reads more than what was there at the first recording
    for _ in range(3):
        step(x)
    model[0].config.inner.rate = 2.0
    np.testing.assert_array_equal(step(x).numpy(), 2.0)
