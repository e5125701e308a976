"""Normalisation: what is not a function of its inputs alone (running statistics, modes, compiled steps), folding,
errors."""
import copy
import math
import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest

import nncore
from cases import FACTORS, SMALL, uniform
from closeness import assert_close, to_numpy
from nncore import losses, nn, ops, optim
from nncore.reference import REFERENCE, gradients
from nncore.reference import norm as reference
from steps import bits


def normal(*shape, seed=0, mean=0.0, std=1.0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * std + mean).astype("f4")


def leaf(a):
    return nncore.tensor(a, requires_grad=True)


# ---- against the reference -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 1), (5, 17), (2, 3, 3, 3), (2, 2, 2, 48), (1, 7, 7, 5)], ids=str)
def test_residual(isa, shape, training, activation):
    c, n = shape[-1], math.prod(shape) // shape[-1]
    inputs = [uniform(shape), uniform((c,), 0.5, 2, seed=1), uniform((c,), seed=2), uniform(shape, seed=3)]
    mean, var = uniform((c,), seed=4), uniform((c,), 0.5, 2, seed=5)

    def expected(x, w, b, r):
        return REFERENCE["batch_norm"](x, mean, var, w, b, training, activation=activation, residual=r)
    dy = uniform(shape, 0.5, 1.5, seed=6)
    y, grads = gradients(expected, inputs, (0, 1, 2, 3), dy)
    x, w, b, r = tensors = [leaf(to_numpy(a)) for a in inputs]
    running = [nncore.tensor(to_numpy(a)) for a in (mean, var)]
    z = ops.batch_norm(x, *running, w, b, training, activation=activation, residual=r)
    z.backward(nncore.tensor(to_numpy(dy)))
    assert_close(z.numpy(), y, terms=36)
    for t, g in zip(tensors, grads):
        assert_close(t.grad.numpy(), g, terms=2 * FACTORS + SMALL + 2 * n)


@pytest.mark.parametrize("which", [(0,), (3,), (1,), (0, 2), (1, 2, 3)])
def test_gradients_that_nobody_wants(isa, which):
    a = [normal(6, 5), normal(5, seed=1), normal(5, seed=2), normal(6, 5, seed=3)]
    for activation in (None, "relu"):
        found = []
        for wanted in (which, range(4)):
            t = [nncore.tensor(v, requires_grad=i in wanted) for i, v in enumerate(a)]
            ops.batch_norm(t[0], None, None, t[1], t[2], True, activation=activation, residual=t[3]).sum().backward()
            found.append(bits(*[t[i].grad for i in which]))
            assert all((t[i].grad is None) == (i not in wanted) for i in range(4))
        assert found[0] == found[1]


@pytest.mark.parametrize("shape", [(2, 3), (5, 17), (3, 4, 4, 3), (2, 130, 1), (40, 16)], ids=str)
@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0, 0.0, None])
def test_running_statistics(isa, shape, momentum):
    c = shape[-1]
    for instances in (False, True) if len(shape) > 2 else (False,):
        mean, var, count = nncore.zeros(c), nncore.ones(c), nncore.tensor(0)
        m, v = [0.0] * c, [1.0] * c
        for step in range(4):
            x = uniform(shape, seed=step)
            t = nncore.tensor(to_numpy(x))
            if instances:
                ops.instance_norm(t, mean, var, momentum=momentum, num_batches_tracked=count)
            else:
                ops.batch_norm(t, mean, var, training=True, momentum=momentum, num_batches_tracked=count)
            m, v = reference.running(x, m, v, 1 / (step + 1) if momentum is None else momentum, instances)
            assert count.item() == step + 1
            # each step rounds the moments and the new value
            assert_close(mean.numpy(), m, terms=8 * (step + 1))
            assert_close(var.numpy(), v, terms=16 * (step + 1))
        before = bits(mean, var, count)
        (ops.instance_norm if instances else ops.batch_norm)(
            t, mean, var, **({"use_input_stats": False} if instances else {}))
        assert bits(mean, var, count) == before


@pytest.mark.parametrize("n, c", [(70000, 3), (20000, 16), (3000, 100), (4000, 1)])
def test_statistics_far_from_zero(isa, n, c):
    """The deviation is 1, the mean 1e4, and the first rows are unlike all others."""
    x = normal(n, c, mean=1e4)
    x[:40] -= 9000
    x[5] += 3000
    var, mean = nncore.ones(c), nncore.zeros(c)
    y = ops.batch_norm(nncore.tensor(x), mean, var, training=True, momentum=1.0).numpy()
    exact = x.astype("f8")
    assert np.allclose(mean.numpy(), exact.mean(0), rtol=2**-23, atol=0)
    assert np.allclose(var.numpy(), exact.var(0, ddof=1), rtol=1e-5, atol=0)
    x = normal(n, c, mean=1e4)
    y = ops.batch_norm(nncore.tensor(x), None, None, training=True).numpy()
    exact = x.astype("f8")
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    assert np.abs(y - expected).max() < 2e-6  # y is up to 5: a few roundings, where a mean of one float is off by 5e-4
    rows = ops.layer_norm(nncore.tensor(x.T.copy()), n).numpy().T
    assert np.abs(rows - expected).max() < 2e-6


def test_nan_and_infinity_stay_in_their_channel(isa):
    for bad in (math.nan, math.inf):
        x = normal(40, 19)
        x[7, 3] = bad
        t, w, b = leaf(x), leaf(normal(19)), leaf(normal(19, seed=1))
        y = ops.batch_norm(t, None, None, w, b, True, activation="relu")
        others = np.arange(19) != 3
        assert np.isnan(y.numpy()[:, 3]).all() and np.isfinite(y.numpy()[:, others]).all()
        y.sum().backward()
        assert np.isnan(t.grad.numpy()[:, 3]).all() and np.isfinite(t.grad.numpy()[:, others]).all()
        assert np.isnan(w.grad.numpy()[3]) and np.isfinite(w.grad.numpy()[others]).all()
        for f in (ops.layer_norm, ops.rms_norm):
            y = f(nncore.tensor(x), 19).numpy()
            assert np.isnan(y[7]).any() and np.isfinite(np.delete(y, 7, 0)).all()


def test_constant_channels(isa):
    x = leaf(np.full((9, 5), 3.25, "f4"))
    y = ops.batch_norm(x, None, None, training=True)
    assert (y.numpy() == 0).all()
    assert (ops.layer_norm(x, 5).numpy() == 0).all()


# ---- layers ----------------------------------------------------------------------------------------------------------

def test_layers_have_the_names_and_defaults_of_pytorch():
    bn = nn.BatchNorm2d(3)
    assert list(bn.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert (bn.state_dict()["num_batches_tracked"].dtype == np.int64
            and bn.state_dict()["num_batches_tracked"].shape == ())
    assert (bn.eps, bn.momentum, bn.affine, bn.track_running_stats) == (1e-5, 0.1, True, True)
    assert repr(bn) == "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    assert list(nn.BatchNorm1d(3, affine=False).state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    assert list(nn.BatchNorm1d(3, track_running_stats=False).state_dict()) == ["weight", "bias"]
    assert list(nn.InstanceNorm2d(3).state_dict()) == []
    assert list(nn.LayerNorm((2, 3)).state_dict()) == ["weight", "bias"] and nn.LayerNorm((2, 3)).weight.shape == (2, 3)
    assert list(nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert nn.RMSNorm(3).eps is None and list(nn.RMSNorm(3).state_dict()) == ["weight"]
    assert list(nn.GroupNorm(3, 6).state_dict()) == ["weight", "bias"] and nn.GroupNorm(3, 6).eps == 1e-5
    assert "3" in nn.Sequential(nn.BatchNorm1d(3), nn.LayerNorm(3), nn.GroupNorm(3, 3), nn.RMSNorm(3)).summary((4, 3))


def test_state_copies_and_pickles():
    bn = nn.BatchNorm1d(3)
    for i in range(3):
        bn(nncore.tensor(normal(8, 3, seed=i, mean=2)))
    other = nn.BatchNorm1d(3)
    other.load_state_dict(bn.state_dict())
    for twin in (other, copy.deepcopy(bn), pickle.loads(pickle.dumps(bn))):
        assert bits(*twin.parameters(), *twin.buffers()) == bits(*bn.parameters(), *bn.buffers())
        before = bits(*bn.buffers())
        twin(nncore.tensor(normal(8, 3)))
        assert bits(*bn.buffers()) == before != bits(*twin.buffers()) and twin.num_batches_tracked.item() == 4
    bn.reset_parameters()
    assert bn.running_mean.tolist() == [0] * 3 and bn.running_var.tolist() == [1] * 3
    assert bn.num_batches_tracked.item() == 0


def test_modes_of_batch_norm():
    x = nncore.tensor(normal(20, 5, mean=3, std=2))
    for options, moves in (({}, True), ({"track_running_stats": False}, False), ({"affine": False}, True)):
        bn = nn.BatchNorm1d(5, **options)
        y = bn(x).numpy()
        assert np.allclose(y.mean(0), 0, atol=1e-6) and np.allclose(y.std(0), 1, atol=1e-4)
        z = bn.eval()(x).numpy()
        assert np.allclose(z, y) == (not moves)
        if moves:
            assert np.allclose(z, (x.numpy() - bn.running_mean.numpy()) / np.sqrt(bn.running_var.numpy() + 1e-5),
                               atol=1e-5)
            before = bits(*bn.buffers())
            bn(x[:1])
            assert bits(*bn.buffers()) == before
    average = nn.BatchNorm1d(5, momentum=None)
    batches = [normal(20, 5, seed=i) for i in range(5)]
    for batch in batches:
        average(nncore.tensor(batch))
    assert np.allclose(average.running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0), atol=1e-6)


def test_instance_norm_of_one_image_and_of_a_batch():
    x = normal(3, 6, 5, 4)
    for options in ({}, {"affine": True}, {"track_running_stats": True}):
        layer = nn.InstanceNorm2d(4, **options)
        whole, each = layer(nncore.tensor(x)).numpy(), [layer(nncore.tensor(image)).numpy() for image in x]
        assert whole.tobytes() == np.stack(each).tobytes()
    before = bits(*layer.buffers())
    y = layer.eval()(nncore.tensor(x)).numpy()
    assert bits(*layer.buffers()) == before and layer.num_batches_tracked.item() == 4
    assert np.allclose(y, (x - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + 1e-5), atol=1e-5)


def test_activation_behind_is_fused_with_the_same_numbers():
    x = normal(8, 5, 5, 6)
    found = []
    for make in (lambda: nn.Sequential(nn.BatchNorm2d(6), nn.ReLU()), lambda: nn.BatchNorm2d(6, activation="relu"),
                 lambda: nn.Sequential(nn.BatchNorm2d(6), nn.Sequential(nn.ReLU()))):
        model, t = make(), leaf(x)
        y = model(t)
        y.backward(nncore.tensor(normal(8, 5, 5, 6, seed=1)))
        found.append(bits(y, *model.buffers()) + [t.grad.numpy()] + [p.grad.numpy() for p in model.parameters()])
    for other in found[1:]:
        assert other[:4] == found[0][:4]
        for a, b in zip(other[4:], found[0][4:]):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


# ---- compiled steps --------------------------------------------------------------------------------------------------

def convless(widths=(6, 10, 3), momentum=0.1):
    return nn.Sequential(nn.Linear(widths[0], widths[1], bias=False), nn.BatchNorm1d(widths[1], momentum=momentum),
                         nn.ReLU(),
                         nn.Residual(nn.Linear(widths[1], widths[1]), nn.BatchNorm1d(widths[1], activation="relu"),
                                     nn.LayerNorm(widths[1])),
                         nn.Linear(widths[1], widths[2]))


def trained(compile, steps=50, momentum=0.1, widths=(6, 10, 3), n=16):
    nncore.manual_seed(1)
    model, runs, found = convless(widths, momentum), [], []
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x, y):
        runs.append(0)
        loss = losses.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def forward(x):
        runs.append(0)
        return model(x)
    if compile:
        step, forward = nncore.compile(step), nncore.compile(forward)
    for i in range(steps):
        x, y = normal(n, widths[0], seed=i), np.arange(n) % widths[2]
        found += bits(step(nncore.tensor(x), nncore.tensor(y)), *model.buffers())
        if i % 7 == 6:  # evaluation between, and back
            model.eval()
            with nncore.no_grad():
                found += bits(forward(nncore.tensor(x)))
            found += bits(*model.buffers())
            model.train()
    return found + bits(*model.parameters(), *model.buffers()), len(runs)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_fifty_compiled_steps_are_the_eager_ones(isa, momentum):
    (eager, _), (compiled, runs) = trained(False, momentum=momentum), trained(True, momentum=momentum)
    assert eager == compiled and runs == 4  # two recordings of each of the two functions


def test_compiled_steps_with_any_number_of_threads(threads):
    found = []
    for n in (1, 2, 3):
        threads(n)
        found.append(trained(True, 8, widths=(100, 300, 10), n=512)[0])
    assert found[0] == found[1] == found[2] == trained(False, 8, widths=(100, 300, 10), n=512)[0]


def test_a_compiled_step_with_residuals_groups_and_instances(isa):
    """s = 3 positions of an image make x as large as its statistics: one must not take the memory of the other."""
    results = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(2)
        bn, group, instance = nn.BatchNorm1d(4), nn.GroupNorm(4, 4), nn.InstanceNorm1d(4, affine=True)
        rms, w = nn.RMSNorm(4), leaf(normal(4, 4))
        leaves = [w, *(p for m in (bn, group, instance, rms) for p in m.parameters())]

        def step(x):
            h = x @ w
            y = bn.with_activation(h * 2.0, "relu", h) + group(h * 3.0) * instance(h * 0.5) + rms(h + 1.0) * 0.5
            loss = (y * y).sum()
            loss.backward()
            return loss, y
        step, found = wrap(step), []
        for i in range(6):
            for p in leaves:
                p.grad = None
            found += bits(*step(nncore.tensor(normal(3, 3, 4, seed=i))), *[p.grad for p in leaves], *bn.buffers())
        results.append(found)
    assert results[0] == results[1]


def test_a_changed_momentum_is_in_force():
    bn = nn.BatchNorm1d(2)
    step = nncore.compile(lambda x: bn(x))
    x = nncore.tensor(np.array([[1.0, 2.0], [3.0, 6.0]], "f4"))
    for momentum in (0.5, 0.5, 0.5, 1.0, 1.0, 0.0):
        bn.momentum = momentum
        before = bn.running_mean.numpy().copy()
        step(x)
        assert np.allclose(bn.running_mean.numpy(), (1 - momentum) * before + momentum * np.array([2.0, 4.0]))


# ---- folding ---------------------------------------------------------------------------------------------------------

class Window(nn.Module):
    """A layer with a weight of more axes, outputs last, as a convolution's."""

    def __init__(self, i, o, bias):
        self.weight = nn.Parameter(nncore.tensor(normal(1, 2, i, o)))
        self.bias = nn.Parameter(nncore.tensor(normal(o))) if bias else None
        self.activation = None

    def forward(self, x):
        y = x @ (self.weight[0, 0] + self.weight[0, 1])
        y = y if self.bias is None else y + self.bias
        return y if self.activation is None else ops.relu(y)


def seen(model, shape, steps=5):
    """The model after some batches and with weights that are not the initial ones."""
    for i in range(steps):
        model(nncore.tensor(normal(*shape, seed=i, mean=1, std=2)))
    for i, p in enumerate(model.parameters()):
        p.numpy()[...] += normal(*p.shape, seed=100 + i, std=0.3)
    return model.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", [nn.Linear, Window])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_folding(layer, bias, activation):
    for affine in (True, False):
        model = seen(nn.Sequential(layer(5, 7, bias), nn.BatchNorm1d(7, affine=affine, activation=activation),
                                   nn.Linear(7, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5)), (32, 5))
        before, x = bits(*model.parameters(), *model.buffers()), nncore.tensor(normal(9, 5))
        folded = nn.fold_batch_norm(model)
        assert [type(m).__name__ for m in folded] == [layer.__name__, "Linear", "ReLU", "Dropout"]
        # other roundings, values of 10
        np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=0, atol=2e-5)
        pair = nn.fold_batch_norm(model[0], model[1])
        np.testing.assert_allclose(pair(x).numpy(), model[1](model[0](x)).numpy(), rtol=0, atol=2e-5)
        assert bits(*model.parameters(), *model.buffers()) == before and not folded.training


@pytest.mark.parametrize("layer", [
    nn.ConvTranspose2d(8, 8, 3, stride=2), nn.ConvTranspose2d(6, 4, 2, stride=2, bias=False),
    nn.ConvTranspose2d(8, 12, 3, groups=4), nn.ConvTranspose1d(5, 5, 3)], ids=repr)
def test_folding_into_a_transposed_convolution(layer):
    """Whose weight has its outputs before the inputs, and those of a group only."""
    norm = (nn.BatchNorm1d if isinstance(layer, nn.ConvTranspose1d) else nn.BatchNorm2d)(layer.out_channels)
    norm.weight.numpy()[:] = 1 + np.arange(layer.out_channels) / 4
    size = (4, 7, layer.in_channels) if isinstance(layer, nn.ConvTranspose1d) else (4, 5, 7, layer.in_channels)
    model = seen(nn.Sequential(layer, norm), size)
    folded, x = nn.fold_batch_norm(model), nncore.tensor(normal(*size))
    assert len(folded) == 1
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=0, atol=2e-5)


def test_folding_within_modules():
    class Net(nn.Module):
        def __init__(self):
            block = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), n=nn.BatchNorm1d(4), r=nn.ReLU()))
            self.first, self.again, self.norm = nn.Residual(block), block, nn.BatchNorm1d(4)

        def forward(self, x):
            return self.norm(self.again(self.first(x)))
    model = seen(Net(), (32, 4))
    folded, x = nn.fold_batch_norm(model), nncore.tensor(normal(9, 4))
    assert len(folded.again) == 2 and folded.again is folded.first.body and isinstance(folded.norm, nn.BatchNorm1d)
    np.testing.assert_allclose(folded(x).numpy(), model(x).numpy(), rtol=0, atol=2e-5)


def test_what_cannot_be_folded():
    for layer, bn in ((nn.Linear(3, 4, activation="tanh"), nn.BatchNorm1d(4)), (nn.Linear(3, 4), nn.BatchNorm1d(3)),
                      (nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False)),
                      (nn.Linear(3, 4), nn.LayerNorm(4)), (nn.LayerNorm(4), nn.BatchNorm1d(4)),
                      (nn.ReLU(), nn.BatchNorm1d(4))):
        with pytest.raises(ValueError, match="fold_batch_norm"):
            nn.fold_batch_norm(layer, bn)
        assert len(nn.fold_batch_norm(nn.Sequential(layer, bn))) == 2


# ---- wrong use -------------------------------------------------------------------------------------------------------

def zeros(*shape):
    return nncore.zeros(*shape)


@pytest.mark.parametrize("match, call", [
    ("Expected more than 1 value per channel", lambda: nn.BatchNorm1d(3)(zeros(1, 3))),
    ("Expected more than 1 value per channel", lambda: nn.BatchNorm2d(3)(zeros(1, 1, 1, 3))),
    ("Expected more than 1 value per channel", lambda: nn.BatchNorm2d(3)(zeros(0, 4, 4, 3))),
    ("Expected more than 1 value per channel",
     lambda: nn.BatchNorm1d(3, track_running_stats=False).eval()(zeros(1, 3))),
    ("Expected more than 1 spatial element", lambda: nn.InstanceNorm2d(3)(zeros(2, 1, 1, 3))),
    (r"BatchNorm1d.*3 channels.*\(2, 4\)", lambda: nn.BatchNorm1d(3)(zeros(2, 4))),
    (r"BatchNorm2d.*\(2, 3\)", lambda: nn.BatchNorm2d(3)(zeros(2, 3))),
    (r"BatchNorm1d.*\(2, 2, 2, 3\)", lambda: nn.BatchNorm1d(3)(zeros(2, 2, 2, 3))),
    (r"InstanceNorm2d.*\(2, 3\)", lambda: nn.InstanceNorm2d(3)(zeros(2, 3))),
    (r"GroupNorm.*\(2, 4\)", lambda: nn.GroupNorm(3, 6)(zeros(2, 4))),
    ("GroupNorm.*6.*4", lambda: nn.GroupNorm(4, 6)), ("GroupNorm", lambda: nn.GroupNorm(0, 6)),
    (r"layer_norm.*\(2, 4\).*\(3,\)", lambda: nn.LayerNorm(3)(zeros(2, 4))),
    (r"rms_norm.*\(3, 3\).*\(2, 3\)", lambda: nn.RMSNorm((2, 3))(zeros(3, 3))),
    ("LayerNorm", lambda: nn.LayerNorm(())), ("RMSNorm", lambda: nn.RMSNorm((-1,))),
    ("BatchNorm1d", lambda: nn.BatchNorm1d(-1)), ("no such", lambda: nn.BatchNorm1d(3, activation="no such")),
    (r"batch_norm: weight \(4,\)", lambda: ops.batch_norm(zeros(5, 3), None, None, zeros(4))),
    (r"batch_norm: running_mean \(4,\)", lambda: ops.batch_norm(zeros(5, 3), zeros(4), zeros(4))),
    (r"running_mean \(4,\)", lambda: ops.batch_norm(zeros(5, 3), zeros(4), zeros(4), training=True)),
    ("belong together", lambda: ops.batch_norm(zeros(5, 3), zeros(3), None)),
    (r"batch_norm: residual \(5, 4\)", lambda: ops.batch_norm(zeros(5, 3), None, None, residual=zeros(5, 4))),
    ("num_batches_tracked", lambda: ops.batch_norm(zeros(5, 3), zeros(3), zeros(3), training=True, momentum=None)),
    ("group_norm: 3 channels", lambda: ops.group_norm(zeros(5, 3), 2)),
    (r"group_norm.*\(3,\)", lambda: ops.group_norm(zeros(3), 1)),
    ("layer_norm: weight", lambda: ops.layer_norm(zeros(5, 3), 3, zeros(1, 3))),
    ("layer_norm: bias", lambda: ops.layer_norm(zeros(5, 3), 3, None, zeros(4))),
    ("layer_norm", lambda: ops.layer_norm(zeros(3), (3, 3))), ("batch_norm", lambda: ops.batch_norm(1.0, None, None)),
    ("use_input_stats", lambda: ops.instance_norm(zeros(2, 4, 3), use_input_stats=False)),
])
def test_wrong_use(match, call):
    with pytest.raises(ValueError, match=match):
        call()


def test_running_statistics_must_be_tensors_and_stay_after_an_error():
    with pytest.raises(TypeError, match="running_mean"):
        ops.batch_norm(zeros(5, 3), np.zeros(3, "f4"), np.ones(3, "f4"), training=True)
    bn = nn.BatchNorm1d(3)
    before = bits(*bn.buffers())
    for x in (zeros(1, 3), zeros(2, 4)):
        with pytest.raises(ValueError):
            bn(x)
    with pytest.raises(ValueError):
        bn(zeros(4, 3), zeros(4, 4))
    assert bits(*bn.buffers()) == before


def test_each_allocation_may_fail():
    x, dy = leaf(normal(3, 7, 7, 20)), nncore.tensor(normal(3, 7, 7, 20, seed=1))
    bn = nn.BatchNorm2d(20, activation="relu")
    for f in (lambda: bn(x, x), lambda: ops.group_norm(x, 4), lambda: ops.layer_norm(x, 20),
              lambda: ops.rms_norm(x, 20)):
        for n in range(60):
            x.grad, before = None, bits(*bn.buffers())
            nncore._core.memory_fail_after(n)
            try:
                y = f()
                before = bits(*bn.buffers())
                y.backward(dy)
                break
            except MemoryError:
                assert bits(*bn.buffers()) == before
            finally:
                nncore._core.memory_fail_after(-1)
        assert 3 < n < 59
        x.grad = None
        expected = f()
        expected.backward(dy)


def test_empty_batches_in_evaluation():
    bn = nn.BatchNorm2d(3, activation="relu").eval()
    x = leaf(np.zeros((0, 2, 2, 3), "f4"))
    y = bn(x)
    y.backward(nncore.zeros(0, 2, 2, 3))
    assert y.shape == x.grad.shape == (0, 2, 2, 3) and bn.weight.grad.tolist() == [0, 0, 0]
    for f in (lambda x: ops.group_norm(x, 3), lambda x: ops.layer_norm(x, 3), lambda x: ops.rms_norm(x, (2, 3))):
        assert f(nncore.zeros(0, 2, 2, 3)).shape == (0, 2, 2, 3)


def test_statistics_written_before_the_gradient():
    """What the gradient needs is its own: the running statistics may move on in between."""
    bn, x = nn.BatchNorm1d(3), leaf(normal(8, 3))
    bn.eval()
    y = bn(x)
    bn.train()
    bn(nncore.tensor(normal(8, 3, seed=1)))
    y.sum().backward()
    assert np.allclose(x.grad.numpy(), 1 / math.sqrt(1 + 1e-5))


def test_random_shapes_against_doubles(isa):
    """Forward and gradient of many shapes, to a bound for the whole array."""
    rng = random.Random(3)
    for _ in range(40):
        c, n = rng.choice((1, 2, 3, 5, 8, 17, 24, 48, 64, 100, 130)), rng.randrange(8, 700)
        x, dy, w = normal(n, c), normal(n, c, seed=1), normal(c, seed=2)
        t, weight = leaf(x), leaf(w)
        y = ops.batch_norm(t, None, None, weight, training=True)
        y.backward(nncore.tensor(dy))
        a, d = x.astype("f8"), dy.astype("f8")
        root = 1 / np.sqrt(a.var(0) + 1e-5)
        xhat = (a - a.mean(0)) * root
        dx = w * root * (d - d.mean(0) - xhat * (d * xhat).mean(0))
        assert np.abs(y.numpy() - xhat * w).max() < 1e-5 and np.abs(t.grad.numpy() - dx).max() < 3e-5
        assert np.abs(weight.grad.numpy() - (d * xhat).sum(0)).max() < 3e-6 * n
