"""Tensor: an array that remembers how it was made. Operators, and the functions that create tensors."""
import operator

import numpy as np

from . import _core, ops
from .convert import convert_array, dtype_name, float_tensor, to_array
from .ops.index import index, put
from .random import state_of

__all__ = ["Tensor", "Parameter", "tensor", "zeros", "ones", "full", "arange", "linspace", "eye", "zeros_like",
           "ones_like", "rand", "randn", "randint", "randperm"]


class Tensor(_core.TensorBase):
    """An array of float32 (or int64, uint8, bool) with at most 5 axes, and its gradient.

    Arithmetic is float32 and broadcasts as NumPy's. Tensor(data, requires_grad=False) copies `data`.
    """
    __slots__ = ()

    def __new__(cls, data=(), requires_grad=False, dtype=None):
        return _core.make_tensor(to_array(data, dtype), requires_grad, cls)

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def shape(self):
        """Sizes of the axes, a tuple."""
        return self.array.shape

    @property
    def dtype(self):
        """"float32", "int64", "uint8" or "bool"."""
        return self.array.dtype

    @property
    def ndim(self):
        """Number of axes."""
        return self.array.ndim

    @property
    def size(self):
        """Number of elements."""
        return self.array.size

    def numel(self):
        """Number of elements."""
        return self.array.size

    def dim(self):
        """Number of axes."""
        return self.array.ndim

    def __len__(self):
        if not self.array.ndim:
            raise TypeError("len() of a tensor of shape ()")
        return self.array.shape[0]

    def __repr__(self):
        values = np.array2string(self.array.numpy(), separator=", ", prefix="tensor(", precision=4, threshold=200)
        extra = "" if self.dtype == "float32" else f", dtype={self.dtype}"
        if not self.array.size:
            extra += f", shape={self.shape}"
        if self.requires_grad:
            extra += ", requires_grad=True" if self.is_leaf else f", made by {self.node.name}"
        return f"tensor({values}{extra})"

    # ---- values out ------------------------------------------------------------------------------------------------

    def __array__(self, dtype=None, copy=None):
        a = self.array.numpy()
        if dtype is not None and a.dtype != dtype:
            return a.astype(dtype)
        return a.copy() if copy else a

    def item(self):
        """The value of a single element, as a Python number."""
        return self.array.item()

    def tolist(self):
        """Nested lists of Python numbers."""
        return self.array.numpy().tolist()

    def __float__(self):
        return float(self.array.item())

    def __int__(self):
        return int(self.array.item())

    def __index__(self):
        if self.dtype not in ("int64", "uint8") or self.ndim:
            raise TypeError(f"only integer tensors of shape () can be an index, not {self.dtype} {self.shape}")
        return self.array.item()

    def __bool__(self):
        if self.array.size != 1:
            raise ValueError(f"the truth of a tensor of shape {self.shape} is ambiguous")
        return bool(self.array.item())

    # ---- gradient --------------------------------------------------------------------------------------------------

    @property
    def grad(self):
        """The gradient that backward has left, a Tensor that shares its memory; None if there is none."""
        g = self.grad_array()
        return None if g is None else _core.make_tensor(g)

    @grad.setter
    def grad(self, value):
        self.set_grad_array(None if value is None else to_array(value, "float32"))

    def backward(self, gradient=None, retain_graph=False):
        """Adds d self / d leaf to the `grad` of every leaf this tensor was made of.

        gradient: d result / d self, of this tensor's shape; may be left out for a single element, where it is 1. The
        graph is freed on the way unless retain_graph.
        """
        if gradient is not None:
            gradient = to_array(gradient, "float32")
        self.backward_from(gradient, retain_graph)

    def requires_grad_(self, requires_grad=True):
        """Sets requires_grad, and returns the tensor."""
        self.requires_grad = requires_grad
        return self

    def retain_grad(self):
        """Keep `grad` although this is no leaf."""
        self.keep_grad()

    def detach(self):
        """A tensor that shares the memory and has no past."""
        return _core.make_tensor(self.array)

    def clone(self):
        """A copy; gradients flow through."""
        return _core.record(_core.copy(self.array), _clone_grad, (self,), ())

    def __copy__(self):
        return self.__deepcopy__({})

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("only leaf tensors can be copied with their gradient; use clone() or detach()")
        twin = _core.make_tensor(_core.copy(self.array), self.requires_grad, type(self))
        if self.grad_array() is not None:
            twin.set_grad_array(_core.copy(self.grad_array()))
        memo[id(self)] = twin
        return twin

    def __reduce__(self):
        if not self.is_leaf:
            raise RuntimeError("only leaf tensors can be pickled; use detach()")
        return _restore, (type(self), self.array.numpy().copy(), self.requires_grad)

    # ---- dtype -----------------------------------------------------------------------------------------------------

    def float(self):
        """As float32."""
        return self if self.dtype == "float32" else float_tensor(self)

    def astype(self, dtype):
        """A copy of another dtype, without a past. Fractions are cut off; ValueError for numbers out of range and
        NaN."""
        if self.dtype == dtype_name(dtype):
            return tensor(self)
        return _core.make_tensor(convert_array(self.array, dtype_name(dtype), truncate=True))

    def long(self):
        """As int64; fractions are cut off."""
        return self.astype("int64")

    def bool(self):
        """As bool: x != 0."""
        return self.astype("bool")

    # ---- operators -------------------------------------------------------------------------------------------------

    __array_ufunc__ = None  # NumPy arrays leave the operators to us

    def __add__(self, y): return ops.add(self, y)
    def __radd__(self, x): return ops.add(x, self)
    def __sub__(self, y): return ops.sub(self, y)
    def __rsub__(self, x): return ops.sub(x, self)
    def __mul__(self, y): return ops.mul(self, y)
    def __rmul__(self, x): return ops.mul(x, self)
    def __truediv__(self, y): return ops.div(self, y)
    def __rtruediv__(self, x): return ops.div(x, self)
    def __pow__(self, y): return ops.pow(self, y)
    def __rpow__(self, x): return ops.pow(x, self)
    def __matmul__(self, y): return ops.matmul(self, y)
    def __rmatmul__(self, x): return ops.matmul(x, self)
    def __neg__(self): return ops.neg(self)
    def __pos__(self): return self
    def __abs__(self): return ops.abs(self)
    def __eq__(self, y): return NotImplemented if y is None or isinstance(y, str) else ops.eq(self, y)
    def __ne__(self, y): return NotImplemented if y is None or isinstance(y, str) else ops.ne(self, y)
    def __lt__(self, y): return ops.lt(self, y)
    def __le__(self, y): return ops.le(self, y)
    def __gt__(self, y): return ops.gt(self, y)
    def __ge__(self, y): return ops.ge(self, y)
    __hash__ = object.__hash__

    def __getitem__(self, key):
        return index(self, key)

    def __setitem__(self, key, value):
        if self.requires_grad and _core.grad_mode():
            raise RuntimeError("x[...] = value on a tensor that requires a gradient: use where(), or no_grad() "
                               "for a leaf")
        if isinstance(value, _core.TensorBase) and value.requires_grad and _core.grad_mode():
            raise RuntimeError("x[...] = value would lose the gradient of value: use concat(), stack() or where(), or "
                               "value.detach()")
        keys = tuple(k.array.numpy() if isinstance(k, _core.TensorBase) else k for k in key) if isinstance(key, tuple) \
            else key.array.numpy() if isinstance(key, _core.TensorBase) else key
        try:
            put(self.array.numpy(), keys, to_array(value, self.dtype).numpy())
        except OverflowError as error:
            raise IndexError(f"an index is out of range for shape {self.shape}: {error}") from None
        self.array.wrote()

    def __iter__(self):
        if not self.array.ndim:
            raise TypeError("iteration over a tensor of shape ()")
        return (self[i] for i in range(self.array.shape[0]))

    @property
    def T(self):
        """The axes in reverse order."""
        return ops.permute(self, *reversed(range(self.ndim)))

    def copy_(self, values):
        """Overwrite this tensor in place, without recording it."""
        _core.assign(self.array, float_tensor(values).array if self.dtype == "float32"
                     else to_array(values, self.dtype))
        return self

    def fill_(self, value):
        """Overwrite this tensor in place with one value. ValueError for one that the dtype does not hold."""
        if self.dtype != "float32":
            return self.copy_(np.full(self.shape, value))  # not by way of float32
        return self.copy_(_core.make_tensor(_core.full(self.shape, value)))

    def zero_(self):
        """Overwrite this tensor in place with zeros."""
        return self.fill_(0.0)

    def flatten(self, start_dim=0, end_dim=-1):
        """Axes start_dim .. end_dim as one."""
        shape, n = self.shape, self.ndim
        if not n:
            return self.reshape((1,))
        if not (-n <= start_dim < n and -n <= end_dim < n):
            raise ValueError(f"flatten: axes {start_dim} .. {end_dim} do not exist in shape {shape}")
        start, end = start_dim % n, end_dim % n
        if start > end:
            raise ValueError(f"flatten: axis {start_dim} comes after axis {end_dim} in shape {shape}")
        size = 1
        for d in shape[start:end + 1]:
            size *= d
        return self.reshape(shape[:start] + (size,) + shape[end + 1:])

    def squeeze(self, dim=None):
        """Without axes of size 1: all, or the one named (left alone if it is larger)."""
        if dim is None:
            return self.reshape(tuple(n for n in self.shape if n != 1))
        if not -self.ndim <= dim < self.ndim:
            raise ValueError(f"squeeze: axis {dim} does not exist in shape {self.shape}")
        dim %= self.ndim
        return self.reshape(self.shape[:dim] + self.shape[dim + 1:] if self.shape[dim] == 1 else self.shape)

    def unsqueeze(self, dim):
        """With a new axis of size 1."""
        if not -self.ndim - 1 <= dim <= self.ndim:
            raise ValueError(f"unsqueeze: no place {dim} for an axis in shape {self.shape}")
        dim %= self.ndim + 1
        return self.reshape(self.shape[:dim] + (1,) + self.shape[dim:])


def _clone_grad(node, dy):
    node.give(0, dy)


def _restore(cls, values, requires_grad):
    return cls(values, requires_grad)


for _name in ("abs sqrt exp log clip maximum minimum pow relu sigmoid tanh softmax log_softmax sum mean max min var "
              "argmax argmin matmul reshape permute transpose split").split():
    setattr(Tensor, _name, getattr(ops, _name))
Tensor.view = Tensor.reshape
_core.set_tensor_class(Tensor)


class Parameter(Tensor):
    """A tensor that a module trains: it requires a gradient, and Module finds it."""
    __slots__ = ()

    def __new__(cls, data=(), requires_grad=True):
        return super().__new__(cls, data, requires_grad)


# ---- creation --------------------------------------------------------------------------------------------------------

def tensor(data, dtype=None, requires_grad=False):
    """A tensor with a copy of `data`: numbers, nested lists, NumPy arrays of any layout, tensors.

    Floating-point numbers become float32, integers int64 (uint8 stays), bool stays. TypeError for complex numbers,
    strings and objects; ValueError for more than 5 axes or ragged lists.
    """
    return _core.make_tensor(to_array(data, dtype), requires_grad)


def _shape(shape):
    return shape[0] if len(shape) == 1 else shape


def zeros(*shape, dtype="float32", requires_grad=False):
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return _core.make_tensor(_core.zeros(_shape(shape), dtype_name(dtype)), requires_grad)


def full(shape, value, requires_grad=False):
    """A float32 tensor of one value."""
    return _core.make_tensor(_core.full(shape, value), requires_grad)


def ones(*shape, requires_grad=False):
    """A tensor of ones."""
    return full(_shape(shape), 1.0, requires_grad)


def zeros_like(x):
    """Zeros in the shape of x."""
    return zeros(ops.move.as_tensor(x).shape)


def ones_like(x):
    """Ones in the shape of x."""
    return full(ops.move.as_tensor(x).shape, 1.0)


def arange(*args, dtype=None):
    """start (0), start + step, ... below stop: int64 for integers, else float32."""
    if len(args) == 3 and args[2] == 0:
        raise ValueError(f"arange: a step of {args[2]}")
    return tensor(np.arange(*args), dtype)


def linspace(start, stop, num):
    """`num` evenly spaced numbers from start to stop, both included."""
    return tensor(np.linspace(start, stop, num))


def eye(n):
    """The identity matrix."""
    return tensor(np.eye(n, dtype="f4"))


def rand(*shape, low=0.0, high=1.0, generator=None, requires_grad=False):
    """Random numbers, evenly spread over low <= x < high."""
    return _core.make_tensor(_core.uniform(_shape(shape), state_of(generator), low, high), requires_grad)


def randn(*shape, generator=None, requires_grad=False):
    """Random numbers from the standard normal distribution."""
    return _core.make_tensor(_core.normal(_shape(shape), state_of(generator), 0.0, 1.0), requires_grad)


def randint(low, high, shape, generator=None):
    """Random integers, low <= x < high, int64; at most 2**24 different ones."""
    low, high = operator.index(low), operator.index(high)
    if not (0 < high - low <= 2**24 and -2**63 <= low and high <= 2**63):
        raise ValueError(f"randint: {low} .. {high} are not 1 to 2**24 integers")
    u = _core.uniform(shape, state_of(generator), 0.0, 1.0).numpy()
    return tensor(np.minimum((u.astype("f8") * (high - low)).astype("i8"), high - low - 1) + low)


def randperm(n, generator=None):
    """0 .. n-1 in random order, int64."""
    return _core.make_tensor(_core.permutation(n, state_of(generator)))
