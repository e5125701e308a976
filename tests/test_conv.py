"""Convolutions beyond the cases: sizes of real networks against NumPy in float64, threads, layers, wrong use."""
import itertools

import numpy as np
import pytest

import nncore
from cases import EPS
from nncore import nn, ops


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4")


def windows(x, r, s, stride, padding, dilation):
    """x[b,p,q,r,s,c]: what each output pixel sees, in float64."""
    (top, bottom), (left, right) = padding
    x = np.pad(x.astype("f8"), ((0, 0), (top, bottom), (left, right), (0, 0)))
    span_h, span_w = dilation[0] * (r - 1) + 1, dilation[1] * (s - 1) + 1
    v = np.lib.stride_tricks.sliding_window_view(x, (span_h, span_w), (1, 2))
    return v[:, ::stride[0], ::stride[1], :, ::dilation[0], ::dilation[1]].transpose(0, 1, 2, 4, 5, 3)


def expected(x, w, dy, stride, padding, dilation, groups):
    """(y, dx, dw) in float64; dy None: ones."""
    r, s, c, o = w.shape
    v = windows(x, r, s, stride, padding, dilation)
    v = v.reshape(*v.shape[:5], groups, c)
    ws = w.astype("f8").reshape(r, s, c, groups, o // groups)
    y = np.einsum("bpqrsgc,rscgo->bpqgo", v, ws, optimize=True)
    dy = dy.astype("f8").reshape(y.shape)
    dw = np.einsum("bpqrsgc,bpqgo->rscgo", v, dy, optimize=True).reshape(w.shape)
    dv = np.einsum("bpqgo,rscgo->bpqrsgc", dy, ws, optimize=True).reshape(*v.shape[:5], groups * c)
    (top, bottom), (left, right) = padding
    dx = np.zeros((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]))
    for i, j in itertools.product(range(r), range(s)):
        h, k = i * dilation[0], j * dilation[1]
        dx[:, h:h + stride[0] * y.shape[1]:stride[0],
           k:k + stride[1] * y.shape[2]:stride[1]][:, :y.shape[1], :y.shape[2]] += dv[:, :, :, i, j]
    return y.reshape(*y.shape[:3], o), dx[:, top:top + x.shape[1], left:left + x.shape[2]], dw


@pytest.fixture
def algorithm(request):
    was = nncore.set_conv_algorithm(request.param)
    yield request.param
    nncore.set_conv_algorithm(was)


# x, window, stride, padding, dilation, groups: larger than a band, a block of k, a tile; all ways through conv.c
SIZES = [
    ((2, 32, 32, 16), (3, 3, 16, 16), 1, 1, 1, 1), ((1, 60, 70, 40), (3, 3, 40, 50), 1, 1, 1, 1),
    ((3, 14, 14, 130), (3, 3, 130, 70), 1, 1, 1, 1), ((9, 4, 4, 64), (3, 3, 64, 49), 1, 1, 1, 1),
    ((70, 2, 2, 33), (3, 3, 33, 17), 1, 1, 1, 1), ((2, 56, 56, 3), (7, 7, 3, 64), 2, 3, 1, 1),
    ((2, 28, 28, 1), (5, 5, 1, 32), 1, 2, 1, 1), ((4, 16, 16, 64), (1, 1, 64, 33), 1, 0, 1, 1),
    ((2, 15, 17, 64), (1, 1, 64, 33), 2, 0, 1, 1), ((2, 13, 13, 48), (3, 3, 12, 20), 1, 1, 1, 4),
    ((2, 31, 29, 65), (3, 3, 1, 65), 1, 1, 1, 65), ((2, 31, 29, 20), (5, 5, 1, 20), 2, 2, 1, 20),
    # channels apart: whole tiles and parts of them, both steps, wide borders, bands
    ((2, 14, 14, 36), (3, 3, 1, 36), 1, 1, 1, 36), ((3, 7, 7, 130), (3, 3, 1, 130), 1, 1, 1, 130),
    ((2, 31, 29, 65), (3, 3, 1, 65), 2, 1, 1, 65), ((2, 16, 18, 33), (3, 3, 1, 33), 2, 0, 1, 33),
    ((1, 90, 71, 24), (3, 3, 1, 24), 1, 2, 1, 24), ((1, 91, 90, 24), (3, 3, 1, 24), 2, 2, 1, 24),
    ((2, 5, 11, 16), (3, 3, 1, 16), 1, 4, 1, 16), ((2, 6, 10, 16), (3, 3, 1, 16), 2, 4, 1, 16),
    ((1, 20, 21, 17), (3, 3, 1, 17), 1, 2, 2, 17), ((2, 13, 12, 20), (3, 3, 1, 20), 3, 1, 1, 20),
    ((1, 40, 33, 17), (3, 3, 17, 18), 1, 4, 4, 1), ((2, 9, 9, 900), (1, 3, 900, 8), 1, 1, 1, 1),
    ((1, 2, 400, 24), (1, 9, 24, 16), 1, 4, 1, 1),
    # zeros only at the ends of lines: rows are images, or lines; with a stride, groups, more than a block of k
    ((70, 1, 60, 30), (1, 5, 30, 27), 1, 2, 1, 1), ((2, 40, 33, 20), (1, 5, 20, 24), 2, 2, 1, 1),
    ((3, 5, 41, 34), (1, 3, 17, 46), 1, 3, 3, 2), ((1, 2, 60, 900), (1, 3, 900, 18), 1, 1, 1, 1),
    ((30, 1, 45, 6), (1, 4, 6, 30), 3, 1, 1, 1), ((2, 7, 200, 300), (1, 2, 300, 20), 1, 1, 1, 1),
]


WINOGRAD = [((2, 32, 32, 16), (3, 3, 16, 16)), ((5, 8, 8, 64), (3, 3, 64, 70)), ((9, 4, 4, 130), (3, 3, 130, 33)),
            ((1, 7, 13, 17), (3, 3, 17, 48)), ((3, 1, 1, 5), (3, 3, 5, 3)), ((2, 13, 13, 1), (3, 3, 1, 1)),
            ((2, 28, 28, 32), (5, 5, 32, 64)), ((5, 8, 8, 64), (5, 5, 64, 70)), ((9, 4, 4, 130), (5, 5, 130, 33)),
            ((1, 7, 13, 17), (5, 5, 17, 48)), ((3, 1, 1, 5), (5, 5, 5, 3)), ((2, 13, 13, 1), (5, 5, 1, 1)),
            ((2, 7, 7, 3), (5, 5, 3, 5)), ((20, 5, 5, 130), (5, 5, 130, 260))]
WAYS = [("direct", *size) for size in SIZES]
WAYS += [("winograd", x, w, 1, p, 1, 1) for x, w in WINOGRAD for p in {3: (1, 2), 5: (2, 4, (3, 2))}[w[0]]]


@pytest.mark.parametrize("algorithm, x, w, stride, padding, dilation, groups", WAYS,
                         ids=lambda v: str(v).replace(" ", ""), indirect=["algorithm"])
def test_sizes_of_real_networks(isa, algorithm, x, w, stride, padding, dilation, groups):
    if w[0] == 1:
        padding = (0, padding)
    padding = padding if isinstance(padding, tuple) else (padding, padding)
    X, W = nncore.tensor(draw(*x), requires_grad=True), nncore.tensor(draw(*w, seed=1), requires_grad=True)
    y = ops.conv2d(X, W, None, stride, padding, dilation, groups)
    dy = draw(*y.shape, seed=2)
    y.backward(nncore.tensor(dy))
    exact = expected(X.numpy(), W.numpy(), dy, (stride,) * 2, [(p, p) for p in padding], (dilation,) * 2, groups)
    depths = (w[0] * w[1] * w[2], w[0] * w[1] * w[3] // groups, y.shape[0] * y.shape[1] * y.shape[2])
    for got, e, k, what in zip((y, X.grad, W.grad), exact, depths, ("y", "dx", "dw")):
        # k products, each rounded, and their sum: a random walk of EPS times partial sums of size up to sqrt(k); 6
        # deviations
        error, allowed = np.abs(got.numpy() - e).max(), 6 * EPS * k
        # as winograd_test.c says: sums of at most 64 channels or 128 tiles, and the transforms
        if algorithm == "winograd":
            allowed = 6 * EPS * (10 + 2 * min(k, 128)**0.5) * k**0.5
        assert error <= allowed, (what, error, allowed)


@pytest.mark.parametrize("x, w, padding, forward, backward", [
    ((2, 9, 9, 16), (3, 3, 16, 16), 1, "winograd", "winograd"), ((1, 8, 8, 12), (3, 3, 12, 2), 1, "winograd", "direct"),
    ((2, 9, 9, 16), (5, 5, 16, 16), 2, "winograd", "winograd"), ((3, 5, 5, 3), (5, 5, 3, 12), 2, "direct", "winograd"),
    ((9, 3, 3, 16), (3, 3, 16, 16), 1, "direct", "direct"), ((9, 4, 4, 16), (5, 5, 16, 16), 2, "direct", "direct"),
    ((9, 8, 8, 16), (5, 5, 16, 16), 0, "direct", "winograd"), ((1, 7, 7, 16), (3, 3, 16, 16), 1, "direct", "direct"),
], ids=str)
def test_the_algorithm_can_be_chosen(x, w, padding, forward, backward):
    x, w = nncore.tensor(draw(*x), requires_grad=True), nncore.tensor(draw(*w, seed=1), requires_grad=True)

    def results(name):
        was = nncore.set_conv_algorithm(name)
        x.grad = w.grad = None
        try:
            y = ops.conv2d(x, w, padding=padding)
            y.backward(nncore.tensor(draw(*y.shape, seed=2)))
            return [a.numpy().tobytes() for a in (y, x.grad, w.grad)]
        finally:
            assert nncore.set_conv_algorithm(was) == name
    ways = {name: results(name) for name in ("direct", "winograd")}
    assert all(a != b for a, b in zip(*ways.values()))
    assert results("auto") == [ways[way][i] for i, way in enumerate((forward, backward, forward))]


def test_algorithms_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="'fft' is not one of auto, direct, winograd"):
        nncore.set_conv_algorithm("fft")


def with_gradients(threads, x, w, **settings):
    nncore.set_num_threads(threads)
    X, W, B = (nncore.tensor(draw(*shape, seed=i), requires_grad=True) for i, shape in enumerate((x, w, w[-1:])))
    y = ops.conv2d(X, W, B, **settings)
    y.backward(nncore.tensor(draw(*y.shape, seed=5)))
    return [a.numpy().tobytes() for a in (y, X.grad, W.grad, B.grad)]


@pytest.mark.parametrize("x, w, settings", [
    ((16, 16, 16, 24), (3, 3, 24, 40), {"padding": 1}), ((3, 33, 40, 8), (5, 5, 8, 150), {"stride": 2}),
    ((40, 4, 4, 32), (3, 3, 32, 64), {"padding": 1}),
    ((6, 20, 20, 32), (3, 3, 1, 32), {"groups": 32, "padding": "same"}),
    ((9, 40, 50, 35), (3, 3, 1, 35), {"groups": 35, "padding": 1}),
    ((9, 40, 51, 35), (3, 3, 1, 35), {"groups": 35, "padding": 1, "stride": 2}),
    ((4, 8, 8, 256), (3, 3, 256, 200), {"padding": 1}), ((16, 12, 12, 20), (5, 5, 20, 50), {}),
    ((2, 8, 8, 130), (5, 5, 130, 260), {"padding": 2}), ((90, 1, 70, 24), (1, 5, 24, 28), {"padding": (0, 2)}),
    ((3, 30, 40, 24), (1, 5, 24, 28), {"padding": (0, 2)}),
])
def test_results_do_not_depend_on_threads(isa, x, w, settings):
    try:
        one = with_gradients(1, x, w, **settings)
        for threads in (2, 3, 7):
            assert with_gradients(threads, x, w, **settings) == one
    finally:
        nncore.set_num_threads(nncore.threads.decide()[0])


@pytest.mark.parametrize("channels, settings", [(3, {}), (1, {"groups": 3}), (1, {"groups": 3, "stride": 2})])
def test_gradients_add_up_where_an_image_or_a_weight_is_used_twice(isa, channels, settings):
    x, w = (nncore.tensor(draw(2, 6, 6, 3), requires_grad=True),
            nncore.tensor(draw(3, 3, channels, 3, seed=1), requires_grad=True))
    ops.conv2d(x, w, padding=1, **settings).sum().backward()
    once = [x.grad.numpy().copy(), w.grad.numpy().copy()]
    x.grad = w.grad = None
    (ops.conv2d(x, w, padding=1, **settings) + ops.conv2d(x, w, padding=1, **settings)).sum().backward()
    for twice, a in zip((x.grad, w.grad), once):
        assert np.allclose(twice.numpy(), 2 * a, rtol=4 * EPS, atol=0)


def test_a_nan_reaches_the_pixels_that_see_it_and_no_others(isa):
    x = np.ones((1, 9, 9, 5), "f4")
    x[0, 4, 4, 2] = np.nan
    nan = np.isnan(ops.conv2d(nncore.tensor(x), nncore.ones(3, 3, 5, 4), padding=1).numpy()[0])
    assert nan[3:6, 3:6].all() and nan.sum() == 9 * 4
    nan = np.isnan(ops.conv2d(nncore.tensor(x), nncore.ones(3, 3, 1, 5), padding=1, groups=5).numpy()[0])
    assert nan[3:6, 3:6, 2].all() and nan.sum() == 9
    nan = np.isnan(ops.conv2d(nncore.tensor(x), nncore.ones(3, 3, 1, 5), None, 2, 1, groups=5).numpy()[0])
    assert nan[2, 2, 2] and nan.sum() == 1


def test_infinite_weights_do_not_meet_the_border(isa):
    for stride in (1, 2):
        x = nncore.tensor(np.ones((1, 8, 9, 3), "f4"), requires_grad=True)
        w = nncore.tensor(np.full((3, 3, 1, 3), np.inf, "f4"))
        y = ops.conv2d(x, w, None, stride, 2, groups=3)
        assert not np.isnan(y.numpy()).any() and (y.numpy()[0, 1:-1, 1:-1] == np.inf).all()
        y.backward(nncore.ones(*y.shape))
        assert (x.grad.numpy() == np.inf).all()


def test_a_transposed_convolution_undoes_the_shape_and_is_the_gradient(isa):
    for stride, padding, dilation, extra in ((1, 0, 1, 0), (2, 1, 1, 1), (3, 2, 2, 0), (2, 0, 1, 1)):
        x, w = nncore.tensor(draw(2, 5, 4, 6)), nncore.tensor(draw(3, 3, 7, 6, seed=1))
        y = ops.conv_transpose2d(x, w, None, stride, padding, extra, 1, dilation)
        image = nncore.zeros(*y.shape)
        image.requires_grad = True
        forward = ops.conv2d(image, w, None, stride, padding, dilation)
        assert forward.shape == x.shape
        forward.backward(x)
        assert image.grad.numpy().tobytes() == y.numpy().tobytes()


@pytest.mark.parametrize("call, words", [
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 4, 5)),
     ["conv2d", "(2, 8, 8, 3)", "3 channels", "4 expected"]),
    (lambda: ops.conv2d(nncore.zeros(8, 8, 3), nncore.zeros(3, 3, 3, 5)), ["conv2d", "(8, 8, 3)", "[b,h,w,c]"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 5)), ["conv2d", "weight (3, 3, 5)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(0, 3, 3, 5)), ["conv2d", "weight (0, 3, 3, 5)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 2, 2, 3), nncore.zeros(3, 3, 3, 5)), ["conv2d", "(3, 3)", "(2, 2, 2, 3)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 4, 4, 3), nncore.zeros(3, 3, 3, 5), dilation=2), ["dilation (2, 2)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), nncore.zeros(4)), ["bias (4,)", "(5,)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), stride=0), ["stride", "0"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), stride=(1, 2, 3)), ["stride", "(1, 2, 3)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), padding=-1), ["padding", "-1"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), padding="full"), ["padding", "'full'"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), padding=((1, 1),)),
     ["padding", "((1, 1),)"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), padding=1 << 20), ["padding", "65535"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 4), nncore.zeros(3, 3, 2, 5), groups=2), ["5 channels", "2 groups"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 4), nncore.zeros(3, 3, 4, 5), groups=0), ["groups"]),
    (lambda: ops.conv2d(nncore.zeros(2, 8, 8, 3), nncore.zeros(3, 3, 3, 5), activation="soft"), ["'soft'"]),
    (lambda: ops.conv1d(nncore.zeros(2, 8), nncore.zeros(3, 3, 5)), ["conv1d", "(2, 8)", "[b,t,c]"]),
    (lambda: ops.conv1d(nncore.zeros(2, 8, 3), nncore.zeros(3, 3, 5), stride=(1, 1)), ["conv1d", "stride"]),
    (lambda: ops.conv_transpose2d(nncore.zeros(2, 4, 4, 3), nncore.zeros(3, 3, 5, 3), stride=2, output_padding=2),
     ["output_padding"]),
    (lambda: ops.conv_transpose2d(nncore.zeros(2, 1, 1, 3), nncore.zeros(1, 1, 5, 3), padding=1),
     ["conv_transpose2d", "nothing"]),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), ["Conv2d", "4 groups"]), (lambda: nn.Conv2d(-1, 6, 3), ["Conv2d", "-1"]),
    (lambda: nn.Conv2d(4, 6, 0), ["Conv2d", "kernel_size"]),
    (lambda: nn.Conv2d(4, 6, 3, padding="all"), ["Conv2d", "'all'"]),
    (lambda: nn.Conv2d(4, 6, 3, padding_mode="mirror"), ["Conv2d", "'mirror'"]),
    (lambda: nn.Conv1d(3, 4, 3)(nncore.zeros(2, 9, 5)), ["conv1d", "5 channels given, 3 expected"]),
])
def test_wrong_use_is_named(call, words):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


def test_too_large_a_result_is_a_memory_error():
    with pytest.raises(MemoryError):
        ops.conv_transpose2d(nncore.zeros(1, 3, 3, 1), nncore.zeros(1, 1, 1, 1), stride=60000, output_padding=50000)


# ---- layers ----------------------------------------------------------------------------------------------------------

def test_layers_start_as_pytorch_starts_them_and_say_what_they_are():
    layer = nn.Conv2d(16, 32, 3, stride=2, padding=1, groups=2)
    assert layer.weight.shape == (3, 3, 8, 32) and layer.bias.shape == (32,)
    w, bound = layer.weight.numpy(), 1 / (3 * 3 * 8) ** 0.5
    assert 0.9 * bound < np.abs(w).max() <= bound and abs(w.std() - bound / 3**0.5) < 0.05 * bound
    assert np.abs(layer.bias.numpy()).max() <= bound
    assert repr(layer) == "Conv2d(16, 32, kernel_size=(3, 3), stride=(2, 2), padding=1, groups=2)"
    assert layer(nncore.zeros(2, 9, 8, 16)).shape == (2, 5, 4, 32)
    assert repr(nn.Conv1d(3, 4, 5, bias=False, activation="relu")) == \
        "Conv1d(3, 4, kernel_size=(5,), stride=(1,), activation='relu', bias=False)"
    up = nn.ConvTranspose2d(8, 4, 2, stride=2)
    assert up.weight.shape == (2, 2, 4, 8) and up(nncore.zeros(1, 3, 5, 8)).shape == (1, 6, 10, 4)
    assert nn.ConvTranspose1d(8, 4, 3, stride=2, padding=1, output_padding=1)(nncore.zeros(1, 5, 8)).shape == (1, 10, 4)
    assert nn.Conv1d(3, 4, 5, padding="same")(nncore.zeros(2, 9, 3)).shape == (2, 9, 4)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3, padding=1), nn.ConvTranspose2d(3, 5, 2, 2)],
                         ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("activation", ["relu", "silu", "tanh"])
def test_sequential_fuses_an_activation_and_changes_no_bit(isa, layer, activation):
    function = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}[activation]()

    def run(model):
        x = nncore.tensor(draw(2, 6, 7, 3), requires_grad=True)
        layer.zero_grad()
        y = model(x)
        y.backward(nncore.tensor(draw(*y.shape, seed=3)))
        return [a.numpy().tobytes() for a in (y, x.grad, layer.weight.grad, layer.bias.grad)]
    assert run(nn.Sequential(layer, function)) == run(lambda x: function(layer(x)))


def test_a_compiled_step_is_the_eager_one_bit_for_bit():
    def train(wrap):
        nncore.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, groups=8), nn.GELU(),
                              nn.ConvTranspose2d(8, 4, 2, 2, activation="tanh"), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
        optimizer = nncore.optim.Adam(model.parameters(), lr=0.01)

        def step(x, y):
            loss = nncore.losses.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss
        step, losses = wrap(step), []
        for i in range(12):
            losses.append(float(step(draw(4, 8, 8, 3, seed=i), np.arange(4) % 5)))
        return losses, [p.numpy().tobytes() for p in model.parameters()]
    assert train(nncore.compile) == train(lambda f: f)
