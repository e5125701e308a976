"""PyTorch's argument names are ours; NumPy's work as well."""
import functools

__all__ = ["numpy_names"]

_NUMPY = {"axis": "dim", "keepdims": "keepdim", "ddof": "correction"}


def numpy_names(function):
    """Lets `axis`, `keepdims` and `ddof` stand for `dim`, `keepdim` and `correction`."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        if kwargs:
            kwargs = {_NUMPY.get(name, name): value for name, value in kwargs.items()}
        return function(*args, **kwargs)
    return call
