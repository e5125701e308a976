"""Ladder 2: every op x every instruction set x every case of cases/: output and gradients against the reference."""
import functools
import random

import numpy as np
import pytest

import nncore
from cases import CASES, rounded
from closeness import assert_close, to_numpy
from guards import check_guard, poison
from nncore.reference import REFERENCE, Array, array, gradients

OPS = {"slice": lambda x, index: x[index]}
for _name in REFERENCE:
    _module = nncore.losses if hasattr(nncore.losses, _name) else nncore.ops
    if _name not in OPS:
        OPS[_name] = getattr(_module, _name)


def called(function, case):
    """The op as a function of its inputs alone."""
    def call(*inputs):
        result = function(*([inputs] if case.listed else inputs), *case.arguments, **(case.attributes or {}))
        return list(result) if case.op == "split" else result
    return call


@functools.cache
def expected(number):
    """(outputs, gradients of the outputs, gradients of the wanted inputs) of case `number`, by the reference."""
    case = CASES[number]
    rng = random.Random(number)
    function = called(REFERENCE[case.op], case)
    outputs = function(*case.inputs)
    several = isinstance(outputs, list)
    outputs = [array(y) for y in outputs] if several else [array(outputs)]
    dy = [Array(y.shape, (rounded(rng.uniform(0.5, 1.5)) for _ in y.flat)) for y in outputs]
    if not case.wanted:
        return outputs, dy, []
    _, dx = gradients(function, case.inputs, case.wanted, dy if several else dy[0])
    return outputs, dy, dx


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(str, CASES))
def test_op(isa, number):
    check(CASES[number], *expected(number))


def check(case, outputs, dy, dx):
    tensors = [x if x is None or isinstance(x, (int, tuple)) else  # a setting that stands between tensors
               nncore.tensor(to_numpy(array(x)), requires_grad=i in case.wanted) for i, x in enumerate(case.inputs)]
    gradients = [nncore.tensor(to_numpy(d)) for d in dy]
    poison(*((y.shape, "float32") for y in outputs))
    result = called(OPS[case.op], case)(*tensors)
    results = result if isinstance(result, list) else [result]
    assert len(results) == len(outputs)
    for y, e in zip(results, outputs):
        check_guard(y.array, case.op)
        assert_close(y.numpy(), e, case.ulps, case.terms, case.op)
    poison(*((x.shape, "float32") for x in dx))
    for y, d in zip(results, gradients):
        if case.wanted and y.requires_grad:
            y.backward(d)
    for i, e in zip(case.wanted, dx):
        what = f"{case.op}: gradient of input {i}"
        grad = tensors[i].grad
        if grad is not None:
            check_guard(grad.array, what, first=False)
        assert_close(np.zeros(e.shape, "f4") if grad is None and not any(e.flat) else grad.numpy(), e, 0,
                     case.gradient_terms, what)


def test_guards_see(isa):
    """That the blocks of outputs are in fact the poisoned ones."""
    x = nncore.tensor(np.ones((5, 7), "f4"))
    poison(((5, 7), "float32"))
    assert check_guard(nncore.ops.exp(x).array, "exp")


def test_every_op_has_a_case_and_a_reference():
    judged_elsewhere = {"dropout", "dropout1d",
                        "dropout2d"}  # tests below: what is dropped is not the reference's to say
    ops = set(nncore.ops.__all__) | set(nncore.losses.__all__)
    assert ops <= set(REFERENCE), f"without a reference: {sorted(ops - set(REFERENCE))}"
    with_case = {case.op for case in CASES} | judged_elsewhere
    assert ops <= with_case, f"without a case: {sorted(ops - with_case)}"
    assert set(REFERENCE) - {"slice"} <= ops, f"references of nothing: {sorted(set(REFERENCE) - ops)}"


# ---- dropout ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", [0, 1, 16, 17, 1000, 40000])
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout(isa, n, p):
    nncore.manual_seed(1)
    x = nncore.tensor(np.linspace(1, 2, n, dtype="f4"), requires_grad=True)
    y = nncore.ops.dropout(x, p, True)
    kept = y.numpy() != 0
    if n <= 1000:  # the reference, told what was kept
        dy = Array((n,), [1.25] * n)
        values, (dx,) = gradients(lambda x: REFERENCE["dropout"](x, p, [float(k) for k in kept]),
                                  [Array((n,), map(float, x.numpy()))], [0], dy)
        y.backward(nncore.tensor(to_numpy(dy)))
        assert_close(y.numpy(), values, ulps=1)
        assert_close(x.grad.numpy(), dx, ulps=1)
    else:
        deviations = (kept.mean() - (1 - p)) / (p * (1 - p) / n) ** 0.5
        assert abs(deviations) < 5
    assert nncore.ops.dropout(x, p, False).numpy().tolist() == x.numpy().tolist()


def test_dropout_edges(isa):
    x = nncore.tensor([1.0, 2.0, 3.0], requires_grad=True)
    assert nncore.ops.dropout(x, 0.0, True).numpy().tolist() == [1, 2, 3]
    y = nncore.ops.dropout(x, 1.0, True)
    assert y.numpy().tolist() == [0, 0, 0]
    y.backward(nncore.tensor([1.0, 1.0, 1.0]))
    assert x.grad.numpy().tolist() == [0, 0, 0]
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="dropout"):
            nncore.ops.dropout(x, p, True)


def test_dropout_depends_on_seed_and_call_alone(isa):
    x = nncore.ones((1000,))

    def draw():
        return nncore.ops.dropout(x, 0.5, True).numpy().tolist()
    nncore.manual_seed(7)
    first, second = draw(), draw()
    assert first != second
    nncore.manual_seed(7)
    assert [draw(), draw()] == [first, second]
    nncore.manual_seed(8)
    assert draw() != first


# ---- the graph -------------------------------------------------------------------------------------------------------

def test_gradient_of_a_parameter_used_several_times(isa):
    x = nncore.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * x + x
    z = (y * x).sum()
    z.backward()
    assert x.grad.numpy().tolist() == [5, 16, 33]  # 3 x^2 + 2 x
    z = (x * 2).sum()
    z.backward()
    assert x.grad.numpy().tolist() == [7, 18, 35]  # accumulated


def test_same_tensor_as_both_operands(isa):
    ops = nncore.ops
    for f, expected in ((ops.add, 2), (ops.sub, 0), (ops.mul, 6), (ops.div, 0), (ops.maximum, 1), (ops.minimum, 1)):
        x = nncore.tensor([3.0], requires_grad=True)
        f(x, x).sum().backward()
        assert x.grad.numpy().tolist() == [expected], f
    x = nncore.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    ops.matmul(x, x).sum().backward()
    assert x.grad.numpy().tolist() == [[7, 11], [9, 13]]
    x = nncore.tensor([1.0, 2.0], requires_grad=True)
    ops.concat([x, x, x]).sum().backward()
    assert x.grad.numpy().tolist() == [3, 3]


def test_a_deep_graph_neither_recurses_nor_leaks(isa):
    x = y = nncore.tensor([0.0], requires_grad=True)
    for _ in range(20000):
        y = y + 1.0
    y.backward(nncore.tensor([1.0]))
    assert y.item() == 20000 and x.grad.numpy().tolist() == [1]
    del y


# ---- wrong use -------------------------------------------------------------------------------------------------------

def zeros(*shape):
    return nncore.tensor(np.zeros(shape, "f4"))


@pytest.mark.parametrize("name, arguments", [
    ("add", [zeros(2, 3), zeros(2)]), ("mul", [zeros(4, 1, 3), zeros(2, 3, 2)]), ("maximum", [zeros(3), zeros(2)]),
    ("where", [zeros(3), zeros(2), zeros(3)]), ("matmul", [zeros(2, 3), zeros(2, 3)]),
    ("matmul", [zeros(2, 2, 3), zeros(3, 3, 2)]), ("matmul", [zeros(), zeros(2)]),
    ("linear", [zeros(32, 7), zeros(8, 3), zeros(3)]), ("linear", [zeros(32, 8), zeros(8, 3), zeros(4)]),
    ("linear", [zeros(2, 2), zeros(2, 2), zeros(2), "no such activation"]),
    ("sum", [zeros(2, 3), 2]), ("mean", [zeros(2, 3), -3]), ("max", [zeros(2, 3), (0, 0)]), ("max", [zeros(0, 3), 0]),
    ("min", [zeros(0)]), ("argmax", [zeros(3, 0), 1]), ("softmax", [zeros(2, 3), 2]), ("log_softmax", [zeros(), 0]),
    ("reshape", [zeros(2, 3), (4,)]), ("reshape", [zeros(2, 3), (-1, -1)]), ("reshape", [zeros(2, 3), (4, -1)]),
    ("reshape", [zeros(2, 3), (2, 1, 1, 1, 1, 3)]),
    ("permute", [zeros(2, 3), (0, 0)]), ("permute", [zeros(2, 3), (0,)]),
    ("transpose", [zeros(2, 3), 0, 2]), ("concat", [[zeros(2, 3), zeros(3, 2)]]), ("concat", [[]]), ("stack", [[]]),
    ("concat", [[zeros(2), zeros(2, 2)]]), ("stack", [[zeros(2), zeros(3)]]), ("split", [zeros(5), (2, 2)]),
    ("split", [zeros(5), 0]), ("pad", [zeros(5), ((1, 1), (1, 1))]), ("pad", [zeros(5), ((-1, 0),)]),
    ("pad", [zeros(5), (1, 1), "mirror"]), ("pad", [zeros(5), (1, 1), 7.0]), ("pad", [zeros(2, 5), (5, 0), "reflect"]),
    ("pad", [zeros(2, 5), (0, 6), "circular"]), ("pad", [zeros(2, 0), (0, 1), "replicate"]),
    ("gelu", [zeros(2), "sometimes"]),
    ("mse_loss", [zeros(2, 3), zeros(3, 2)]), ("mse_loss", [zeros(2), zeros(2), "some"]),
    ("binary_cross_entropy", [nncore.tensor([1.5]), nncore.tensor([1.0])]),
    ("cross_entropy", [zeros(2, 3), nncore.tensor([0, 1, 2])]), ("cross_entropy", [zeros(2, 3), zeros(2, 4)]),
    ("cross_entropy", [zeros(2, 3), nncore.tensor([0, 1]), zeros(2)]),
    ("nll_loss", [zeros(2, 3), nncore.tensor([[0, 1]])]), ("huber_loss", [zeros(2), zeros(2), "mean", -1.0]),
], ids=str)
def test_wrong_shapes_and_attributes(name, arguments):
    with pytest.raises(ValueError) as error:
        OPS[name](*arguments)
    assert str(error.value)


@pytest.mark.parametrize("name, arguments", [
    ("take", [zeros(3), nncore.tensor([3])]), ("take", [zeros(3), nncore.tensor([-4])]), ("slice", [zeros(3), 3]),
    ("slice", [zeros(3), -4]), ("slice", [zeros(3), (0, 0)]),
    ("cross_entropy", [zeros(2, 3), nncore.tensor([0, 3])]), ("cross_entropy", [zeros(2, 3), nncore.tensor([-1, 0])]),
    ("nll_loss", [zeros(2, 3), nncore.tensor([0, 2**40])]),
], ids=str)
def test_indices_out_of_range(isa, name, arguments):
    with pytest.raises((IndexError, ValueError)) as error:
        OPS[name](*arguments)
    assert "range" in str(error.value) or "indices" in str(error.value)


@pytest.mark.parametrize("data", [np.zeros(3, "c8"), np.array([None, 1]), np.array(["1"]), "text", [1, "2"], object()])
def test_refused_dtypes(data):
    with pytest.raises((TypeError, ValueError)):
        nncore.tensor(data)
    with pytest.raises((TypeError, ValueError)):
        nncore.ops.add(nncore.tensor([1.0]), data)


def test_labels_are_integers():
    with pytest.raises((TypeError, ValueError)):
        nncore.losses.nll_loss(zeros(2, 3), nncore.tensor([0.0, 1.0]))
    with pytest.raises((TypeError, ValueError)):
        nncore.ops.take(zeros(3), nncore.tensor([0.5]))


LAYOUTS = {
    "float64": lambda a: a.astype("f8"), "big-endian": lambda a: a.astype(">f4"), "fortran": np.asfortranarray,
    "negative strides": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "every other": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2], "list": lambda a: a.tolist(),
    "float16": lambda a: a.astype("f2"), "int32": lambda a: a.astype("i4"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_is_read(layout):
    a = np.arange(-6, 6, dtype="f4").reshape(3, 4)
    assert nncore.ops.mul(nncore.tensor(LAYOUTS[layout](a)), 2.0).numpy().tolist() == (2 * a).tolist()
    assert (nncore.ones((3, 4)) + LAYOUTS[layout](a)).numpy().tolist() == (1 + a).tolist()
    a.flags.writeable = False
    assert nncore.tensor(a).numpy().tolist() == a.tolist()


def test_inputs_are_not_changed(isa):
    a = np.linspace(-2, 2, 35, dtype="f4").reshape(5, 7)
    before = a.copy()
    for name in ("exp", "relu", "softmax", "sum", "argmax", "transpose"):
        OPS[name](nncore.tensor(a))
        assert (a == before).all()
    t = nncore.tensor(a)
    for name in ("exp", "relu", "softmax", "sum", "argmax", "transpose"):
        OPS[name](t)
        assert (t.numpy() == before).all(), name
