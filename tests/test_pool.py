"""Pooling, upsampling, padding and dropout of channels beyond the cases of tests/cases: conventions, large maps, wrong
use, memory, compiled steps, layers.
"""
import gc

import numpy as np
import pytest

import nncore
from nncore import _core, losses, nn, ops
from steps import bits

NAN = float("nan")


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape, dtype="f4")


def leaf(a):
    return nncore.tensor(np.asarray(a, "f4"), requires_grad=True)


def column(*values):
    """A sequence [1, t, 1]."""
    return leaf(np.array(values, "f4").reshape(1, -1, 1))


def gradient(f, x, dy=None):
    y = f(x)
    y.backward(nncore.ones(*y.shape) if dy is None else nncore.tensor(dy))
    return x.grad.numpy().reshape(-1).tolist()


# ---- conventions, as PyTorch has them --------------------------------------------------------------------------------

def test_the_first_of_equal_elements_gets_the_gradient(isa):
    assert gradient(lambda x: ops.max_pool1d(x, 3), column(1, 2, 2)) == [0, 1, 0]
    x = leaf(np.array([[0, 5], [5, 5]]).reshape(1, 2, 2, 1))
    assert gradient(lambda x: ops.max_pool2d(x, 2), x) == [0, 1, 0, 0]
    assert gradient(lambda x: ops.max_pool1d(x, 2), column(-np.inf, -np.inf)) == [1, 0]


@pytest.mark.parametrize("c", [1, 5, 16, 37])
def test_nan_wins_wherever_it_stands(isa, c):
    for place in range(9):
        x = draw(1, 3, 3, c)
        x.reshape(9, c)[place, c // 2] = NAN
        t = leaf(x)
        y = ops.max_pool2d(t, 3)
        y.backward(nncore.ones(*y.shape))
        others = np.arange(c) != c // 2
        assert np.isnan(y.numpy()[..., c // 2]).all() and np.isfinite(y.numpy()[..., others]).all()
        assert t.grad.numpy().reshape(9, c)[:, c // 2].tolist() == [float(i == place) for i in range(9)]
    assert gradient(lambda x: ops.max_pool1d(x, 3), column(NAN, NAN, np.inf)) == [0, 1, 0]  # the last of several


def test_padding_is_never_the_largest_and_counts_in_a_mean(isa):
    assert ops.max_pool1d(column(-3, -1), 2, 2, 1).tolist() == [[[-3], [-1]]]
    assert ops.avg_pool1d(column(4, 2), 2, 2, 1).tolist() == [[[2], [1]]]
    assert ops.avg_pool1d(column(4, 2), 2, 2, 1, count_include_pad=False).tolist() == [[[4], [2]]]
    # the window that ceil_mode adds counts what lies in the padding, not what lies behind it
    assert ops.avg_pool1d(column(4, 2, 6), 2, ceil_mode=True).tolist() == [[[3], [6]]]
    assert ops.avg_pool2d(leaf(np.ones((1, 2, 2, 1))), 2, divisor_override=8).tolist() == [[[[0.5]]]]
    assert ops.max_pool1d(column(1), 2, 1, 1, dilation=2).tolist() == [[[-np.inf]]]  # a window between all positions


def test_a_mean_of_equal_numbers_is_that_number(isa):
    for k in range(1, 12):
        assert (ops.avg_pool2d(nncore.ones(1, 11, 11, 3), (k, 11)).numpy() == 1).all()
        assert (ops.adaptive_avg_pool2d(nncore.full((1, k, 11, 3), 7), 1).numpy() == 7).all()


def test_shares_overlap_where_sizes_do_not_divide(isa):
    x = column(1, 2, 3, 4, 5)
    assert ops.adaptive_avg_pool1d(x, 3).tolist() == [[[1.5], [3], [4.5]]]
    assert ops.adaptive_max_pool1d(x, 2).tolist() == [[[3], [5]]]
    assert ops.adaptive_avg_pool1d(x, 7).tolist() == [[[1], [1.5], [2.5], [3], [3.5], [4.5], [5]]]
    assert ops.adaptive_avg_pool2d(nncore.ones(2, 3, 4, 5), (None, 2)).shape == (2, 3, 2, 5)


def test_interpolation(isa):
    x = column(0, 10)
    assert ops.interpolate(x, 4).tolist() == [[[0], [0], [10], [10]]]
    assert ops.interpolate(x, 4, mode="linear").tolist() == [[[0], [2.5], [7.5], [10]]]
    assert ops.interpolate(x, 5, mode="linear", align_corners=True).tolist() == [[[0], [2.5], [5], [7.5], [10]]]
    assert ops.interpolate(column(1, 2, 3), scale_factor=1.5).tolist() == [[[1], [1], [2], [3]]]
    assert gradient(lambda x: ops.interpolate(x, 4, mode="linear"), column(0, 10), [[[1], [2], [4], [8]]]) == [3.5,
                                                                                                               11.5]


def test_an_axis_that_keeps_its_size_is_copied_as_pytorch_does(isa):
    """The values are PyTorch 2.13's, printed: not what the formula alone gives."""
    x = column(0, 1)
    assert ops.interpolate(x, scale_factor=1.2, mode="linear").tolist() == [[[0], [1]]]
    assert ops.interpolate(x, scale_factor=1.2).tolist() == [[[0], [0]]]  # the exception
    image = leaf(np.array([0, 1]).reshape(1, 1, 2, 1))
    for mode in ("nearest", "bilinear"):
        assert ops.interpolate(image, scale_factor=1.2, mode=mode).tolist() == [[[[0], [1]]]]


def test_what_does_not_take_part_does_not_spread(isa):
    """A neighbour with weight 0 is not read: infinity and NaN stay where they belong."""
    y = ops.interpolate(column(1, np.inf, 3), 5, mode="linear", align_corners=True)
    assert y.numpy().reshape(-1)[[0, 4]].tolist() == [1, 3]


def test_padding_modes(isa):
    x = nncore.tensor([1.0, 2.0, 3.0])
    assert ops.pad(x, (2, 1), "reflect").tolist() == [3, 2, 1, 2, 3, 2]
    assert ops.pad(x, (2, 1), "replicate").tolist() == ops.pad(x, (2, 1), "edge").tolist() == [1, 1, 1, 2, 3, 3]
    assert ops.pad(x, (2, 1), "circular").tolist() == ops.pad(x, (2, 1), "wrap").tolist() == [2, 3, 1, 2, 3, 1]
    assert ops.pad(x, (1, 0), value=7.0).tolist() == [7, 1, 2, 3]
    a = draw(2, 4, 5, 3)
    widths = ((0, 0), (3, 2), (1, 4), (0, 0))
    for mode, of_numpy in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        assert (ops.pad(nncore.tensor(a), widths, mode).numpy() == np.pad(a, widths, of_numpy)).all()
        image = (a * 50).astype("u1")
        assert (ops.pad(nncore.tensor(image), widths, mode).numpy() == np.pad(image, widths, of_numpy)).all()


# ---- large maps: many tasks, by NumPy --------------------------------------------------------------------------------

@pytest.mark.parametrize("shape, k, s, p", [((9, 28, 28, 32), 2, 2, 0), ((3, 57, 56, 17), 3, 2, 1),
                                            ((2, 40, 41, 48), 3, 1, 1),
                                            ((70, 8, 8, 64), 2, 2, 0), ((2, 300, 211, 3), 2, 2, 0)])
def test_large_maps(isa, shape, k, s, p):
    x = draw(*shape)
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), (1, 2))[:, ::s, ::s].reshape(
        shape[0], (shape[1] + 2 * p - k) // s + 1, -1, shape[3], k * k)
    t = leaf(x)
    y = ops.max_pool2d(t, k, s, p)
    assert (y.numpy() == windows.max(-1)).all()
    dy = draw(*y.shape, seed=1)
    y.backward(nncore.tensor(dy))
    expected = np.zeros(padded.shape)
    best = windows.argmax(-1)
    b, i, j, c = np.indices(best.shape)
    np.add.at(expected, (b, i * s + best // k, j * s + best % k, c), dy)
    expected = expected[:, p:p + shape[1], p:p + shape[2]]
    assert np.abs(t.grad.numpy() - expected).max() < 1e-5
    mean = ops.avg_pool2d(t, k, s, p)
    assert np.abs(mean.numpy() - np.where(np.isinf(windows), 0, windows).sum(-1) / k**2).max() < 1e-6
    t.grad = None
    mean.backward(nncore.tensor(dy))
    # the gradient of a linear map is its transpose: dy . (A x) = (A^T dy) . x
    assert np.isclose((dy * mean.numpy().astype("f8")).sum(), (t.grad.numpy().astype("f8") * x).sum(), rtol=1e-4,
                      atol=1e-2)


def test_instruction_sets_agree_to_the_bit(isa):
    """Selections, and sums in one order without an FMA in them: weights of windows are 1."""
    x = nncore.tensor(draw(3, 37, 29, 21))
    names = {"max": lambda: ops.max_pool2d(x, 3, 2, 1), "avg": lambda: ops.avg_pool2d(x, 3, 2, 1),
             "nearest": lambda: ops.interpolate(x, (50, 31)), "reflect": lambda: ops.pad(x, (0, 0, 2, 3, 4, 5),
                                                                                         "reflect")}
    got = {name: f().numpy().tobytes() for name, f in names.items()}
    _core.isa_select("baseline")
    assert got == {name: f().numpy().tobytes() for name, f in names.items()}


def test_any_number_of_leading_axes():
    x = draw(2, 3, 6, 5, 4)
    flat = ops.max_pool2d(nncore.tensor(x.reshape(6, 6, 5, 4)), 2).numpy()
    assert (ops.max_pool2d(nncore.tensor(x), 2).numpy() == flat.reshape(2, 3, 3, 2, 4)).all()
    assert (ops.avg_pool2d(nncore.tensor(x[0, 0]), 2).numpy() == ops.avg_pool2d(nncore.tensor(x), 2).numpy()[0,
                                                                                                             0]).all()
    t = leaf(x)
    y = ops.avg_pool1d(t, 2)
    assert y.shape == (2, 3, 6, 2, 4)
    y.backward(nncore.ones(*y.shape))
    assert t.grad.shape == x.shape and (t.grad.numpy()[..., :4, :] == 0.5).all() and (t.grad.numpy()[..., 4,
                                                                                                     :] == 0).all()


# ---- wrong use -------------------------------------------------------------------------------------------------------

def zeros(*shape):
    return nncore.zeros(*shape)


@pytest.mark.parametrize("call, words", [
    (lambda: ops.max_pool2d(zeros(4, 4), 2), "max_pool2d.*height.*(4, 4)"),
    (lambda: ops.max_pool1d(zeros(4), 2), "max_pool1d.*time.*(4,)"),
    (lambda: ops.max_pool2d(zeros(1, 0, 4, 2), 1), "max_pool2d.*no positions"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 4), r"max_pool2d.*\(4, 4\).*\(1, 3, 4, 2\)"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2, dilation=3), "max_pool2d.*does not fit"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 0), "kernel_size"), (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2, 0),
                                                                    "stride"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2, padding=2), "padding.*half"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2, padding=-1), "padding"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), (2, 2, 2)), "kernel_size"),
    (lambda: ops.max_pool1d(zeros(1, 3, 4), (2, 2)), "max_pool1d: kernel_size"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2, dilation=0), "dilation"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2**31), "kernel_size"),
    (lambda: ops.max_pool2d(zeros(1, 3, 4, 2), 2**16, padding=2**15), "window"),
    (lambda: ops.avg_pool2d(zeros(1, 3, 4, 2), 2, divisor_override=0), "divisor_override"),
    (lambda: ops.avg_pool2d(zeros(1, 3, 4, 2), 2, divisor_override=2**31), "divisor_override"),
    (lambda: ops.avg_pool1d(zeros(1, 3, 4), 4), "avg_pool1d.*does not fit"),
    (lambda: ops.adaptive_avg_pool2d(zeros(1, 3, 4, 2), 0), "adaptive_avg_pool2d.*output_size"),
    (lambda: ops.adaptive_max_pool2d(zeros(1, 3, 4, 2), (1, 2, 3)), "adaptive_max_pool2d.*output_size"),
    (lambda: ops.adaptive_max_pool1d(zeros(3), 1), "adaptive_max_pool1d"),
    (lambda: ops.interpolate(zeros(1, 3, 4, 2), 5, mode="linear"), r"interpolate.*linear.*3 axes.*\(1, 3, 4, 2\)"),
    (lambda: ops.interpolate(zeros(1, 3, 4), 5, mode="bilinear"), "bilinear"),
    (lambda: ops.interpolate(zeros(3, 4), 5), r"3 axes or 4 axes.*\(3, 4\)"),
    (lambda: ops.interpolate(zeros(1, 3, 4), 5, mode="bicubic"), "bicubic"),
    (lambda: ops.interpolate(zeros(1, 3, 4)), "size"),
    (lambda: ops.interpolate(zeros(1, 3, 4), 5, 2.0), "size"), (lambda: ops.interpolate(zeros(1, 3, 4), 0), "size"),
    (lambda: ops.interpolate(zeros(1, 3, 4), scale_factor=0.1), "scale_factor"),
    (lambda: ops.interpolate(zeros(1, 3, 4), scale_factor=NAN), "scale_factor"),
    (lambda: ops.interpolate(zeros(1, 3, 4), scale_factor=-1), "scale_factor"),
    (lambda: ops.interpolate(zeros(1, 3, 4), scale_factor=1e30), "scale_factor"),
    (lambda: ops.interpolate(zeros(1, 3, 4), scale_factor=(2, 2)), "scale_factor"),
    (lambda: ops.interpolate(zeros(1, 3, 4), 5, align_corners=True), "align_corners"),
    (lambda: ops.interpolate(zeros(1, 0, 4), 5), "no positions"),
    (lambda: ops.dropout2d(zeros(3, 4)), "dropout2d"), (lambda: ops.dropout1d(zeros(3)), "dropout1d"),
    (lambda: ops.dropout2d(zeros(1, 3, 4, 2), 1.5), "dropout2d.*1.5"),
    (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d.*padding"), (lambda: nn.AvgPool1d(0), "AvgPool1d.*kernel_size"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d"), (lambda: nn.AdaptiveAvgPool2d((1, 1, 1)),
                                                                 "AdaptiveAvgPool2d"),
    (lambda: nn.Upsample(), "Upsample"), (lambda: nn.Upsample(3, mode="cubic"), "Upsample.*cubic"),
    (lambda: nn.Upsample(3, align_corners=False), "Upsample.*align_corners"),
    (lambda: nn.ReflectionPad2d((1, 2)), "ReflectionPad2d"),
    (lambda: nn.ReflectionPad2d(3)(zeros(1, 3, 4, 2)), "reflect.*(1, 3, 4, 2)"),
    (lambda: nn.ZeroPad2d(-1), "ZeroPad2d"),
    (lambda: nn.CircularPad1d(1)(zeros(3)), "CircularPad1d"), (lambda: nn.Dropout2d(2.0), "Dropout"),
])
def test_settings_that_make_no_sense(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("call", [
    lambda x: ops.max_pool2d(x, 2.0), lambda x: ops.max_pool2d(x, None), lambda x: ops.max_pool2d(x, "2"),
    lambda x: ops.max_pool2d(x, 2, stride=(1, 1.5)), lambda x: ops.avg_pool2d(x, 2, divisor_override=1.5),
    lambda x: ops.adaptive_avg_pool2d(x, 1.5), lambda x: ops.interpolate(x, 2.5),
    lambda x: ops.interpolate(x, scale_factor="2"),
    lambda x: nn.AdaptiveMaxPool2d("1"), lambda x: nn.MaxPool2d(None), lambda x: nn.ZeroPad2d(0.5),
    lambda x: ops.max_pool2d(None, 2), lambda x: ops.max_pool2d("x", 2)])
def test_types_that_make_no_sense(call):
    with pytest.raises((TypeError, ValueError)) as error:
        call(zeros(1, 4, 4, 2))
    assert str(error.value)


def test_outputs_beyond_memory():
    for call in (lambda: ops.interpolate(zeros(1, 1, 1), 2**31 - 1), lambda: ops.adaptive_avg_pool2d(zeros(9, 1, 1, 1),
                                                                                                     2**31 - 1)):
        _core.memory_fail_after(1)
        with pytest.raises(MemoryError):
            call()
        _core.memory_fail_after(-1)


# ---- memory ----------------------------------------------------------------------------------------------------------

def network():
    return nn.Sequential(nn.ReflectionPad2d(1), nn.Linear(3, 20), nn.MaxPool2d(3, 2, 1), nn.Dropout2d(0.3),
                         nn.Upsample(scale_factor=2),
                         nn.AvgPool2d(3, 1, 1), nn.Upsample((7, 5), mode="bilinear"), nn.AdaptiveMaxPool2d((3, 2)),
                         nn.ZeroPad2d(1),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 4))


def step_of(model):
    optimizer = nncore.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = losses.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    return step


def test_each_allocation_fails_in_turn():
    nncore.manual_seed(1)
    step, x, y = step_of(network()), nncore.tensor(draw(4, 9, 10, 3)), nncore.tensor([0, 1, 2, 3])
    step(x, y)
    gc.collect()
    live = _core.memory_stats()["live"]
    for n in range(500):
        _core.memory_fail_after(n)
        try:
            step(x, y)
            break
        except MemoryError as error:
            assert str(error)
            del error
        finally:
            _core.memory_fail_after(-1)
        for p in step.__closure__[0].cell_contents.parameters():
            p.grad = None
        assert _core.memory_stats()["live"] == live, f"allocation {n}: something is left behind"
    assert 50 < n < 499


def test_a_byte_for_every_maximum_is_kept():
    """What backward needs of a max pooling is no copy of x."""
    x = leaf(draw(8, 32, 32, 16))
    before = _core.memory_stats()["live"]
    y = ops.max_pool2d(x, 2)
    kept = _core.memory_stats()["live"] - before - y.size * 4
    assert kept <= y.size + 4096


# ---- compiled steps --------------------------------------------------------------------------------------------------

def test_a_compiled_step_is_the_eager_one():
    results = []
    for wrap in (lambda f: f, nncore.compile):
        nncore.manual_seed(3)
        model = network()
        step = wrap(step_of(model))
        nncore.manual_seed(4)
        found = [step(draw(6, 9, 10, 3, seed=i), np.arange(6) % 4) for i in range(8)]
        results.append(bits(*found) + bits(*model.parameters()))
        assert len(set(bits(*found))) == 8
    assert results[0] == results[1] and len(step.programs) == 1


def test_channels_are_dropped_anew_in_each_replay():
    step = nncore.compile(lambda x: ops.dropout2d(x, 0.5, True))
    x = nncore.ones(2, 3, 3, 20)
    nncore.manual_seed(3)
    found = [step(x) for _ in range(6)]
    nncore.manual_seed(3)
    assert bits(*found) == bits(*[ops.dropout2d(x, 0.5, True) for _ in range(6)])
    assert len(set(bits(*found))) == 6


# ---- dropout of channels ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f, shape", [(ops.dropout1d, (50, 7, 40)), (ops.dropout2d, (50, 3, 5, 40)),
                                      (ops.dropout2d, (3, 5, 2000))])
def test_whole_channels_are_dropped(isa, f, shape):
    nncore.manual_seed(2)
    x = leaf(np.abs(draw(*shape)) + 1)
    y = f(x, 0.25)
    y.backward(nncore.full(shape, 3.0))
    axes = tuple(range(len(shape)))[-3 if f is ops.dropout2d else -2:-1]
    kept = (y.numpy() != 0).all(axes, keepdims=True)
    assert ((y.numpy() != 0) == kept).all()
    assert (y.numpy() == np.where(kept, x.numpy() * np.float32(1 / 0.75), 0)).all()
    assert (x.grad.numpy() == np.where(kept, np.float32(3) * np.float32(1 / 0.75), 0)).all()
    assert abs(kept.mean() - 0.75) < 5 * (0.25 * 0.75 / kept.size) ** 0.5
    assert f(x, 0.25, False) is x and f(x, 0.0) is x and (f(x, 1.0).numpy() == 0).all()


# ---- layers ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("layer, x, shape", [
    (nn.MaxPool1d(2), (2, 7, 3), (2, 3, 3)), (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 8, 9, 3), (2, 5, 5, 3)),
    (nn.MaxPool2d((2, 1), dilation=2), (2, 7, 9, 3), (2, 3, 9, 3)), (nn.AvgPool1d(2, 1), (2, 7, 3), (2, 6, 3)),
    (nn.AvgPool2d(3, 2, 1, True, False, 5), (2, 8, 9, 3), (2, 5, 5, 3)),
    (nn.AdaptiveMaxPool1d(2), (2, 7, 3), (2, 2, 3)),
    (nn.AdaptiveMaxPool2d((2, None)), (2, 7, 4, 3), (2, 2, 4, 3)), (nn.AdaptiveAvgPool1d(4), (2, 7, 3), (2, 4, 3)),
    (nn.AdaptiveAvgPool2d(1), (2, 7, 4, 3), (2, 1, 1, 3)), (nn.Upsample(5), (2, 7, 3), (2, 5, 3)),
    (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), (2, 3, 4, 5), (2, 6, 8, 5)),
    (nn.ZeroPad2d((1, 2, 3, 4)), (2, 5, 6, 3), (2, 12, 9, 3)), (nn.ReflectionPad1d((1, 2)), (2, 5, 3), (2, 8, 3)),
    (nn.ReflectionPad2d(1), (2, 5, 6, 3), (2, 7, 8, 3)), (nn.ReplicationPad1d(3), (2, 5, 3), (2, 11, 3)),
    (nn.ReplicationPad2d((0, 0, 0, 7)), (2, 5, 6, 3), (2, 12, 6, 3)), (nn.CircularPad1d(2), (2, 5, 3), (2, 9, 3)),
    (nn.CircularPad2d(2), (2, 5, 6, 3), (2, 9, 10, 3)), (nn.Dropout1d(), (2, 5, 3), (2, 5, 3)),
    (nn.Dropout2d(), (2, 5, 6, 3), (2, 5, 6, 3)),
], ids=str)
def test_layers(layer, x, shape):
    model = nn.Sequential(layer)
    assert model(nncore.ones(*x)).shape == shape and not list(model.parameters())
    assert str(shape) in model.summary(x) and repr(layer).startswith(type(layer).__name__ + "(")
