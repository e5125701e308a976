"""Mean and variance that a convolution takes for the batch norm behind it."""
import numpy as np
import pytest

import nncore
from nncore import _core, nn, ops
from steps import bits
from test_conv import EPS, SIZES, WINOGRAD, algorithm, draw  # noqa: F401: algorithm is a fixture
from test_memory import failing_at

WAYS = [("direct", *size) for size in SIZES] + [("winograd", x, w, 1, w[0] // 2, 1, 1) for x, w in WINOGRAD]
WAYS += [("winograd", (1, 5, 200, 20), (3, 3, 20, 40), 1, 1, 1, 1), ("direct", (3, 1, 1, 4), (1, 1, 4, 3), 1, 0, 1, 1)]


def convolution(x, w, stride=1, padding=0, dilation=1, groups=1, moments=True, offset=0.0, activation=None):
    bias = nncore.tensor(draw(w[-1], seed=2) + np.float32(offset))
    padding = padding if w[0] > 1 or w[:2] == (1, 1) else (0, padding)
    return ops.conv2d(nncore.tensor(draw(*x)), nncore.tensor(draw(*w, seed=1)), bias, stride, padding, dilation, groups,
                      activation, moments)


def statistics(y):
    """What batch_norm takes for mean and for the variance of n - 1, read from its running ones."""
    mean, var = nncore.zeros(y.shape[-1]), nncore.zeros(y.shape[-1])
    with nncore.no_grad():
        ops.batch_norm(y, mean, var, training=True, momentum=1.0)
    return mean.numpy(), var.numpy()


def ops_run(function, *args):
    with nncore.profile() as p:
        function(*args)
    return [call.op for call in p.calls]


@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("algorithm, x, w, stride, padding, dilation, groups", WAYS,
                         ids=lambda v: str(v).replace(" ", ""), indirect=["algorithm"])
def test_they_are_those_of_the_result(isa, algorithm, x, w, stride, padding, dilation, groups, offset):  # noqa: F811
    settings = (stride, padding, dilation, groups)
    y = convolution(x, w, *settings, offset=offset)
    assert bits(y) == bits(convolution(x, w, *settings, moments=False, offset=offset))
    mean, var = statistics(y)
    exact = y.numpy().astype("f8").reshape(-1, w[-1])
    deviation = exact.std(axis=0)
    # a float for the mean; sums of some 500 values about a shift within 8 deviations of it
    assert np.all(np.abs(mean - exact.mean(axis=0)) <= EPS * (np.abs(exact.mean(axis=0)) + 8 * deviation))
    assert np.all(np.abs(var - exact.var(axis=0, ddof=1)) <= 64 * EPS * deviation**2)


@pytest.mark.parametrize("x, w, settings", [
    ((16, 16, 16, 24), (3, 3, 24, 40), {"padding": 1}), ((3, 33, 40, 8), (5, 5, 8, 150), {"stride": 2}),
    ((40, 4, 4, 32), (3, 3, 32, 64), {"padding": 1}), ((6, 20, 20, 32), (3, 3, 1, 32), {"groups": 32, "padding": 1}),
    ((4, 16, 16, 32), (1, 1, 32, 64), {}),
])
def test_they_do_not_depend_on_threads(isa, x, w, settings):
    found = []
    try:
        for threads in (1, 2, 3, 7):
            nncore.set_num_threads(threads)
            found.append([a.tobytes() for a in statistics(convolution(x, w, **settings))])
    finally:
        nncore.set_num_threads(nncore.threads.decide()[0])
    assert found == found[:1] * 4


def test_they_are_of_what_the_activation_leaves():
    y = convolution((4, 9, 9, 5), (3, 3, 5, 7), activation="relu")
    mean, _ = statistics(y)
    np.testing.assert_allclose(mean, y.numpy().mean(axis=(0, 1, 2)), rtol=1e-6)


def test_batch_norm_uses_them_and_not_after_the_result_was_written_to():
    y, z, v = (convolution((4, 9, 9, 5), (3, 3, 5, 7)) for _ in range(3))
    with nncore.profile() as p:
        mean, _ = statistics(y)
    assert p.calls[0].op == "group_norm" and len(p.calls[0].shapes[6]) == 2  # [3,c], and not an empty one
    z.numpy()[...] += 1
    v.fill_(1)
    np.testing.assert_allclose(statistics(z)[0], mean + 1, rtol=1e-5)
    np.testing.assert_array_equal(statistics(v)[0], 1)


def test_instance_and_group_norm_take_their_own():
    y = convolution((4, 9, 9, 6), (3, 3, 6, 6))
    plain = nncore.tensor(y.numpy().copy())
    assert bits(ops.instance_norm(y)) == bits(ops.instance_norm(plain))
    assert bits(ops.group_norm(y, 6)) == bits(ops.group_norm(plain, 6))


def test_a_nan_reaches_its_channel():
    x, w = draw(2, 6, 6, 3), draw(3, 3, 3, 20, seed=1)
    w[1, 1, 0, 17] = np.nan
    mean, var = statistics(ops.conv2d(nncore.tensor(x), nncore.tensor(w), padding=1, moments=True))
    assert np.isnan(mean).tolist() == np.isnan(var).tolist() == [o == 17 for o in range(20)]


def block():
    return nn.Sequential(nn.Conv2d(12, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16, activation="relu"))


def test_sequential_asks_for_them_while_training():
    model, x = block(), nncore.tensor(draw(4, 8, 8, 12))
    assert ops_run(model, x)[:2] == ["conv_moments", "group_norm"]
    model.eval()
    assert ops_run(model, x)[:2] == ["conv", "group_norm"]
    untracked = nn.Sequential(model[0], nn.BatchNorm2d(16, track_running_stats=False)).eval()
    assert ops_run(untracked, x)[0] == "conv_moments"
    between = nn.Sequential(nn.Conv2d(12, 16, 3), nn.ReLU(), nn.BatchNorm2d(16))
    assert ops_run(between, x)[:2] == ["conv", "group_norm"]


def test_a_block_that_takes_them_learns_as_one_that_does_not(isa):
    x, dy = draw(4, 8, 8, 12), draw(4, 8, 8, 16, seed=9)
    found = []
    for asks in (True, False):
        nncore.manual_seed(0)
        model, t = block(), nncore.tensor(x, requires_grad=True)
        y = model(t) if asks else model[1](model[0](t))
        y.backward(nncore.tensor(dy))
        found.append([y, t.grad, *(p.grad for p in model.parameters()), *(b for _, b in model.named_buffers())])
    for a, b in zip(*found):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5 * max(1, np.abs(b.numpy()).max()))


def test_a_compiled_block_is_the_eager_one_bit_for_bit():
    found = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(0)
        model = block()

        def step(x):
            y = model(x)
            (y * y).sum().backward()
            return y
        run = wrap(step)
        for i in range(4):
            model.zero_grad()
            y = run(nncore.tensor(draw(4, 8, 8, 12, seed=i)))
        found.append(bits(y, *model.parameters(), *(p.grad for p in model.parameters()),
                          *(b for _, b in model.named_buffers())))
    assert found[0] == found[1]


@pytest.mark.parametrize("algorithm", ["direct", "winograd"], indirect=True)
@pytest.mark.parametrize("x", [(2, 9, 9, 16), (1, 4, 4, 16)])
def test_no_memory_is_an_error_that_leaves_all_in_order(algorithm, x):  # noqa: F811
    def run():
        return convolution(x, (3, 3, 16, 20), padding=1)
    expected, failures = bits(run()), 0
    live = _core.memory_stats()["live"]
    while failing_at(failures, run):
        failures += 1
    assert failures >= 4 and bits(run()) == expected
    assert _core.memory_stats()["live"] == live
