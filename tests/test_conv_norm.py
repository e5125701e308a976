"""Convolutions with batch norms behind them as one op: against the same layers one by one, which have references."""
import numpy as np
import pytest

import nncore
from nncore import _core, models, nn, ops
from nncore.nn import conv_norm
from nncore.ops.conv_norm import ConvNorm, conv2d_batch_norms
from steps import bits
from test_conv import algorithm, draw  # noqa: F401: algorithm is a fixture
from test_memory import failing_at

# x, channels of the layers, window, strides. Both gradients in one pass need more than 128 tiles of 4 x 4 (5 x 5: 2 x
# 2).
CASES = {
    "both": ((3, 32, 32, 16), (16, 16), 3, (1, 1)), "odd": ((9, 13, 13, 17), (17, 12), 3, (1, 1)),
    "wide": ((1, 13, 200, 12), (20, 33), 3, (1, 1)), "images": ((40, 8, 8, 48), (32, 12), 3, (1, 1)),
    "5x5": ((3, 14, 15, 12), (24, 17), 5, (1, 1)), "strided": ((4, 32, 32, 16), (24, 24), 3, (2, 1)),
    "strided last": ((4, 24, 24, 16), (16, 24), 3, (1, 2)), "small": ((2, 7, 7, 16), (16, 48), 3, (1, 1)),
    "few": ((5, 9, 9, 3), (5, 1), 3, (1, 1)), "many": ((33, 8, 8, 64), (64, 96), 3, (1, 1)),
    "one": ((3, 32, 32, 16), (16,), 3, (1,)), "three": ((3, 24, 24, 16), (16, 12, 16), 3, (1, 1, 1)),
}


def layers(channels, outputs, window, strides, relu=True):
    nncore.manual_seed(1)
    pairs = []
    for k, (o, stride) in enumerate(zip(outputs, strides)):
        norm = nn.BatchNorm2d(o, activation="relu" if relu else None, eps=0.01, momentum=None if k else 0.1)
        norm.weight.numpy()[...] = 1 + 0.3 * draw(o, seed=k)
        norm.bias.numpy()[...] = 0.3 * draw(o, seed=k + 9)
        pairs.append((nn.Conv2d(channels, o, window, stride, window // 2, bias=False), norm))
        channels = o
    return pairs


def one_by_one(x, pairs, residual=None):
    for k, (conv, norm) in enumerate(pairs):
        z = conv(x, moments=True)
        x = norm(z, residual) if k + 1 == len(pairs) else norm(z)
    return x


def results(function, case, skip, relu=True):
    """y, the gradients of x, residual and parameters, and the running statistics."""
    shape, outputs, window, strides = CASES[case]
    pairs = layers(shape[-1], outputs, window, strides, relu)
    x = nncore.tensor(draw(*shape), requires_grad=True)
    plain = one_by_one(nncore.tensor(draw(*shape)), layers(shape[-1], outputs, window, strides, relu)).shape
    residual = {"none": None, "x": x, "other": nncore.tensor(draw(*plain, seed=5), requires_grad=True)}[skip]
    y = function(x, pairs, residual)
    y.backward(nncore.tensor(draw(*y.shape, seed=7)))
    model = nn.Sequential(*(layer for pair in pairs for layer in pair))
    grads = [t.grad for t in (x, residual, *model.parameters()) if t is not None]
    return y, grads, [b for _, b in model.named_buffers()]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("case, skip", [*((case, skip) for case in CASES for skip in ("none", "other")),
                                        ("both", "x"), ("three", "x"), ("one", "x")])
def test_it_is_the_layers_one_by_one(isa, case, skip, relu):
    y, grads, buffers = results(conv_norm.normed_convolutions, case, skip, relu)
    y1, grads1, buffers1 = results(one_by_one, case, skip, relu)
    assert bits(y, *buffers) == bits(y1, *buffers1)
    for a, b in zip(grads, grads1, strict=True):
        a, b = a.numpy(), b.numpy()
        assert np.abs(a - b).max() <= 4e-5 * np.abs(b).max()   # sums over some thousand pixels in another order


def ops_run(function):
    with nncore.profile() as p:
        function()
    return [call.op for call in p.calls]


def test_what_runs():
    run = ops_run(lambda: results(conv_norm.normed_convolutions, "both", "x"))
    assert run.count("conv_grads") == 2 and run.count("group_norm") == 1 + 2   # and two of one_by_one, for the shape
    assert run.count("norm_grad_sums") == 1 and "group_norm_grad" not in run
    run = ops_run(lambda: results(conv_norm.normed_convolutions, "many", "none"))
    assert "conv_grads" not in run and run.count("group_norm_grad") == 2
    assert "conv_grads" not in ops_run(lambda: results(conv_norm.normed_convolutions, "strided", "none"))[-12:-8]


@pytest.mark.parametrize("algorithm", ["direct"], indirect=True)
def test_the_direct_way_takes_no_part(algorithm):  # noqa: F811
    assert "conv_grads" not in ops_run(lambda: results(conv_norm.normed_convolutions, "both", "x"))


@pytest.mark.parametrize("case", ["both", "odd", "wide", "images"])
def test_results_do_not_depend_on_threads(isa, case):
    found = []
    try:
        for threads in (1, 2, 3, 7):
            nncore.set_num_threads(threads)
            y, grads, buffers = results(conv_norm.normed_convolutions, case, "other")
            found.append(bits(y, *grads, *buffers))
    finally:
        nncore.set_num_threads(nncore.threads.decide()[0])
    assert found == found[:1] * 4


def blocks(count=3, channels=16):
    nncore.manual_seed(3)
    return [models.resnet.BasicBlock(channels, channels, 1, False) for _ in range(count)]


def gradients(fused, use):
    """use(blocks, x): a loss; its gradients by blocks fused, or layer by layer."""
    fits = conv_norm._fits
    try:
        if not fused:
            conv_norm._fits = lambda *pair: False
        chain, x = blocks(), nncore.tensor(draw(3, 32, 32, 16), requires_grad=True)
        kept = use(chain, x)
        return [t.grad.numpy() for t in (x, *(p for b in chain for p in b.parameters()), *kept)]
    finally:
        conv_norm._fits = fits


def plainly(chain, x):
    for block in chain:
        x = block(x)
    (x * nncore.tensor(draw(*x.shape, seed=2))).sum().backward()
    return []


def with_kept_gradients(chain, x):
    kept = []
    for block in chain:
        x = block(x)
        x.retain_grad()
        kept.append(x)
    (x * nncore.tensor(draw(*x.shape, seed=2))).sum().backward()
    return kept


def with_other_uses(chain, x):
    """Gradients that come before that of the next block, and after it."""
    first = x.relu()
    y = chain[0](first)
    late = y * 0.5     # older than the next block: its gradient comes last
    z = chain[1](y)
    z = chain[2](z + late)
    w = nncore.tensor(draw(*z.shape, seed=2))
    ((z * w).sum() + (y * w).sum() + (first * w).sum()).backward()
    return []


@pytest.mark.parametrize("use", [plainly, with_kept_gradients, with_other_uses])
def test_blocks_hand_their_sums_to_the_block_in_front(isa, use):
    for a, b in zip(gradients(True, use), gradients(False, use), strict=True):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


def test_sums_are_taken_for_the_block_in_front_and_only_there():
    assert ops_run(lambda: gradients(True, plainly)).count("norm_grad_sums") == 1
    assert ops_run(lambda: gradients(True, with_kept_gradients)).count("norm_grad_sums") == 3
    assert ops_run(lambda: gradients(True, with_other_uses)).count("norm_grad_sums") == 3


def test_a_compiled_step_is_the_eager_one_bit_for_bit():
    found = []
    for wrap in (lambda f: f, nncore.compile):
        chain = blocks()
        optimizer = nncore.optim.SGD([p for b in chain for p in b.parameters()], lr=0.01, momentum=0.9)

        def step(x):
            y = x
            for block in chain:
                y = block(y)
            (y * y).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            return y
        run = wrap(step)
        for i in range(4):
            y = run(nncore.tensor(draw(3, 32, 32, 16, seed=i)))
        found.append(bits(y, *(p for b in chain for p in b.parameters()),
                          *(t for b in chain for _, t in b.named_buffers())))
    assert found[0] == found[1]


def test_gradients_are_added_to_those_that_are_there():
    pairs, x = layers(16, (16, 16), 3, (1, 1)), nncore.tensor(draw(3, 32, 32, 16), requires_grad=True)
    for _ in range(2):
        conv_norm.normed_convolutions(x, pairs).sum().backward()
        first = [t.grad.numpy().copy() for t in (x, pairs[0][0].weight, pairs[1][0].weight)] if _ == 0 else first
    for a, t in zip(first, (x, pairs[0][0].weight, pairs[1][0].weight)):
        np.testing.assert_allclose(t.grad.numpy(), 2 * a, atol=1e-5 * np.abs(a).max())


def test_evaluation_and_other_layers_run_one_by_one():
    pairs, x = layers(16, (16, 16), 3, (1, 1)), nncore.tensor(draw(3, 32, 32, 16))
    for _, norm in pairs:
        norm.eval()
    assert ops_run(lambda: conv_norm.normed_convolutions(x, pairs)) == ["conv", "group_norm"] * 2
    biased = [(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16))]
    assert "norm_columns" not in ops_run(lambda: conv_norm.normed_convolutions(x, biased))


def test_nan_in_nan_out(isa):
    x = draw(3, 32, 32, 16)
    x[1, 3, 4, 5] = np.nan
    pairs, t = layers(16, (16, 16), 3, (1, 1)), nncore.tensor(x, requires_grad=True)
    y = conv_norm.normed_convolutions(t, pairs)
    y.sum().backward()
    assert np.isnan(y.numpy()).all() and np.isnan(t.grad.numpy()).all()


def test_no_memory_is_an_error_that_leaves_all_in_order():
    def run():
        return results(conv_norm.normed_convolutions, "images", "other")
    expected, failures = bits(run()[0], *run()[1]), 0
    live = _core.memory_stats()["live"]
    while failing_at(failures, run):
        failures += 1
        assert _core.memory_stats()["live"] == live
    assert failures >= 30 and bits(run()[0], *run()[1]) == expected


def layer(w, n=None, **settings):
    n = w.shape[-1] if n is None else n
    return ConvNorm(w, 1, 1, nncore.zeros(n), nncore.ones(n), None, nncore.ones(n), nncore.zeros(n), 0.1, 1e-5,
                    True)._replace(**settings)


@pytest.mark.parametrize("words, call", [
    (["conv2d", "(2, 8, 8, 3)", "4 expected"],
     lambda: conv2d_batch_norms(nncore.zeros(2, 8, 8, 3), [layer(nncore.zeros(3, 3, 4, 5))])),
    (["conv2d", "(2, 8, 8, 5)", "6 expected"],
     lambda: conv2d_batch_norms(nncore.zeros(2, 8, 8, 3),
                                [layer(nncore.zeros(3, 3, 3, 5)), layer(nncore.zeros(3, 3, 6, 5))])),
    (["batch_norm", "weight (4,)"],
     lambda: conv2d_batch_norms(nncore.zeros(2, 8, 8, 3), [layer(nncore.zeros(3, 3, 3, 5), 4)])),
    (["batch_norm", "more than 1 value"],
     lambda: conv2d_batch_norms(nncore.zeros(1, 1, 1, 3), [layer(nncore.zeros(3, 3, 3, 5))])),
    (["residual (2, 8, 8, 4)"],
     lambda: conv2d_batch_norms(nncore.zeros(2, 8, 8, 3), [layer(nncore.zeros(3, 3, 3, 5))], nncore.zeros(2, 8, 8, 4))),
    (["stride", "0"],
     lambda: conv2d_batch_norms(nncore.zeros(2, 8, 8, 3), [layer(nncore.zeros(3, 3, 3, 5), stride=0)])),
])
def test_errors(words, call):
    with pytest.raises(ValueError) as error:
        call()
    assert all(word in str(error.value) for word in words), error.value


def test_what_is_refused_leaves_no_trace():
    first = layer(nncore.zeros(3, 3, 3, 5), num_batches_tracked=nncore.tensor(0), running_mean=nncore.ones(5))
    for others, residual in ([], nncore.zeros(2, 8, 8, 4)), ([layer(nncore.zeros(3, 3, 6, 5))], None):
        with pytest.raises(ValueError):
            conv2d_batch_norms(nncore.zeros(2, 8, 8, 3), [first, *others], residual)
    assert int(first.num_batches_tracked) == 0 and first.running_mean.numpy().tolist() == [1] * 5


def test_layers_that_do_not_belong_together_are_refused_as_one_by_one():
    norm = nn.BatchNorm2d(8, affine=False, track_running_stats=False)
    with pytest.raises(ValueError, match="8 channels last expected"):
        conv_norm.normed_convolutions(nncore.zeros(2, 8, 8, 3), [(nn.Conv2d(3, 16, 3, bias=False), norm)])


def test_what_is_no_tensor_is_made_one():
    block = models.resnet.BasicBlock(16, 16, 1, False)
    x = np.zeros((2, 4, 4, 16), np.float32)
    assert bits(block(x.tolist())) == bits(block(nncore.tensor(x)))


FROZEN = {"all but the last norm": (4, 5), "all but conv2 and its norm": (3, 4, 5), "convolutions": (1, 2, 4, 5),
          "everything": (), "the first pair": (3, 4, 5), "norms": (0, 3)}


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("of_x", [True, False])
def test_nothing_is_computed_for_what_is_frozen(frozen, of_x):
    """The gradients are the layers' own, and no convolution's is computed that they do not compute."""
    def run(function):
        pairs = layers(16, (16, 16), 3, (1, 1))
        parameters = [p for pair in pairs for part in pair for p in part.parameters()]
        for k, p in enumerate(parameters):
            p.requires_grad = k in FROZEN[frozen]
        x = nncore.tensor(draw(3, 32, 32, 16), requires_grad=of_x)
        residual = nncore.tensor(draw(3, 32, 32, 16, seed=5), requires_grad=True)
        y = function(x, pairs, residual)
        with nncore.profile() as p:
            y.backward(nncore.tensor(draw(*y.shape, seed=7)))
        both = sum(call.op == "conv_grads" for call in p.calls)
        count = {op: both + sum(call.op == op for call in p.calls) for op in ("conv_dx", "conv_dw")}
        norms = sum(call.op in ("group_norm_grad", "norm_grad_columns") for call in p.calls)
        return [t.grad for t in (x, residual, *parameters)], {**count, "norms": norms}
    ours, counted = run(conv_norm.normed_convolutions)
    plain, expected = run(one_by_one)
    assert counted == expected
    for a, b in zip(ours, plain):
        assert (a is None) == (b is None)
        if a is not None:
            b = b.numpy()
            np.testing.assert_allclose(a.numpy(), b, rtol=0, atol=2e-5 * np.abs(b).max())


@pytest.fixture
def same_algorithm_afterwards():
    was = nncore.set_conv_algorithm("auto")
    yield
    nncore.set_conv_algorithm(was)


def test_another_algorithm_is_recorded_anew(same_algorithm_afterwards):
    pairs, x = layers(16, (16, 16), 3, (1, 1)), nncore.tensor(draw(3, 32, 32, 16))
    step = nncore.compile(lambda x: conv_norm.normed_convolutions(x, pairs).sum())
    for name in "auto", "direct", "winograd":
        nncore.set_conv_algorithm(name)
        expected = bits(conv_norm.normed_convolutions(x, pairs).sum())
        for _ in range(4):
            assert bits(step(x)) == expected


def test_what_was_saved_must_not_be_written_to():
    pairs, x = layers(16, (16, 16), 3, (1, 1)), nncore.tensor(draw(3, 32, 32, 16), requires_grad=True)
    y = conv_norm.normed_convolutions(x, pairs)
    with nncore.no_grad():
        pairs[1][0].weight.fill_(0)
    with pytest.raises(RuntimeError, match="overwritten"):
        y.sum().backward()


@pytest.mark.parametrize("x, w, padding", [
    ((2, 9, 9, 16), (3, 3, 16, 20), 1), ((40, 8, 8, 33), (3, 3, 33, 17), 1), ((1, 7, 13, 17), (3, 3, 17, 48), 2),
    ((3, 14, 14, 12), (5, 5, 12, 33), 0), ((2, 4, 4, 130), (3, 3, 130, 16), 1), ((3, 1, 1, 5), (3, 3, 5, 3), 1),
])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("algorithm", ["winograd"], indirect=True)
def test_a_convolution_that_normalises_is_one_of_the_normalised(isa, algorithm, x, w, padding, relu):  # noqa: F811
    z, window = nncore.tensor(draw(*x)), nncore.tensor(draw(*w, seed=1)).array
    gamma, beta = nncore.tensor(draw(x[-1], seed=2)), nncore.tensor(draw(x[-1], seed=3))
    running = nncore.zeros(x[-1]), nncore.ones(x[-1])
    with nncore.no_grad():
        normed = ops.batch_norm(z, *running, gamma, beta, True, momentum=1.0, activation="relu" if relu else None)
    y, stats = _core.group_norm(z.array, 1, x[-1], gamma.array, beta.array, None, None, None, 1e-5, relu, "batch_norm")
    columns, _ = _core.norm_columns(stats, gamma.array, beta.array, 1e-5)
    geometry, shape = (1, 1, 1, 1, padding, padding, 1), (x[0], *(n + 2 * padding - w[0] + 1 for n in x[1:3]), w[-1])
    dy = nncore.tensor(draw(*shape, seed=4)).array
    for loaded, plain in (
            (_core.conv(z.array, window, None, geometry, shape, -1, 0.0, False, columns, relu),
             _core.conv(normed.array, window, None, geometry, shape)),
            (_core.conv_dw(z.array, dy, geometry, w, columns, relu), _core.conv_dw(normed.array, dy, geometry, w))):
        assert loaded.numpy().tobytes() == plain.numpy().tobytes()


def test_only_winograds_convolution_normalises():
    x, w, columns = (nncore.zeros(*shape).array for shape in ((2, 8, 8, 16), (3, 3, 16, 16), (5, 16)))
    with pytest.raises(ValueError, match="cannot be normalised"):
        _core.conv(x, w, None, (2, 2, 1, 1, 1, 1, 1), (2, 4, 4, 16), -1, 0.0, False, columns, True)
    with pytest.raises(ValueError, match="columns"):
        _core.conv(x, w, None, (1, 1, 1, 1, 1, 1, 1), (2, 8, 8, 16), -1, 0.0, False, nncore.zeros(5, 17).array, True)
