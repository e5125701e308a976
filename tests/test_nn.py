"""Modules: what they hold, how they are saved and printed, what fusion and initialisers promise, and seeds."""
import copy
import math
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import nncore
from nncore import init, losses, nn, ops, optim


def x_of(*shape, seed=0):
    return nncore.tensor(np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4"))


def bits(tensors):
    return [t.numpy().tobytes() for t in tensors]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.body = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 5))
        self.scale = nn.Parameter([2.0])
        self.tied = self.first
        self.register_buffer("mean", nncore.zeros(4))
        self.note = "no module"

    def forward(self, x):
        return self.body(self.first(x - self.mean)) * self.scale


# ---- what a module holds ---------------------------------------------------------------------------------------------

def test_names_in_order_and_each_once():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "first.bias", "body.2.weight",
                                                      "body.2.bias"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "body", "body.0", "body.1", "body.2"]
    assert [n for n, _ in net.named_buffers()] == ["mean"]
    assert [n for n, _ in net.named_children()] == ["first", "body", "tied"]
    assert len(list(net.parameters())) == len(list(net.named_parameters("model"))) == 5
    assert next(n for n, _ in net.named_parameters("model")) == "model.scale"
    assert list(net.children()) == [net.first, net.body, net.first] and len(list(net.modules())) == 6
    assert list(net.state_dict()) == ["scale", "first.weight", "first.bias", "body.2.weight", "body.2.bias", "mean"]


def test_assignment_replaces_and_registers():
    net = Net()
    net.first = nn.Linear(4, 5, bias=False)
    assert "first.bias" not in dict(net.named_parameters()) and "tied.bias" in dict(net.named_parameters())
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    net.register_parameter("shift", nn.Parameter([1.0]))
    net.add_module("more", nn.Linear(1, 1))
    assert {"shift", "more.weight"} < set(dict(net.named_parameters()))
    del net.more
    assert "more.weight" not in dict(net.named_parameters())
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    y = model(nncore.ones(1, 2))
    setattr(model, "1", nn.Identity())
    assert model(nncore.ones(1, 2)).shape == (1, 3) and y.shape == (1, 2)
    model[0].activation = "relu"
    assert (model(nncore.ones(1, 2)).numpy() >= 0).all()


def test_train_eval_and_requires_grad_reach_everything():
    net = Net()
    assert all(m.training for m in net.modules()) and net.eval() is net and not any(m.training for m in net.modules())
    x = x_of(3, 4)
    assert (net(x).numpy() == net(x).numpy()).all()
    assert net.train() is net and all(m.training for m in net.modules())
    assert net.requires_grad_(False) is net and not any(p.requires_grad for p in net.parameters()) and net(x).is_leaf
    net.requires_grad_()
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net and seen[-1] == "Net" and "Dropout" in seen
    net(x).sum().backward()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="Empty"):
        type("Empty", (nn.Module,), {})()(1)


# ---- state -----------------------------------------------------------------------------------------------------------

def test_state_dict_round_trip():
    a, b = Net(), Net()
    a.mean.fill_(3.0)
    state = a.state_dict()
    b.load_state_dict(state)
    assert bits(a.parameters()) == bits(b.parameters()) and b.mean.tolist() == [3] * 4
    state["scale"][:] = 99
    assert a.scale.item() == b.scale.item() == 2  # copies
    for values in (lambda v: v.astype("f8"), lambda v: np.asfortranarray(v), lambda v: nncore.tensor(v),
                   lambda v: v.tolist()):
        b.load_state_dict({k: values(v) for k, v in a.state_dict().items()})
        assert bits(a.parameters()) == bits(b.parameters())
    weight = b.first.weight
    b.load_state_dict(a.state_dict())
    assert b.first.weight is weight  # in place: optimizers go on


@pytest.mark.parametrize("change, error", [
    (lambda s: s.pop("scale"), KeyError), (lambda s: s.update(more=np.ones(1)), KeyError),
    (lambda s: s.update({"first.weight": np.ones((5, 4))}), ValueError), (lambda s: s.update(scale=1.0), ValueError),
    (lambda s: s.update(mean=np.ones(5)), ValueError), (lambda s: s.update(scale=["a"]), TypeError),
    (lambda s: s.update(mean=np.ones(4) * 1j), TypeError), (lambda s: s.update(mean=None), TypeError),
    (lambda s: s.update({"body.2.bias": np.broadcast_to(np.float32(0), (2**31,))}), MemoryError),
    (lambda s: s.update({"body.2.bias": [[1], [1, 2]]}), ValueError),
    (lambda s: s.update({"body.2.bias": np.full(5, 2**40 + 1)}), ValueError),
])
def test_a_state_that_does_not_fit_changes_nothing(change, error):
    net = Net()
    state = OrderedDict((k, v + 1) for k, v in net.state_dict().items())
    change(state)
    before = bits([*net.parameters(), net.mean])
    with pytest.raises(error) as e:
        net.load_state_dict(state)
    assert "load_state_dict" in str(e.value) or error is MemoryError
    assert bits([*net.parameters(), net.mean]) == before


def test_loading_a_part():
    net = Net()
    net.load_state_dict({"scale": [7.0], "unknown": [1.0]}, strict=False)
    assert net.scale.item() == 7
    for nonsense in (None, 3, [1, 2], "text"):
        with pytest.raises(TypeError, match="load_state_dict: a dict of names and arrays expected, not"):
            net.load_state_dict(nonsense)


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
                         ids=["deepcopy", "pickle"])
def test_copies_of_a_model(make_copy):
    net = nn.Sequential(nn.Linear(4, 5), nn.GELU("tanh"), nn.Residual(nn.Linear(5, 5, activation=("elu", 0.5))),
                        nn.LeakyReLU(0.3), nn.Linear(5, 2, bias=False))
    tied = nn.Sequential(net, net[0], nn.Flatten()) if False else net
    optimizer = optim.Adam(net.parameters())  # whose arenas the parameters live in
    net(x_of(3, 4)).sum().backward()
    optimizer.step()
    twin = make_copy(tied)
    x = x_of(3, 4)
    assert repr(twin) == repr(net) and net(x).numpy().tobytes() == twin(x).numpy().tobytes()
    for p in twin.parameters():
        assert p.requires_grad and type(p) is nn.Parameter
        with nncore.no_grad():
            p.zero_()
    assert all(np.abs(p.numpy()).sum() > 0 for p in net.parameters())
    losses.mse_loss(twin(x), nncore.zeros(3, 2)).backward()
    optim.SGD(twin.parameters(), lr=1.0).step()
    optimizer.step()


def test_a_copy_keeps_what_is_shared():
    class Tied(nn.Module):
        def __init__(self):
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))
    net = Tied()
    twin = copy.deepcopy(net)
    assert twin.b.weight is twin.a.weight and twin.a.weight is not net.a.weight
    assert [n for n, _ in twin.named_parameters()] == ["a.weight", "a.bias", "b.bias"]
    net(nncore.ones(2, 3)).sum().backward()
    expected = 2 * np.ones((3, 3)) * 0  # both uses arrive in one gradient
    assert net.a.weight.grad.shape == expected.shape and np.abs(net.a.weight.grad.numpy()).sum() > 0


# ---- text ------------------------------------------------------------------------------------------------------------

def test_repr():
    assert repr(nn.Linear(3, 4)) == "Linear(3, 4)" and repr(nn.Linear(3, 4, bias=False)) == "Linear(3, 4, bias=False)"
    assert repr(nn.Linear(3, 4, activation="relu")) == "Linear(3, 4, activation='relu')"
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2)" and repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.Flatten()) == "Flatten()"
    text = repr(nn.Sequential(nn.Linear(1, 2), nn.Residual(nn.Tanh())))
    assert text == "Sequential(\n  (0): Linear(1, 2)\n  (1): Residual(\n    (body): Tanh()\n  )\n)"


def test_sequential_calls_a_layer_that_has_a_call_of_its_own():
    class Shifted(nn.Linear):
        def __call__(self, x):
            return super().__call__(x) * 0 + 3

    class Negative(nn.ReLU):
        def __call__(self, x):
            return super().__call__(x) * 0 - 1
    assert (nn.Sequential(Shifted(2, 3), nn.ReLU())(nncore.ones(1, 2)).numpy() == 3).all()
    assert (nn.Sequential(nn.Linear(2, 3), Negative())(nncore.ones(1, 2)).numpy() == -1).all()


def test_summary_leaves_a_forward_of_the_user_s_in_place():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model[0].forward = lambda x: nncore.full((1, 3), 7.0)
    model.summary((1, 2))
    assert (model(nncore.ones(1, 2)).numpy() == 7).all()


def test_summary():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 2))
    model[1].requires_grad_(False)
    model[2].eval()
    rng = nncore.random.default_generator.get_state()
    text = model.summary((7, 3, 4))
    assert "(7, 12)" in text and "(7, 2)" in text and "77 parameters, 12 of them trained" in text
    assert "Dropout" in text
    assert nncore.random.default_generator.get_state() == rng
    assert model[0].training and not model[2].training and all(p.grad is None for p in model.parameters())
    assert all("forward" not in m.__dict__ for m in model.modules())
    assert "77 parameters" in model.summary() and "Linear" in nn.Linear(2, 3).summary()
    with pytest.raises(ValueError, match="linear"):
        model.summary((7, 3, 5))
    assert all("forward" not in m.__dict__ for m in model.modules()) and model[0].training


# ---- layers ----------------------------------------------------------------------------------------------------------

ACTIVATIONS = ["relu", "step", "tanh", "sigmoid", "silu", "softplus", "gelu", "gelu_tanh", "leaky_relu",
               ("leaky_relu", 0.3),
               "elu", ("elu", 0.5), "abs", "exp", "neg"]
LAYERS = [nn.ReLU(), nn.Step(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.Softplus(), nn.GELU(), nn.GELU("tanh"),
          nn.LeakyReLU(),
          nn.LeakyReLU(0.3), nn.ELU(), nn.ELU(0.5), nn.Softmax(), nn.LogSoftmax(), nn.Softmax(0)]


def forward_and_gradients(model, x, parameters):
    x = nncore.tensor(x.numpy(), requires_grad=True)
    y = model(x)
    for p in parameters:
        p.grad = None
    y.backward(x_of(*y.shape, seed=5))
    return bits([y, x.grad, *(p.grad for p in parameters)])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_sequential_gives_the_same_bits_fused_and_apart(isa, layer, bias):
    """Fusion is for speed alone: forward and every gradient equal those of the layers called one by one."""
    for i, o, b in ((5, 7, 3), (64, 33, 130), (300, 17, 40)):
        linear = nn.Linear(i, o, bias=bias)
        x = x_of(b, i)
        model = nn.Sequential(linear, layer, nn.Identity())
        parameters = list(linear.parameters())
        fused = forward_and_gradients(model, x, parameters)
        assert fused == forward_and_gradients(lambda x: layer(linear(x)), x, parameters)
        assert fused == forward_and_gradients(lambda x: layer.forward(ops.matmul(x, linear.weight) + linear.bias
                                                                      if bias else ops.matmul(x, linear.weight)), x,
                                                                      parameters)
        with nncore.no_grad():
            assert model(x).numpy().tobytes() == layer(linear(x)).numpy().tobytes()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_linear_with_an_activation_of_its_own(isa, activation):
    nncore.manual_seed(1)
    a, b = nn.Linear(20, 30, activation=activation), nn.Linear(20, 30)
    b.load_state_dict(a.state_dict())
    x = x_of(50, 20)
    name, *attribute = (activation,) if isinstance(activation, str) else activation
    function = getattr(ops, name) if name != "gelu_tanh" else lambda x: ops.gelu(x, "tanh")
    assert forward_and_gradients(a, x, list(a.parameters())) == forward_and_gradients(
        lambda x: function(b(x), *attribute), x, list(b.parameters()))


def test_sequential_runs_what_is_not_its_own():
    """A subclass, or a layer whose forward was replaced, is not fused away."""
    class Mine(nn.ReLU):
        def forward(self, x):
            return x * 0.0 - 7.0

    class Doubled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2.0

    class Named(nn.Tanh):
        pass
    x = x_of(3, 4)
    assert (nn.Sequential(nn.Linear(4, 4), Mine())(x).numpy() == -7).all()
    layer = Doubled(4, 4)
    assert (nn.Sequential(layer, nn.Tanh())(x).numpy() == ops.tanh(ops.linear(x, layer.weight,
                                                                              layer.bias) * 2.0).numpy()).all()
    linear = nn.Linear(4, 4)
    assert (nn.Sequential(linear, Named())(x).numpy() == ops.tanh(linear(x)).numpy()).all()
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), relu)
    model(x)
    relu.forward = lambda x: x * 0.0 + 3.0
    assert (model(x).numpy() == 3).all()
    model[0].forward = lambda x: nncore.zeros(1)
    assert model(x).shape == (1,)


def test_append_never_takes_the_place_of_a_layer():
    a, b, c, d = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Tanh()
    for net in (nn.Sequential(a, b, c), nn.ModuleList([a, b, c])):
        delattr(net, "0")
        assert list(net.append(d)) == [b, c, d]
    named = nn.Sequential(OrderedDict([("1", a)]))
    assert list(named.append(b)) == [a, b] and len(named.state_dict()) == 2


def test_sequential_as_a_container():
    a, b = nn.Linear(2, 3), nn.ReLU()
    for model in (nn.Sequential(a, b), nn.Sequential([a, b]), nn.Sequential(OrderedDict(x=a, y=b)),
                  nn.Sequential(a).append(b)):
        assert len(model) == 2 and list(model) == [a, b] and model[0] is a and model[-1] is b and len(model[1:]) == 1
        assert model(nncore.ones(1, 2)).shape == (1, 3)
    assert nn.Sequential()(nncore.ones(2)).tolist() == [1, 1]
    twice = nn.Sequential(nn.Linear(3, 3), b, b)
    assert len(twice) == 3 and len(list(twice.modules())) == 3
    same = nn.Linear(3, 3)
    assert nn.Sequential(same, same)(x_of(2, 3)).numpy().tobytes() == same(same(x_of(2, 3))).numpy().tobytes()
    for wrong in (lambda: nn.Sequential(a, 1), lambda: nn.Sequential(None), lambda: nn.Sequential({"a": len}),
                  lambda: nn.Sequential(a, "b"),
                  lambda: nn.ModuleList([a, ops.relu])):
        with pytest.raises(TypeError, match="Module"):
            wrong()
    with pytest.raises(ValueError, match="forward"):
        nn.Sequential({"forward": a})
    with pytest.raises(IndexError):
        nn.Sequential(a)[3]
    kept = nn.ModuleList([a, b])
    assert [n for n, _ in kept.named_parameters()] == ["0.weight", "0.bias"] and list(kept) == [a, b]


def test_residual():
    body, shortcut = nn.Linear(4, 4), nn.Linear(4, 3)
    x = x_of(2, 4)
    assert (nn.Residual(body)(x).numpy() == (x + body(x)).numpy()).all()
    model = nn.Residual(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), shortcut=shortcut)
    assert model(x).shape == (2, 3) and [n for n, _ in model.named_parameters()][-1] == "shortcut.bias"
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        nn.Residual(nn.Linear(4, 3))(x)
    x = nncore.tensor(x.numpy(), requires_grad=True)
    nn.Residual(nn.Identity())(x).sum().backward()
    assert (x.grad.numpy() == 2).all()


def test_flatten_identity_and_dropout():
    x = x_of(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12) and nn.Flatten(0)(x).shape == (24,)
    assert nn.Flatten(1, 1)(x).shape == (2, 3, 4)
    assert nn.Identity()(x) is x
    drop = nn.Dropout(0.5)
    nncore.manual_seed(1)
    y = drop(nncore.ones(1000)).numpy()
    assert set(y) == {0, 2} and 400 < (y == 0).sum() < 600
    assert drop.eval()(x) is x and nn.Dropout(0.0)(x) is x and (nn.Dropout(1.0)(nncore.ones(5)).numpy() == 0).all()


@pytest.mark.parametrize("wrong", [
    lambda: nn.Linear(-1, 2), lambda: nn.Linear(2, -1), lambda: nn.Linear(2.5, 2), lambda: nn.Linear("2", 2),
    lambda: nn.Linear(2),
    lambda: nn.Linear(2, 2, activation="nothing"), lambda: nn.Linear(2, 2, activation=("relu", 1.0)),
    lambda: nn.Linear(2, 2, activation=3),
    lambda: nn.Linear(2, 2, activation=("elu", "x")), lambda: nn.Linear(2, 2, activation=()), lambda: nn.Dropout(1.5),
    lambda: nn.Dropout(-0.1), lambda: nn.Dropout(float("nan")), lambda: nn.Dropout("x"), lambda: nn.GELU("quick"),
    lambda: nn.MSELoss("average"), lambda: nn.CrossEntropyLoss(weight="x"),
    lambda: nn.CrossEntropyLoss(label_smoothing=2)(x_of(2, 3), [0, 1]),
    lambda: nn.HuberLoss(delta=0)(x_of(2), x_of(2)), lambda: nn.Linear(2, 3)(x_of(2, 3)),
    lambda: nn.Linear(2, 3)(nncore.tensor(1.0)),
    lambda: nn.Linear(2, 3)("x"), lambda: nn.Linear(2, 3)(None), lambda: nn.Softmax(3)(x_of(2, 3)),
    lambda: nn.Flatten(5)(x_of(2, 3)),
])
def test_layers_refuse(wrong):
    with pytest.raises((ValueError, TypeError)) as e:
        wrong()
    assert str(e.value)


def test_messages_name_layer_and_shapes():
    for wrong, words in ((lambda: nn.Linear(8, 3)(nncore.zeros(32, 7)), ["linear", "(32, 7)", "(8, 3)", "7", "8"]),
                         (lambda: nn.CrossEntropyLoss()(nncore.zeros(4, 3), [0, 1, 2]),
                          ["cross_entropy", "(3,)", "(4, 3)"]),
                         (lambda: nn.CrossEntropyLoss()(nncore.zeros(2, 3), [0, 7]),
                          ["cross_entropy", "7", "3 classes"]),
                         (lambda: nn.MSELoss()(nncore.zeros(4, 3), nncore.zeros(4, 1)),
                          ["mse_loss", "(4, 3)", "(4, 1)"]),
                         (lambda: nncore.zeros(2, 3) @ nncore.zeros(4, 5), ["matmul", "(2, 3)", "(4, 5)"]),
                         (lambda: nncore.zeros(2, 3) + nncore.zeros(4, 5), ["add", "(2, 3)", "(4, 5)"])):
        with pytest.raises(ValueError) as e:
            wrong()
        assert all(word in str(e.value) for word in words), str(e.value)


def test_layers_of_no_features():
    for i, o, b in ((0, 3, 2), (3, 0, 2), (0, 0, 2), (3, 2, 0), (0, 0, 0)):
        layer = nn.Linear(i, o)
        x = nncore.zeros(b, i, requires_grad=True)
        y = layer(x)
        assert y.shape == (b, o) and (y.numpy() == layer.bias.numpy()).all()
        y.sum().backward()
        assert x.grad.shape == (b, i) and (layer.bias.grad.numpy() == b).all()
        assert (layer.weight.grad.numpy() == 0).all()
        optim.Adam(layer.parameters()).step()
        assert np.isfinite(layer.bias.numpy()).all()


# ---- initialisers ----------------------------------------------------------------------------------------------------

SHAPE = (300, 200)
GAIN = math.sqrt(2)
STATISTICS = {  # standard deviation, and the bound for the uniform ones
    "uniform_": (lambda p: init.uniform_(p, -0.5, 1.5), 2 / 12**0.5, (-0.5, 1.5)),
    "normal_": (lambda p: init.normal_(p, 0.5, 0.25), 0.25, None),
    "xavier_uniform_": (init.xavier_uniform_, (2 / 500) ** 0.5, ((6 / 500) ** 0.5,) * 2),
    "xavier_normal_": (lambda p: init.xavier_normal_(p, 2.0), 2 * (2 / 500) ** 0.5, None),
    "kaiming_uniform_": (init.kaiming_uniform_, GAIN / 300**0.5, (GAIN * (3 / 300) ** 0.5,) * 2),
    "kaiming_normal_": (lambda p: init.kaiming_normal_(p, nonlinearity="relu"), GAIN / 300**0.5, None),
    "fan_out": (lambda p: init.he_normal_(p, mode="fan_out"), GAIN / 200**0.5, None),
    "slope": (lambda p: init.he_uniform_(p, a=0.5), (2 / 1.25) ** 0.5 / 300**0.5, ((6 / 1.25 / 300) ** 0.5,) * 2),
    "tanh": (lambda p: init.kaiming_normal_(p, nonlinearity="tanh"), 5 / 3 / 300**0.5, None),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_of_initialisers(name):
    function, std, bound = STATISTICS[name]
    nncore.manual_seed(9)
    p = nn.Parameter(nncore.zeros(*SHAPE))
    assert function(p) is p
    v = p.numpy().astype("f8").ravel()
    mean = {"uniform_": 0.5, "normal_": 0.5}.get(name, 0.0)
    assert abs(v.mean() - mean) < 5 * std / v.size**0.5
    kurtosis = 3.0 if bound is None else 1.8  # of a normal and of a uniform distribution
    assert abs(v.std() / std - 1) < 5 * ((kurtosis - 1) / 4 / v.size) ** 0.5
    assert abs(((v - mean) ** 4).mean() / std**4 - kurtosis) < 0.1
    if bound:
        low, high = (-bound[0], bound[0]) if name != "uniform_" else bound
        assert low <= v.min() < low + 0.01 * std and high - 0.01 * std < v.max() <= high * (1 + 1e-6)


def test_other_initialisers():
    p = nn.Parameter(nncore.zeros(3, 4))
    assert init.constant_(p, 2.5).tolist() == [[2.5] * 4] * 3 and init.ones_(p).tolist() == [[1] * 4] * 3
    assert init.zeros_(p).tolist() == [[0] * 4] * 3 and init.eye_(p).tolist() == np.eye(3, 4).tolist()
    for shape in ((5, 5), (7, 3), (3, 7), (2, 3, 4)):
        w = init.orthogonal_(nn.Parameter(nncore.zeros(*shape)), gain=2.0).numpy().reshape(-1, shape[-1]).astype("f8")
        gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
        assert np.abs(gram - 4 * np.eye(len(gram))).max() < 1e-5
    layer = nn.Linear(400, 300)
    for v in (layer.weight.numpy(), layer.bias.numpy()):  # PyTorch's defaults
        assert np.abs(v).max() <= 0.05 and abs(v.std() - 0.05 / 3**0.5) < 0.003
    assert init.fans((3, 3, 4, 5)) == (36, 45)
    assert abs(init.calculate_gain("leaky_relu", 0.2) - (2 / 1.04) ** 0.5) < 1e-12
    for shape in ((0, 3), (3, 0), (0, 0)):
        for f in (init.xavier_uniform_, init.xavier_normal_, init.he_uniform_, init.he_normal_, init.orthogonal_):
            assert f(nn.Parameter(nncore.zeros(*shape))).shape == shape
    vector = nn.Parameter(nncore.zeros(3))
    for wrong in (lambda: init.xavier_uniform_(vector), lambda: init.he_normal_(vector),
                  lambda: init.orthogonal_(vector),
                  lambda: init.eye_(vector), lambda: init.he_normal_(p, mode="fan"),
                  lambda: init.he_normal_(p, nonlinearity="x"),
                  lambda: init.uniform_(p, 1.0, 0.0), lambda: init.normal_(p, std=-1.0),
                  lambda: init.normal_(p, std=float("nan"))):
        with pytest.raises(ValueError) as e:
            wrong()
        assert str(e.value)


# ---- seeds -----------------------------------------------------------------------------------------------------------

def trained(seed):
    """The bits of everything random in a training: initialisation, dropout, order of the samples."""
    nncore.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 20, activation="relu"), nn.Dropout(0.3), nn.Linear(20, 3))
    init.orthogonal_(model[2].weight)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, y = np.random.default_rng(0).standard_normal((50, 6), dtype="f4"), np.arange(50) % 3
    for _ in range(3):
        for inputs, targets in nncore.data.DataLoader(x, y, 16, shuffle=True):
            losses.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            optimizer.zero_grad()
    return bits([*model.parameters(), nncore.rand(5), nncore.randn(5), nncore.randperm(5), nncore.randint(0, 9, (5,))])


def test_a_seed_makes_everything_reproducible(threads):
    threads(1)
    first = trained(1)
    assert trained(1) == first and trained(2) != first
    threads(2)
    assert trained(1) == first
    assert trained(2**64 + 1) == first and trained(-1) != first


def test_generators_of_one_s_own():
    a, b = nncore.Generator(3), nncore.Generator(3)
    nncore.manual_seed(1)
    assert nncore.rand(4, generator=a).tolist() == nncore.rand(4, generator=b).tolist() != nncore.rand(4).tolist()
    state = a.get_state()
    first = nncore.randn(3, generator=a).tolist()
    a.set_state(state)
    assert nncore.randn(3, generator=a).tolist() == first and "seed=3" in repr(a)
    assert nncore.Generator().seed != nncore.Generator().seed
    for state in (None, (1,), (1, 2, 3), "ab"):
        with pytest.raises(ValueError, match=r"state is \(seed, calls so far\), not"):
            a.set_state(state)
    for seed, error in (("x", ValueError), (math.nan, ValueError), (math.inf, ValueError), ([1], TypeError)):
        with pytest.raises(error, match="a seed is an integer, not"):
            a.manual_seed(seed)
