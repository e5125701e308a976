"""DataLoader: batches of tensors from arrays in memory.

There is no dataset class and no worker process. The samples are arrays; a batch is gathered by one call into C, which
picks the rows, turns bytes into floats and scales them in the same pass. For 128 MNIST images that is a few
microseconds, less than handing them from another process would take.
"""
from copy import copy
from typing import NamedTuple

import numpy as np

from .. import _core
from ..convert import MOST
from ..random import Generator, default_generator
from ..tensor import Tensor
from . import augment as augmenting
from .scaling import Standardizer
from .split import row_numbers


class Batch(NamedTuple):
    """Some samples: `batch.inputs`, `batch.targets`, or `inputs, targets = batch`. targets is None without targets."""
    inputs: Tensor
    targets: Tensor | None


class DataLoader:
    """Yields the samples of one epoch in batches, each time it is iterated.

    inputs: array [n, ...]: floats become float32, bytes (uint8) and bools become float32 a batch at a time, other
        integers int64, or float32 if they are scaled. Tensors and nested lists are accepted too. Nothing is copied that
        is float32, uint8 or int64 and contiguous already: the loader reads the caller's array, so leave that unchanged.
    targets: array [n, ...]: integers are labels and become int64; floats and bools become float32. May be missing.
    batch_size: samples in a batch; the last one of an epoch may be smaller, or is left out with drop_last.
    shuffle: a new random order every epoch. It depends on `seed` and the number of the epoch; without a seed, on
        nncore.manual_seed.
    rows: use these row numbers only, an integer array or a mask of n bools. With `split_rows`, a way to divide data
        without copying them.
    scale, shift: the inputs become x * scale + shift in float32: numbers, or arrays in the shape of a sample.
    transform: a `Standardizer`, applied like scale and shift; or any function of the batch's inputs.
    augment: a list of steps from `nncore.data.augment`, such as RandomCrop, that change images [n, height, width(,
        channels)] at random, in the pass that gathers and scales them. What happens to an image depends on `seed`, the
        epoch and its place in the epoch. With Mixup or CutMix the targets become probabilities, float32 [b, classes].

    len(loader) is the number of batches. Raises TypeError for data that are not real numbers, ValueError for lengths
    that differ, for no samples, a batch size below 1, a scale or steps that do not fit.
    """

    def __init__(self, inputs, targets=None, batch_size=32, shuffle=False, drop_last=False, seed=None, *, rows=None,
                 scale=None, shift=None, transform=None, augment=None):
        scaled = not (scale is shift is augment is None) or isinstance(transform, Standardizer)
        inputs = _inputs(inputs, scaled, augment)
        n = len(inputs)
        if n == 0:
            raise ValueError(f"DataLoader: no samples in inputs {inputs.shape}")
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__"):
            raise TypeError(f"DataLoader: batch_size is {batch_size!r}, not an integer")
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size is {batch_size}, expected at least 1")
        self.batch_size, self.shuffle, self.drop_last = int(batch_size), bool(shuffle), bool(drop_last)

        if isinstance(transform, Standardizer):
            if scale is not None or shift is not None:
                raise ValueError("DataLoader: give a standardizer or scale and shift, not both")
            scale, shift = transform.factors()
            transform = None
        self.transform = transform
        if augment is None:
            scaled = scale is not None or shift is not None
            self._inputs = _Source(inputs, _factor(scale, 1, inputs, "scale") if scaled else None,
                                   _factor(shift, 0, inputs, "shift") if scaled else None)
        else:
            self._inputs = _Images(inputs, augment, scale, shift)
        self._targets = None
        if targets is not None:
            targets = _targets(targets)
            if len(targets) != n:
                raise ValueError(f"DataLoader: inputs {inputs.shape} and targets {targets.shape} differ in length")
            self._targets = _Source(targets, None, None)
        if augment is not None:
            self._inputs.expect(self._targets, targets)

        self._rows = None if rows is None else row_numbers(rows, n, "DataLoader")
        self._count = n if rows is None else len(self._rows)
        if drop_last and self._count < batch_size:
            raise ValueError(f"DataLoader: drop_last leaves nothing of {self._count} samples, batch_size {batch_size}")
        self._state = (default_generator if seed is None else Generator(seed)).state
        self._order = None if shuffle else _core.borrow(np.arange(n) if rows is None else self._rows)

    def __len__(self):
        whole, rest = divmod(self._count, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def samples(self):
        """How many samples an epoch has."""
        return len(self) * self.batch_size if self.drop_last else self._count

    def __iter__(self):
        order = self._order
        if order is None:  # drawn here, not at the first batch: two iterators begun in turn get their orders in turn
            order = _core.permutation(self._count, self._state)
            if self._rows is not None:
                order = _core.borrow(self._rows[order.numpy()])
        return self._batches(order, self._inputs.begin(self._state))

    def _batches(self, order, inputs):
        targets, transform, size = self._targets, self.transform, self.batch_size
        for start in range(0, self.samples, size):
            count = min(size, self._count - start)
            x, t = inputs.gather(order, start, count), targets.gather(order, start, count) if targets else None
            if inputs.mixes:
                x, t = inputs.mixed(x, t)
            yield Batch(x if transform is None else transform(x), t)

    def __getstate__(self):
        """For copies and pickles, which hold the data. What draws from nncore.manual_seed's generator goes on to."""
        return {**vars(self), "_state": None if self._state is default_generator.state else self._state}

    def __setstate__(self, state):
        vars(self).update(state)
        if self._state is None:
            self._state = default_generator.state

    def __repr__(self):
        return f"DataLoader({self._count} samples, {len(self)} batches of {self.batch_size}, shuffle={self.shuffle})"


class _Source:
    """An array of samples, read where it lies, and how its rows become a batch."""
    mixes = False

    def __init__(self, array, scale, shift):
        self.array, self.scale, self.shift = _core.borrow(array), scale, shift

    def gather(self, order, start, count):
        """y[b, ...] = x[order[start + b], ...] * scale + shift"""
        return _core.make_tensor(_core.gather_rows(self.array, order, start, count, self.scale, self.shift))

    def begin(self, state):
        return self


class _Images:
    """An array of images, read where it lies, whose rows are changed at random as they become a batch."""

    def __init__(self, array, steps, scale, shift):
        self.array, self.classes, self.streams = _core.borrow(array), None, None
        self.plan = augmenting.Plan(augmenting.checked(steps), array.shape[1:], self.array.dtype, scale, shift)
        self.mixes = self.plan.mixing is not None

    def expect(self, source, targets):
        if self.mixes and source is None:
            raise ValueError(f"DataLoader: {self.plan.mixing[0]} needs targets")
        self.classes = self.plan.classes(source.array, targets) if self.mixes else None

    def begin(self, state):
        """The same with streams of random numbers of its own, for one epoch."""
        epoch = copy(self)
        epoch.streams = augmenting.streams(state)
        return epoch

    def gather(self, order, start, count):
        return self.plan.images(self.array, order, start, count, self.streams)

    def mixed(self, x, t):
        return self.plan.mixed(x, t.array, self.classes, self.streams)


def _inputs(data, scaled, augment):
    x = _numbers(data, "inputs")
    if augment is not None and x.dtype.kind != "f" and x.dtype != np.uint8 and augmenting.need_white(augment):
        raise TypeError(f"DataLoader: inputs of dtype {x.dtype}: ColorJitter and Normalize need bytes, or floats from "
                        "0 to 1")
    if x.dtype.kind == "f" or (scaled and x.dtype.kind in "iu" and x.dtype != np.uint8):
        return np.ascontiguousarray(x, np.float32)
    if x.dtype.kind == "b" or x.dtype == np.uint8:
        return np.ascontiguousarray(x).view(np.uint8)
    return _int64(x, "inputs")


def _targets(data):
    x = _numbers(data, "targets")
    return np.ascontiguousarray(x, np.float32) if x.dtype.kind in "fb" else _int64(x, "targets")


def _numbers(data, what):
    x = data.detach().numpy() if isinstance(data, Tensor) else np.asarray(data)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"DataLoader: {what} of dtype {x.dtype} are not real numbers")
    if x.ndim == 0:
        raise ValueError(f"DataLoader: {what} are a single number, expected an array [n, ...]")
    if max(x.shape) > MOST:
        raise MemoryError(f"DataLoader: {what} {x.shape} have an axis of more than {MOST} elements")
    if x.ndim > 5:
        raise ValueError(f"DataLoader: {what} {x.shape} have {x.ndim} dimensions, at most 5 are possible")
    return x


def _int64(x, what):
    if x.dtype.kind == "u" and x.dtype.itemsize == 8 and x.size and x.max() > np.iinfo(np.int64).max:
        raise ValueError(f"DataLoader: {what} hold {x.max()}, too large for int64")
    return np.ascontiguousarray(x, np.int64)


def _factor(value, missing, inputs, name):
    """scale or shift as a flat float32 Array: one number, or one per feature."""
    array = np.asarray(missing if value is None else value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"DataLoader: {name} of dtype {array.dtype} is not real")
    if array.size != 1:
        try:
            array = np.broadcast_to(array, inputs.shape[1:])
        except ValueError:
            raise ValueError(f"DataLoader: {name} {array.shape} does not fit samples {inputs.shape[1:]}") from None
    return _core.from_buffer(np.ascontiguousarray(array, np.float32).reshape(-1))
