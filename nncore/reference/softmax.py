"""Softmax and its logarithm along one axis c: y[b, c] from x[b, c], rows b apart."""
from nncore.reference import scalar as s
from nncore.reference.array import array
from nncore.reference.move import transpose
from nncore.reference.reduce import total


def along(row_function, x, axis):
    """row_function applied to every run of x along the axis."""
    x = array(x)
    last = transpose(x, axis, -1)
    n = last.shape[-1]
    rows = [row_function(last.flat[i * n:(i + 1) * n]) for i in range(len(last.flat) // n if n else 0)]
    return transpose(type(x)(last.shape, (y for row in rows for y in row)), axis, -1)


def softmax(x, axis=-1):
    """y[b, c] = e^x[b, c] / sum over j of e^x[b, j]; the largest of the row is subtracted first, which changes nothing
    but keeps e^x finite."""
    def row(xs):
        exponentials = [s.exp(x - largest(xs)) for x in xs]
        denominator = total(exponentials)
        return [e / denominator for e in exponentials]
    return along(row, x, axis)


def log_softmax(x, axis=-1):
    """y[b, c] = x[b, c] - log of the sum over j of e^x[b, j]"""
    return along(log_softmax_row, x, axis)


def log_softmax_row(xs):
    top = largest(xs)
    lse = s.log(total(s.exp(x - top) for x in xs))
    return [x - top - lse for x in xs]


def largest(xs):
    """The largest of a row as a plain number; NaN if there is one."""
    numbers = [s.number(x) for x in xs]
    return s.NAN if any(x != x for x in numbers) else max(numbers)
