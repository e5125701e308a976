"""Ladder 1: the judge itself. Value's gradients against central differences, and each reference function against what
can be said about it without gradients: values known exactly, conventions at the points without derivative.
"""
import math
import random

import pytest

from cases import ACTIVATIONS
from nncore.reference import REFERENCE, Value, array, gradients, optim, scalar
from nncore.reference import norm as reference_norm
from nncore.reference import random as reference_random
from nncore.reference.array import broadcast_shape

R = REFERENCE


def numbers(rng, shape, low, high):
    if not shape:
        return rng.uniform(low, high)
    return [numbers(rng, shape[1:], low, high) for _ in range(shape[0])]


def central_difference(f, inputs, which, at, dy, h=1e-5):
    """d (sum of dy * f(inputs)) / d inputs[which].flat[at]; error about h^2 + 1e-16 / h = 1e-10 for f of size 1."""
    def value(step):
        x = array(inputs[which])
        flat = list(x.flat)
        flat[at] += step
        y = array(f(*inputs[:which], type(x)(x.shape, flat), *inputs[which + 1:]))
        return math.fsum(a * b for a, b in zip(y.flat, dy))
    return (value(h) - value(-h)) / (2 * h)


def check_gradients(f, inputs, wanted=(0,), seed=0):
    rng = random.Random(seed)
    shape = array(f(*inputs)).shape
    dy = array(numbers(rng, shape, 0.5, 1.5))
    y, grads = gradients(f, inputs, wanted, dy)
    assert y.shape == shape and y.flat == array(f(*inputs)).flat
    for which, dx in zip(wanted, grads):
        assert dx.shape == array(inputs[which]).shape
        for at, got in enumerate(dx.flat):
            expected = central_difference(f, inputs, which, at, dy.flat)
            assert abs(got - expected) <= 1e-7 * max(1.0, abs(expected)), (which, at, got, expected)


# ---- Value -----------------------------------------------------------------------------------------------------------

SCALAR = {  # functions of scalar.py, and points where they are smooth
    "exp": [-3.0, 0.0, 2.0], "expm1": [-3.0, 1e-3, 2.0], "log": [0.3, 1.0, 7.0], "log1p": [-0.5, 1e-3, 7.0],
    "sqrt": [0.3, 1.0, 7.0], "tanh": [-2.0, 0.0, 0.5], "erf": [-2.0, 0.0, 0.5], "erfc": [-2.0, 0.0, 0.5],
    "abs": [-2.0, 0.5],
}


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_functions(name):
    for x in SCALAR[name]:
        f = getattr(scalar, name)
        v = Value(x)
        f(v).backward()
        difference = (f(x + 1e-5) - f(x - 1e-5)) / 2e-5
        assert abs(v.grad - difference) <= 1e-8 * max(1.0, abs(difference))
        assert f(x) == f(Value(x)).data


@pytest.mark.parametrize("f", [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y, scalar.pow,
    scalar.maximum, scalar.minimum, lambda x, y: 2 + x * 3 - 1 / y, lambda x, y: (5 - x) * (y - 2) / 7 + -x,
])
def test_scalar_functions_of_two(f):
    for x, y in ((1.5, 0.7), (0.3, 2.0), (2.0, -1.0)):
        a, b = Value(x), Value(y)
        f(a, b).backward()
        h = 1e-5
        for got, difference in ((a.grad, f(x + h, y) - f(x - h, y)), (b.grad, f(x, y + h) - f(x, y - h))):
            assert abs(got - difference / (2 * h)) <= 1e-8 * max(1.0, abs(got))


def test_value_used_twice_and_gradients_add_up():
    x = Value(3.0)
    y = x * x
    z = y * x + y
    z.backward()
    assert x.grad == 3 * 9 + 2 * 3
    z.backward()
    assert x.grad == 2 * (3 * 9 + 2 * 3)


def test_value_of_a_long_chain():
    x = y = Value(0.0)
    for _ in range(20000):
        y = y + 1
    y.backward()
    assert y.data == 20000 and x.grad == 1


def test_comparisons_look_at_the_number():
    assert Value(1) < 2 <= Value(2) > Value(1) and Value(1) == 1.0 and Value(1) != Value(2)
    assert float(Value(2)) == 2.0


def test_ieee_where_python_raises():
    inf = math.inf
    assert scalar.exp(1e4) == inf and scalar.expm1(1e4) == inf and scalar.log(0) == -inf
    assert scalar.div(1, 0) == inf and scalar.div(1, -0.0) == -inf
    assert scalar.pow(0, -1) == inf and scalar.pow(-0.0, -1) == -inf and scalar.pow(-10.0, 309) == -inf
    for nan in (scalar.log(-1), scalar.sqrt(-1), scalar.div(0, 0), scalar.pow(-2, 0.5), scalar.maximum(1, math.nan),
                scalar.minimum(math.nan, 1)):
        assert math.isnan(nan)


# ---- every reference function against differences --------------------------------------------------------------------

# Smooth on an interval: name -> (low, high) of inputs; kinks lie outside or are hit with probability 0. Without a line
# here: from 0.2 to 2.
INTERVALS = {
    "neg": (-2, 2), "abs": (0.1, 2), "sqrt": (0.2, 3), "exp": (-2, 2), "log": (0.2, 3), "relu": (0.1, 2),
    "leaky_relu": (-2, -0.1), "elu": (-2, 2), "gelu": (-3, 3), "silu": (-3, 3), "sigmoid": (-4, 4), "tanh": (-2, 2),
    "softplus": (-4, 4), "step": (0.1, 2), "clip": (-2, 2),
    "add": (-2, 2), "sub": (-2, 2), "mul": (-2, 2), "div": (0.5, 2), "pow": (0.5, 2), "maximum": (-2, 2),
    "minimum": (-2, 2), "softmax": (-3, 3), "log_softmax": (-3, 3),
    "sum": (-2, 2), "mean": (-2, 2), "max": (-2, 2), "min": (-2, 2), "var": (-2, 2),
    "mse_loss": (-2, 2), "l1_loss": (-2, 2), "huber_loss": (-2, 2), "smooth_l1_loss": (-2, 2),
    "binary_cross_entropy": (0.1, 0.9), "binary_cross_entropy_with_logits": (-4, 4),
}
TWO = {"add", "sub", "mul", "div", "pow", "maximum", "minimum"}
LOSSES = {"mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy",
          "binary_cross_entropy_with_logits"}
ZERO = {"eq", "ne", "lt", "le", "gt", "ge", "argmax", "argmin"}
ELSEWHERE = {"linear", "matmul", "reshape", "permute", "transpose", "concat", "stack", "pad", "take", "slice", "split",
             "where", "dropout", "dropout1d", "dropout2d", "cross_entropy", "nll_loss",
             "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d",
             *(f"{kind}_pool{d}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for d in (1, 2)),
             "interpolate",
             "batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"}  # in tests of their own below
SMOOTH = sorted(set(REFERENCE) - ELSEWHERE - ZERO)


def test_the_lists_name_references():
    assert set(INTERVALS) <= set(SMOOTH) and ELSEWHERE | ZERO <= set(REFERENCE)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient(name):
    rng = random.Random(name)
    low, high = INTERVALS.get(name, (0.2, 2))
    x = numbers(rng, (2, 3, 4), low, high)
    f = R[name]
    if name in TWO:
        for shape in ((2, 3, 4), (4,), (3, 1), (), (2, 1, 1)):
            check_gradients(f, [x, numbers(rng, shape, low, high)], (0, 1))
    elif name in LOSSES:
        target = numbers(rng, (2, 3, 4), *((0, 1) if name.startswith("binary") else (-2, 2)))
        for reduction in ("mean", "sum", "none"):
            check_gradients(lambda x: f(x, target, reduction=reduction), [x])
    elif name in ("sum", "mean", "max", "min", "var"):
        for axis in (None, 0, 1, -1, (0, 2), (0, 1, 2)):
            check_gradients(lambda x: f(x, axis, keepdims=axis == 1), [x])
    elif name == "clip":
        check_gradients(lambda x: f(x, -1, 1.5), [x])
    elif "softmax" in name:
        for axis in (-1, 0, 1):
            check_gradients(lambda x: f(x, axis), [x])
    else:
        check_gradients(f, [x])


def test_gradient_of_the_activations_of_a_dense_layer():
    rng = random.Random(4)
    x, w, b = (numbers(rng, shape, -1, 1) for shape in ((2, 3, 4), (4, 5), (5,)))
    for activation in (None, *ACTIVATIONS):
        check_gradients(lambda *xwb: R["linear"](*xwb, activation=activation), [x, w, b], (0, 1, 2))
    check_gradients(R["linear"], [x, w], (0, 1))


@pytest.mark.parametrize("shapes", [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)),
                                    ((2, 2, 3), (2, 3, 2)), ((2, 3), (4, 3, 2)), ((2, 1, 1, 3), (3, 3, 2))])
def test_gradient_matmul(shapes):
    rng = random.Random(5)
    check_gradients(R["matmul"], [numbers(rng, s, -1, 1) for s in shapes], (0, 1))


@pytest.mark.parametrize("name, f", {
    "reshape": lambda x: R["reshape"](x, (4, -1)), "permute": lambda x: R["permute"](x, (2, 0, 1)),
    "transpose": lambda x: R["transpose"](x, 0, 2), "concat": lambda x: R["concat"]([x, x], 1),
    "stack": lambda x: R["stack"]([x, x], -1), "pad": lambda x: R["pad"](x, [(1, 0), (0, 0), (2, 1)], value=7.0),
    "pad reflect": lambda x: R["pad"](x, [(1, 0), (0, 2), (3, 1)], "reflect"),
    "pad circular": lambda x: R["pad"](x, [(1, 0), (0, 2), (3, 1)], "circular"),
    "pad replicate": lambda x: R["pad"](x, [(1, 0), (0, 2), (3, 1)], "replicate"),
    "take": lambda x: R["take"](x, [[0, 2], [-1, 2]], 1),
    "slice": lambda x: R["slice"](x, (slice(None), -1, slice(None, None, -2))),
    "split": lambda x: R["concat"](R["split"](x, 2, 1)[::-1], 1),
    "where": lambda x: R["where"]([[True], [False], [True]], x, R["mul"](x, x)),
    "dropout": lambda x: R["dropout"](x, 0.25, numbers(random.Random(1), (2, 3, 4), 0, 1)),
    "dropout1d": lambda x: R["dropout1d"](x, 0.25, [[[0.0, 1.0, 0.0, 1.0]], [[1.0, 0.0, 1.0, 1.0]]]),
    "max_pool1d": lambda x: R["max_pool1d"](x, 2, 1, 1, ceil_mode=True),
    "avg_pool1d": lambda x: R["avg_pool1d"](x, 2, 1, 1, count_include_pad=False),
    "adaptive_max_pool1d": lambda x: R["adaptive_max_pool1d"](x, 2),
    "adaptive_avg_pool1d": lambda x: R["adaptive_avg_pool1d"](x, 2),
    "nearest": lambda x: R["interpolate"](x, 5), "linear": lambda x: R["interpolate"](x, scale_factor=1.5,
                                                                                      mode="linear"),
    "corners": lambda x: R["interpolate"](x, 7, mode="linear", align_corners=True),
}.items())
def test_gradient_moves(name, f):
    check_gradients(f, [numbers(random.Random(name), (2, 3, 4), -2, 2)])


@pytest.mark.parametrize("name, f", {
    "dropout2d": lambda x: R["dropout2d"](x, 0.5, [[[[0.0, 1.0]]], [[[1.0, 1.0]]]]),
    "max_pool2d": lambda x: R["max_pool2d"](x, (2, 3), (1, 2), (0, 1), (2, 1)),
    "avg_pool2d": lambda x: R["avg_pool2d"](x, 2, padding=1, ceil_mode=True),
    "adaptive_max_pool2d": lambda x: R["adaptive_max_pool2d"](x, (2, None)),
    "adaptive_avg_pool2d": lambda x: R["adaptive_avg_pool2d"](x, (2, 3)),
    "nearest": lambda x: R["interpolate"](x, scale_factor=1.7), "bilinear": lambda x: R["interpolate"](x, (5, 2),
                                                                                                       mode="bilinear"),
    "corners": lambda x: R["interpolate"](x, (5, 9), mode="bilinear", align_corners=True),
}.items())
def test_gradient_of_images(name, f):
    check_gradients(f, [numbers(random.Random(name), (2, 3, 4, 2), -2, 2)])


def test_gradient_of_normalisation():
    rng = random.Random(7)
    x, w, b = (numbers(rng, shape, -2, 2) for shape in ((3, 2, 4), (4,), (4,)))
    mean, var = numbers(rng, (4,), -1, 1), numbers(rng, (4,), 0.5, 2)
    for training in (True, False):
        check_gradients(lambda x, w, b, r: R["batch_norm"](x, mean, var, w, b, training, 0.1, "tanh", r),
                        [x, w, b, numbers(rng, (3, 2, 4), -2, 2)], (0, 1, 2, 3))
        check_gradients(lambda x, w, b: R["instance_norm"](x, mean, var, w, b, training, 0.1), [x, w, b], (0, 1, 2))
    for groups in (1, 2, 4):
        check_gradients(lambda x, w, b: R["group_norm"](x, groups, w, b, 0.1), [x, w, b], (0, 1, 2))
    check_gradients(lambda x, w, b: R["layer_norm"](x, 4, w, b, 0.1), [x, w, b], (0, 1, 2))
    check_gradients(lambda x: R["layer_norm"](x, (2, 4), None, None, 0.1), [x])
    check_gradients(lambda x, w: R["rms_norm"](x, 4, w), [x, w], (0, 1))
    check_gradients(lambda x: R["rms_norm"](x, (3, 2, 4)), [x])


def test_normalisation_by_hand():
    assert R["batch_norm"]([[1.0, 5.0], [3.0, 9.0]], None, None, [2.0, 1.0], [0.5, 0.0], eps=0.0).tolist() == \
        [[-1.5, -1.0], [2.5, 1.0]]
    assert R["batch_norm"]([[1.0, 5.0]], [0.0, 1.0], [4.0, 16.0], eps=0.0).tolist() == [[0.5, 1.0]]
    assert R["layer_norm"]([[1.0, 3.0], [5.0, 9.0]], 2, eps=0.0).tolist() == [[-1, 1], [-1, 1]]
    assert R["rms_norm"]([[3.0, 3.0], [-2.0, 2.0]], 2, eps=0.0).tolist() == [[1, 1], [-1, 1]]
    x = [[[1.0, 2.0], [3.0, 6.0]]]
    assert R["instance_norm"](x, eps=0.0).tolist() == [[[-1, -1], [1, 1]]]
    assert R["group_norm"]([[[1.0, 1.0], [3.0, 3.0]]], 1, eps=0.0).tolist() == [[[-1, -1], [1, 1]]]
    assert reference_norm.running([[1.0], [3.0]], [1.0], [4.0], 0.5) == ([1.5], [3.0])


@pytest.mark.parametrize("name, settings, w", [
    ("conv2d", {"padding": 1, "stride": (1, 2), "activation": "tanh"}, (2, 3, 2, 2)),
    ("conv2d", {"groups": 2, "dilation": 2}, (2, 2, 1, 2)),
    ("conv_transpose2d", {"stride": 2, "padding": 1, "output_padding": 1}, (3, 2, 1, 2)),
    ("conv_transpose2d", {"groups": 2, "activation": "tanh"}, (2, 2, 1, 2)),
])
def test_gradient_of_convolutions(name, settings, w):
    rng = random.Random(name)
    x, weight = numbers(rng, (2, 3, 4, 2), -1, 1), numbers(rng, w, -1, 1)
    bias = numbers(rng, (w[-1] if name == "conv2d" else w[-2] * settings.get("groups", 1),), -1, 1)
    check_gradients(lambda *xwb: R[name](*xwb, **settings), [x, weight, bias], (0, 1, 2))


def test_convolutions_by_hand():
    assert R["conv1d"]([[[1.0], [2.0], [4.0]]], [[[1.0]], [[10.0]]], [0.5]).tolist() == [[[21.5], [42.5]]]
    assert R["conv1d"]([[[1.0], [2.0], [4.0]]], [[[1.0]], [[10.0]]], padding=1, stride=2).tolist() == [[[10], [42]]]
    assert R["conv_transpose1d"]([[[1.0], [2.0]]], [[[1.0]], [[10.0]]], stride=2).tolist() == [[[1], [10], [2], [20]]]
    assert R["conv2d"]([[[[1.0, 2.0], [3.0, 4.0]]]], [[[[1.0, 1.0]], [[10.0, 1.0]]]],
                       groups=2).tolist() == [[[[31, 6]]]]


@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradient_cross_entropy(weight, smoothing, reduction):
    x = numbers(random.Random(6), (2, 2, 3), -2, 2)
    labels, p = [[0, 2], [-100, 1]], [[[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], [[0.1, 0.8, 0.1], [0.0, 0.5, 0.5]]]
    for target in (labels, p):
        check_gradients(lambda x: R["cross_entropy"](x, target, weight, reduction=reduction, label_smoothing=smoothing),
                        [x])
    check_gradients(lambda x: R["nll_loss"](x, labels, weight, reduction=reduction), [x])


# ---- points without derivative ---------------------------------------------------------------------------------------

def derivative(name, *x, wanted=0, **attributes):
    _, grads = gradients(lambda *a: R[name](*a, **attributes), list(x), [wanted])
    return grads[0].tolist()


def test_conventions_at_the_kinks():
    assert derivative("relu", [0.0, -0.0]) == [0, 0]
    assert derivative("abs", 0.0) == 0 and derivative("l1_loss", 0.0, 0.0) == 0
    assert derivative("leaky_relu", 0.0) == 0.01 and derivative("elu", 0.0, alpha=0.5) == 0.5
    assert derivative("clip", [-1.0, 1.0, -1.1, 1.1, 0.0], min=-1.0, max=1.0) == [1, 1, 0, 0, 1]
    assert derivative("step", [0.0, 1.0, -1.0]) == [0, 0, 0] and R["step"]([0.0, -0.0, -1e-30]).tolist() == [1, 1, 0]
    for name in ("maximum", "minimum"):
        assert derivative(name, 2.0, 2.0) == 0.5 and derivative(name, 2.0, 2.0, wanted=1) == 0.5
    assert derivative("max", [1.0, 3.0, 3.0, 2.0, 3.0]) == [0, 1 / 3, 1 / 3, 0, 1 / 3]
    assert derivative("min", [[1.0, 1.0], [0.0, 1.0]], axis=1) == [[0.5, 0.5], [1, 0]]
    assert derivative("pow", 0.0, 2.0, wanted=1) == 0 and derivative("pow", 0.0, 0.0) == 0
    assert derivative("sqrt", 0.0) == math.inf
    assert derivative("huber_loss", [1.0, 3.0, -3.0], [0.0] * 3, reduction="sum") == [1, 1, -1]


def test_nan_in_nan_out():
    for name in INTERVALS:
        if name in LOSSES:
            y = R[name]([math.nan, 0.5], [0.5, 0.5], reduction="none").flat[:1]
        elif name in TWO:
            y = R[name]([math.nan, 2.0], [1.0, math.nan]).flat  # but 1 ** NaN is 1, as in C
        else:
            y = R[name]([math.nan, 1.0]).flat[:1]
        assert all(map(math.isnan, y)), name
    assert R["argmax"]([1.0, math.nan, 9.0, math.nan]).tolist() == 1 == R["argmin"]([1.0, math.nan, 0.0]).tolist()


# ---- values ----------------------------------------------------------------------------------------------------------

def test_values_known_exactly():
    assert R["sum"]([[1.0, 2.0], [3.0, 4.0]], 0).tolist() == [4, 6]
    assert R["mean"]([[1.0, 2.0], [3.0, 4.0]], (0, 1), keepdims=True).tolist() == [[2.5]]
    assert R["var"]([1.0, 2.0, 3.0, 4.0]).tolist() == 5 / 3 and R["var"]([1.0, 3.0], correction=0).tolist() == 1
    assert R["argmax"]([[1.0, 5.0], [7.0, 5.0]], 0).tolist() == [1, 0]
    assert R["argmax"]([[1.0, 5.0], [7.0, 7.0]]).tolist() == 2
    assert R["argmin"]([[2.0, 1.0, 1.0]], -1, keepdims=True).tolist() == [[1]]
    assert R["matmul"]([[1, 2], [3, 4]], [[5, 6], [7, 8]]).tolist() == [[19, 22], [43, 50]]
    assert R["permute"]([[[1, 2, 3]], [[4, 5, 6]]], (2, 0, 1)).tolist() == [[[1], [4]], [[2], [5]], [[3], [6]]]
    assert R["concat"]([[[1], [2]], [[3], [4]]], 1).tolist() == [[1, 3], [2, 4]]
    assert R["stack"]([[1, 2], [3, 4]], 1).tolist() == [[1, 3], [2, 4]]
    assert [p.tolist() for p in R["split"]([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert [p.tolist() for p in R["split"]([1, 2, 3], [1, 0, 2])] == [[1], [], [2, 3]]
    assert R["pad"]([[1]], [(0, 1), (1, 0)], value=9).tolist() == [[9, 1], [9, 9]]
    assert R["take"]([10, 20, 30], [[0, -1], [1, 1]]).tolist() == [[10, 30], [20, 20]]
    assert R["slice"]([[1, 2, 3], [4, 5, 6]], (..., slice(None, None, -2))).tolist() == [[3, 1], [6, 4]]
    assert R["slice"]([1, 2, 3], (None, 1)).tolist() == [2] and R["slice"]([1, 2, 3], -1).tolist() == 3
    assert R["where"]([1, 0], [[1.0], [2.0]], 7.0).tolist() == [[1, 7], [2, 7]]
    assert R["cross_entropy"]([[0.0, 0.0]], [1]).tolist() == math.log(2)
    assert R["softmax"]([1e4, -1e4, 1e4]).tolist() == [0.5, 0, 0.5]
    assert R["binary_cross_entropy"]([0.0, 1.0], [1.0, 1.0], reduction="none").tolist() == [100, 0]
    assert R["gelu"]([-40.0]).tolist()[0] == -0.0 and abs(R["gelu"](-5.0).tolist() + 1.4332580e-6) < 1e-12


def test_empty_arrays():
    empty = array([[], []])
    assert empty.shape == (2, 0) and array([]).shape == (0,) and array(3.0).shape == ()
    assert R["sum"](empty, 1).tolist() == [0, 0] and R["sum"](empty, 0).shape == (0,)
    assert math.isnan(R["mean"](empty).tolist())
    assert R["matmul"](empty, type(empty)((0, 3), [])).tolist() == [[0.0] * 3] * 2
    assert R["softmax"](empty).shape == (2, 0)
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ValueError):
            R[name](empty)
    assert math.isnan(R["cross_entropy"]([[0.0, 1.0]], [-100]).tolist())


def test_broadcasting():
    assert broadcast_shape((3, 1), (4,), ()) == (3, 4) and broadcast_shape((0, 1), (1, 5)) == (0, 5)
    with pytest.raises(ValueError):
        broadcast_shape((2,), (3,))


def test_random_numbers_of_the_published_test_vectors():
    """From the authors' Random123 distribution."""
    full = 0xFFFFFFFF
    for counter, key, expected in (
            ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
            ((full,) * 4, (full,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
            ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
             "d16cfe09 94fdcceb 5001e420 24126ea1")):
        assert " ".join(f"{w:08x}" for w in reference_random.philox(counter, key)) == expected
    x = reference_random.normal(4000, 1, 2)
    mean = sum(x) / len(x)
    assert abs(mean) < 0.08 and abs(sum((a - mean) ** 2 for a in x) / len(x) - 1) < 0.12
    assert abs(sum(reference_random.kept(4000, 0.3, 1, 2)) / 4000 - 0.7) < 0.04


def test_two_steps_of_each_optimizer_by_hand():
    def after(name, *gradients, **options):
        w = [1.0]
        o = getattr(optim, name)(1, **options)
        for g in gradients:
            o.step(w, [g])
        return w[0]
    assert after("SGD", 1.0, 2.0, lr=0.5) == 1 - 0.5 - 1
    assert after("SGD", 1.0, 2.0, lr=0.5, momentum=0.5) == 1 - 0.5 - 0.5 * (0.5 + 2)
    assert after("SGD", 1.0, lr=0.5, momentum=0.5, nesterov=True) == 1 - 0.5 * 1.5
    assert after("SGD", 0.0, lr=0.5, weight_decay=0.5) == 0.75
    assert after("Adam", 3.0, lr=0.5, eps=0.0) == 0.5  # the first step is lr in the direction of the sign
    assert after("AdamW", 3.0, lr=0.5, eps=0.0, weight_decay=0.5) == 0.75 - 0.5
    assert after("RMSprop", 3.0, lr=0.5, alpha=0.75, eps=0.0) == 0.0  # 3 / sqrt(9 / 4)
    assert after("Adagrad", 3.0, 4.0, lr=0.5, eps=0.0) == 1 - 0.5 - 0.5 * 4 / 5
    assert after("Adadelta", 3.0, lr=0.5, rho=0.75, eps=0.75) == 0.25  # 3 sqrt(3/4 / (9/4 + 3/4)) = 3/2
    assert optim.clip_grad_norm([3.0, 4.0], 1.0)[0] == 5 and optim.clip_grad_value([3.0, -4.0], 2) == [2, -2]
