"""What an optimizer does around its formula: groups, changing settings, missing gradients, sharing, state, clipping."""
import copy
import gc
import math
import pickle

import numpy as np
import pytest

import nncore
from nncore import losses, nn, optim

KINDS = {
    "SGD": dict(), "SGD momentum": dict(momentum=0.9),
    "SGD nesterov": dict(momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": dict(), "Adam amsgrad": dict(amsgrad=True, betas=(0.8, 0.9)), "AdamW": dict(weight_decay=0.1),
    "RMSprop": dict(), "RMSprop all": dict(centered=True, momentum=0.5, alpha=0.9), "Adagrad": dict(lr_decay=0.1),
    "Adadelta": dict(weight_decay=0.1),
}


def make(kind, parameters, **more):
    return getattr(optim, kind.split()[0])(parameters, **{**dict(lr=0.1), **KINDS[kind], **more})


def leaves(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [nncore.tensor(rng.standard_normal(s, dtype="f4"), requires_grad=True) for s in shapes]


def feed(parameters, seed):
    """Gradients that depend on the seed alone."""
    rng = np.random.default_rng([9, seed])
    for p in parameters:
        p.grad = rng.standard_normal(p.shape)


def bits(parameters):
    return [p.numpy().tobytes() for p in parameters]


def run(optimizer, parameters, seeds):
    for seed in seeds:
        feed(parameters, seed)
        optimizer.step()
        optimizer.zero_grad()


SHAPES = ((3, 5), (), (17,), (0,), (1, 1, 33))


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))],
                         ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_goes_on_by_itself(kind, make_copy):
    """(model, optimizer, scheduler) copied together: the copy trains as the first, which it does not touch."""
    model = nn.ModuleList([nn.Linear(3, 5), nn.Linear(2, 2)])
    first, second = list(model[0].parameters()), list(model[1].parameters())
    optimizer = make(kind, [{"params": first}, {"params": second, "lr": 0.03, "weight_decay": 0.2}])
    scheduler = optim.StepLR(optimizer, 2)
    run(optimizer, first, range(3))
    run(optimizer, first + second, range(3))  # counts of steps that differ
    scheduler.step()
    twin, again, schedule = make_copy((model, optimizer, scheduler))
    assert type(again) is type(optimizer) and schedule.optimizer is again and again.defaults == optimizer.defaults
    before = bits(model.parameters())
    assert bits(twin.parameters()) == before
    for a, s, m in ((again, schedule, twin), (optimizer, scheduler, model)):
        for seed in range(4):
            run(a, list(m.parameters()), [seed])
            s.step()
        if a is again:
            assert bits(model.parameters()) == before != bits(twin.parameters())
    assert bits(model.parameters()) == bits(twin.parameters())
    assert [g["lr"] for g in again.param_groups] == [g["lr"] for g in optimizer.param_groups]


# ---- groups and settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_as_optimizers_of_their_own(kind):
    a, b = leaves(*SHAPES), leaves(*SHAPES)
    together = make(kind, [{"params": a[:2]}, {"params": a[2:], "lr": 0.01, "weight_decay": 0.2}])
    apart = [make(kind, b[:2]), make(kind, b[2:], lr=0.01, weight_decay=0.2)]
    for seed in range(4):
        feed(a, seed)
        feed(b, seed)
        together.step()
        for o in apart:
            o.step()
    assert bits(a) == bits(b)
    assert [g["lr"] for g in together.param_groups] == [0.1, 0.01]
    assert "5 parameters" not in repr(together) and "2 parameters: lr=0.1" in repr(together)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [lambda g, v: g.__setitem__("lr", v), lambda g, v: g.update(lr=v), lambda g,
                                 v: g.update({"lr": v}),
                                 lambda g, v: g.__ior__({"lr": v})], ids=["item", "update", "update dict", "ior"])
def test_a_learning_rate_is_in_force_at_once(kind, how):
    a, b = leaves(*SHAPES), leaves(*SHAPES)
    first, second = make(kind, a), make(kind, b)
    run(first, a, range(2))
    run(second, b, range(2))
    how(first.param_groups[0], 0.003)
    state = second.state_dict()
    state["param_groups"][0]["lr"] = 0.003
    second.load_state_dict(state)
    run(first, a, range(2, 4))
    run(second, b, range(2, 4))
    assert bits(a) == bits(b) and first.param_groups[0]["lr"] == 0.003
    how(first.param_groups[0], 0.0)
    before = bits(a)
    feed(a, 9)
    first.step()
    if kind != "AdamW":
        assert bits(a) == before


def test_a_learning_rate_in_plain_numbers():
    w, = leaves((2,))
    optimizer = optim.SGD([w], lr=1.0)
    start = w.numpy().copy()
    for lr in (0.5, 0.25, 2.0):
        optimizer.param_groups[0]["lr"] = lr
        w.grad = [1.0, -1.0]
        optimizer.step()
        start -= np.float32(lr) * np.array([1, -1], "f4")
        assert (w.numpy() == start).all()


@pytest.mark.parametrize("settings", [dict(lr=-1), dict(lr=float("nan")), dict(lr="0.1"), dict(lr=None),
                                      dict(weight_decay=-1),
                                      dict(betas=(1.0, 0.9)), dict(betas=(0.9, -1)), dict(eps=-1), dict(betas=0.9),
                                      dict(betas=("a", "b")),
                                      dict(amsgrad=True)], ids=str)
def test_settings_out_of_range_change_nothing(settings):
    if "amsgrad" not in settings:
        with pytest.raises((ValueError, TypeError)) as e:
            optim.Adam(leaves((2,)), **settings)
        assert str(e.value)
    a, b = leaves((2,)), leaves((2,))
    first, second = optim.Adam(a), optim.Adam(b)
    with pytest.raises((ValueError, TypeError)):
        first.param_groups[0].update(settings)
    for key, value in settings.items():
        with pytest.raises((ValueError, TypeError)):
            first.param_groups[0][key] = value
    assert {k: first.param_groups[0][k] for k in first.defaults} == first.defaults
    run(first, a, range(3))
    run(second, b, range(3))
    assert bits(a) == bits(b)


def test_groups_that_are_refused():
    a, b = leaves((2,), (3,))
    optimizer = optim.SGD([a], lr=0.1)
    for wrong, error in (({"params": [a]}, ValueError), ({"params": [b], "speed": 1}, ValueError),
                         ({"params": [b], "lr": -1}, ValueError),
                         ({"params": [1.0]}, TypeError), ({"params": [b * 2]}, ValueError),
                         ({"params": [b, b]}, ValueError),
                         ({"params": [nncore.tensor([1])]}, ValueError)):
        with pytest.raises(error):
            optimizer.add_param_group(wrong)
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": b, "lr": 1.0})
    b.grad = nncore.ones(3)
    before = b.numpy().copy()
    optimizer.step()
    assert (b.numpy() == before - 1).all()
    for wrong in ([], [1], "ab", [{"lr": 1}], [a, {"params": [b]}], a, [None]):
        with pytest.raises((ValueError, TypeError)):
            optim.SGD(wrong, lr=0.1)


# ---- gradients that are missing --------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_without_gradient_stands_still_and_its_state_with_it(kind):
    """Each parameter behaves as if it were trained alone with the steps at which it had a gradient."""
    a, b = leaves((3,), (20,), (2, 2)), leaves((3,), (20,), (2, 2))
    together, alone = make(kind, a), [make(kind, [p]) for p in b]
    for seed, present in enumerate([(0, 1, 2), (0, 2), (), (1,), (2,), (0, 1, 2), (0, 1)]):
        feed(a, seed)
        feed(b, seed)
        for i in range(3):
            if i not in present:
                a[i].grad = b[i].grad = None
        together.step()
        for o in alone:
            o.step()
        together.zero_grad()
        for o in alone:
            o.zero_grad()
        assert bits(a) == bits(b), (seed, present)
    assert [together.state_dict()["state"][i]["step"] for i in range(3)] == [4, 4, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_without_any_gradient_does_nothing(kind):
    a = leaves(*SHAPES)
    optimizer, before = make(kind, a), bits(a)
    optimizer.step()
    assert bits(a) == before and optimizer.state_dict()["state"][0]["step"] == 0
    optimizer.zero_grad()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert bits(a) == before and all(p.grad is None for p in a)


def test_zero_grad():
    a, b = leaves((2,), (3,))
    optimizer = optim.SGD([a, b], lr=0.1, weight_decay=0.5)
    a.grad = [1.0, 2.0]
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0] and b.grad is None  # what had none gets none, and is not decayed
    before = bits([b])
    optimizer.step()
    assert bits([b]) == before
    optimizer.zero_grad()
    assert a.grad is None
    (a * 3.0).sum().backward()
    (a * 4.0).sum().backward()
    assert a.grad.tolist() == [7, 7]


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_parameters(kind):
    nncore.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = make(kind, model.parameters())
    model[0].requires_grad_(False)
    frozen, x = bits(model[0].parameters()), nncore.ones(3, 4)
    for _ in range(3):
        losses.mse_loss(model(x), nncore.ones(3, 2)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert bits(model[0].parameters()) == frozen
    model[0].requires_grad_(True)
    losses.mse_loss(model(x), nncore.ones(3, 2)).backward()
    optimizer.step()
    assert bits(model[0].parameters()) != frozen


# ---- sharing ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_two_optimizers_on_one_parameter(kind):
    """Each has its own state; both see the weights as the other left them."""
    a, b = leaves((3,), (20,)), leaves((3,), (20,))
    first, second = make(kind, a), optim.SGD(a[::-1], lr=0.01, momentum=0.5)
    # the same with optimizers that never meet: the weights are carried over by hand
    x, y = leaves((3,), (20,)), leaves((3,), (20,))
    third, fourth = make(kind, x), optim.SGD(y[::-1], lr=0.01, momentum=0.5)
    for seed in range(5):
        for o, alone, its, others in ((first, third, x, y), (second, fourth, y, x)):
            feed(a, seed)
            feed(its, seed)
            o.step()
            alone.step()
            assert bits(a) == bits(its)
            o.zero_grad()
            alone.zero_grad()
            assert all(p.grad is None for p in a)
            with nncore.no_grad():
                for p, q in zip(others, its):
                    p.copy_(q)
    del first, b
    gc.collect()
    feed(a, 9)
    second.step()


def test_gradients_survive_a_move_to_another_optimizer():
    w, = leaves((5,))
    optim.SGD([w], lr=0.1)
    w.grad = np.arange(5.0)
    second = optim.SGD([w], lr=1.0)
    assert w.grad.tolist() == [0, 1, 2, 3, 4]
    before = w.numpy().copy()
    second.step()
    assert (w.numpy() == before - np.arange(5, dtype="f4")).all()


def test_a_parameter_used_by_two_layers_is_one():
    nncore.manual_seed(2)
    a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    b.weight = a.weight
    model = nn.Sequential(a, nn.Tanh(), b)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    losses.mse_loss(model(nncore.ones(2, 4)), nncore.zeros(2, 4)).backward()
    g, before = a.weight.grad.numpy().copy(), a.weight.numpy().copy()
    optimizer.step()
    assert b.weight is a.weight and np.allclose(a.weight.numpy(), before - 0.1 * g, atol=1e-7)
    with pytest.raises(ValueError, match="twice"):
        optim.SGD([a.weight, b.weight], lr=0.1)


def test_optimizers_die_with_their_last_use():
    gc.collect()
    live = nncore.memory_stats()["live"]
    gc.disable()
    try:
        w = leaves((1000,))
        optimizer = optim.Adam(w)
        del optimizer, w
        assert nncore.memory_stats()["live"] <= live
    finally:
        gc.enable()


def test_weights_are_overwritten_under_an_optimizer():
    """load_state_dict, init and copy_ between steps: the next step goes on from there."""
    nncore.manual_seed(3)
    layer = nn.Linear(3, 2)
    optimizer = optim.SGD(layer.parameters(), lr=1.0)
    for change in (lambda: layer.load_state_dict({"weight": np.ones((3, 2)), "bias": np.ones(2)}),
                   lambda: nncore.init.ones_(layer.weight), lambda: layer.weight.copy_(np.ones((3, 2))),
                   lambda: layer.weight.numpy().__setitem__(..., 1.0)):
        change()
        layer.weight.grad = np.full((3, 2), 0.25)
        optimizer.step()
        optimizer.zero_grad()
        assert (layer.weight.numpy() == 0.75).all()


# ---- state -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_state_dict_goes_on_bit_for_bit(kind):
    a, b = leaves(*SHAPES), leaves(*SHAPES)
    first = make(kind, a)
    run(first, a, range(3))
    feed(a, 3)
    a[0].grad = None  # parameters with different counts of steps
    first.step()
    first.zero_grad()
    state = copy.deepcopy(first.state_dict())
    first.param_groups[0]["lr"] = 0.01
    first.param_groups[0]["lr"] = 0.1
    for p, q in zip(a, b):
        q.copy_(p)
    second = make(kind, b, lr=5.0)
    second.load_state_dict(state)
    assert second.param_groups[0]["lr"] == 0.1
    run(first, a, range(4, 8))
    run(second, b, range(4, 8))
    assert bits(a) == bits(b)
    third = make(kind, leaves(*SHAPES))
    third.load_state_dict(second.state_dict())
    x, y = second.state_dict(), third.state_dict()
    assert x["param_groups"] == y["param_groups"]
    assert all((np.asarray(x["state"][i][k]) == np.asarray(y["state"][i][k])).all() for i in x["state"]
               for k in x["state"][i])


def test_state_dict_holds_copies():
    w = leaves((3,))
    optimizer = optim.Adam(w)
    run(optimizer, w, [0])
    state = optimizer.state_dict()
    kept = state["state"][0]["exp_avg"].copy()
    run(optimizer, w, [1])
    assert (state["state"][0]["exp_avg"] == kept).all() and state["state"][0]["step"] == 1


@pytest.mark.parametrize("change", [
    lambda s: s.clear(), lambda s: s.pop("state"), lambda s: s.pop("param_groups"), lambda s: s["state"].pop(1),
    lambda s: s["state"][0].pop("exp_avg"), lambda s: s["state"][0].update(exp_avg=np.ones(4)),
    lambda s: s["state"][1].update(exp_avg_sq=["a"]), lambda s: s["state"][1].update(exp_avg_sq=1j),
    lambda s: s["state"][1].update(step=-1),
    lambda s: s["state"][1].update(step="many"), lambda s: s["state"][1].update(step=None),
    lambda s: s["param_groups"].pop(),
    lambda s: s["param_groups"][0].pop("lr"), lambda s: s["param_groups"][0].update(lr=-1),
    lambda s: s["param_groups"][0].update(lr="x"),
    lambda s: s["param_groups"][0].update(params=[0, 1, 2]), lambda s: s["param_groups"][0].update(params=[0, 7]),
    lambda s: s["param_groups"][0].update(amsgrad=True), lambda s: s["param_groups"][0].update(betas=(2, 2)),
    lambda s: s.update(param_groups=3), lambda s: s.update(state=None),
    lambda s: s["state"][1].update(step=float("nan")),
])
def test_a_state_that_does_not_fit_changes_nothing(change):
    a, b = leaves((3,), (2, 2)), leaves((3,), (2, 2))
    first, second = optim.Adam(a, lr=0.1), optim.Adam(b, lr=0.1)
    run(first, a, range(2))
    run(second, b, range(2))
    state = copy.deepcopy(first.state_dict())
    for entry in state["state"].values():
        entry["exp_avg"] = entry["exp_avg"] + 1
    change(state)
    with pytest.raises((ValueError, TypeError)) as e:
        first.load_state_dict(state)
    assert str(e.value)
    run(first, a, range(2, 4))
    run(second, b, range(2, 4))
    assert bits(a) == bits(b)


@pytest.mark.parametrize("nonsense", [None, 3, "text", [], object()], ids=repr)
def test_nonsense_is_no_state(nonsense):
    with pytest.raises((ValueError, TypeError)):
        optim.SGD(leaves((2,)), lr=0.1).load_state_dict(nonsense)


# ---- strange numbers -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_stay_where_they_are(kind):
    for bad in (np.nan, np.inf):
        w, = leaves((40,))
        optimizer = make(kind, [w])
        for _ in range(2):
            g = np.ones(40)
            g[17] = bad
            w.grad = g
            optimizer.step()
        rest = np.delete(w.numpy(), 17)
        assert np.isfinite(rest).all() and not np.isfinite(w.numpy()[17]) or bad == np.inf and np.isfinite(rest).all()


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_no_elements(kind):
    w, = leaves((0, 5))
    optimizer = make(kind, [w])
    w.grad = nncore.zeros(0, 5)
    optimizer.step()
    assert w.shape == (0, 5) and optimizer.state_dict()["state"][0]["step"] == 1


def test_maximize():
    a, b = leaves((5,)), leaves((5,))
    first, second = optim.SGD(a, lr=0.1, maximize=True), optim.SGD(b, lr=0.1)
    for seed in range(3):
        feed(a, seed)
        b[0].grad = -a[0].grad
        first.step()
        second.step()
    assert bits(a) == bits(b)


# ---- clipping --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("largest", [0.0, 0.5, 3.0, 1e9, float("inf")])
@pytest.mark.parametrize("norm_type", [2.0, float("inf")])
@pytest.mark.parametrize("in_arena", [True, False])
def test_clip_grad_norm(largest, norm_type, in_arena):
    parameters = leaves((3, 5), (), (1700,), (0,), *[(3,)] * 20)
    if in_arena:
        optim.SGD(parameters, lr=0.1)
    feed(parameters, 1)
    flat = np.concatenate([p.grad.numpy().ravel() for p in parameters]).astype("f8")
    norm = np.sqrt((flat**2).sum()) if norm_type == 2 else np.abs(flat).max()
    got = optim.clip_grad_norm_(parameters, largest, norm_type)
    assert got.shape == () and abs(got.item() - norm) <= 4e-7 * norm
    after = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    assert np.allclose(after, flat * min(1.0, largest / (norm + 1e-6)), rtol=1e-6, atol=1e-7)
    if largest > norm:
        assert (after == flat).all()


def test_clip_grad_norm_of_little_and_of_strange():
    a, b = leaves((2,), (2,))
    assert optim.clip_grad_norm_([a, b], 1.0).item() == 0 and a.grad is None
    assert optim.clip_grad_norm_([], 1.0).item() == 0 and optim.clip_grad_norm_(iter([a]), 1.0).item() == 0
    a.grad = [3.0, 4.0]
    assert optim.clip_grad_norm_(a, 1.0).item() == 5 and np.allclose(a.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    assert b.grad is None
    a.grad = [0.0, 0.0]
    assert optim.clip_grad_norm_([a], 1.0).item() == 0 and a.grad.tolist() == [0, 0]
    a.grad = [1e30, 1e30]  # squares overflow float32, not the sum
    assert math.isclose(optim.clip_grad_norm_([a], 1.0).item(), 2**0.5 * 1e30, rel_tol=1e-6)
    assert np.allclose(a.grad.numpy(), 0.5**0.5, rtol=1e-6)
    for bad in (np.nan, np.inf):
        a.grad = [bad, 1.0]
        with pytest.raises(RuntimeError, match="norm"):
            optim.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
        assert a.grad.tolist()[1] == 1
        assert not math.isfinite(optim.clip_grad_norm_([a], 1.0).item())
    for wrong in (lambda: optim.clip_grad_norm_([a], -1.0), lambda: optim.clip_grad_norm_([a], float("nan")),
                  lambda: optim.clip_grad_norm_([a], 1.0, norm_type=3), lambda: optim.clip_grad_norm_([a], "x"),
                  lambda: optim.clip_grad_value_([a], -1.0), lambda: optim.clip_grad_value_([a], float("nan")),
                  lambda: optim.clip_grad_norm_([a], 1.0, norm_type="inf")):
        with pytest.raises((ValueError, TypeError)) as e:
            wrong()
        assert str(e.value)


@pytest.mark.parametrize("in_arena", [True, False])
def test_clip_grad_value(in_arena):
    parameters = leaves((3, 5), (), (1700,), (0,))
    if in_arena:
        optim.SGD(parameters, lr=0.1)
    feed(parameters, 1)
    before = [p.grad.numpy().copy() for p in parameters]
    assert optim.clip_grad_value_(parameters, 0.75) is None
    for p, g in zip(parameters, before):
        assert (p.grad.numpy() == np.clip(g, -0.75, 0.75)).all()
    parameters[0].grad = np.full((3, 5), np.nan)
    optim.clip_grad_value_(parameters, 0.5)
    assert np.isnan(parameters[0].grad.numpy()).all()


def test_clipping_gradients_that_arrived_together():
    """One array that backward handed to several parameters is scaled once for each."""
    a, b, c = leaves((4,), (4,), (2, 2))
    (a + b + c.reshape(4)).backward(nncore.ones(4))
    norm = optim.clip_grad_norm_([a, b, c], 1.0).item()
    assert math.isclose(norm, 12**0.5, rel_tol=1e-6)
    for p in (a, b, c):
        assert np.allclose(p.grad.numpy(), 12**-0.5, rtol=1e-6)
