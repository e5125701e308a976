"""Bringing features to a common scale, with numbers taken from the training data alone."""
import numpy as np

from .split import row_numbers

_LEAST = np.finfo(np.float32).tiny  # below it 1 / std may be infinite in float32
_PIECE = 1 << 18  # elements converted to float64 at a time: 2 MB, whatever the size of the data


class Standardizer:
    """Standardisation: y = (x - mean) / std, so that what it was fitted on has mean 0 and standard deviation 1.

        standardizer = Standardizer().fit(train.inputs)
        DataLoader(test.inputs, test.targets, transform=standardizer)   # done while a batch is gathered
        standardizer(array)                                             # or on arrays and tensors

    per_feature: a mean and a deviation for each feature (True, as tables need it) or one for all (False, as images
    need it: a pixel lit once in 60000 images would be blown up 245 times).

    After `fit`, mean, std, scale = 1 / std and shift = -mean / std are float32 arrays in the shape of a sample, or of
    shape (1,). A constant feature gets std 1 and so becomes 0; constant means to float32's precision and range,
    std <= 1e-7 |mean| or std < 1.2e-38. std divides by n, not n - 1. A feature with a NaN in it becomes NaN.
    """

    def __init__(self, per_feature=True):
        self.per_feature = per_feature
        self.mean = self.std = self.scale = self.shift = None

    def fit(self, inputs, rows=None):
        """Takes mean and deviation from `inputs` [n, ...], or from some rows of it (numbers or a mask). Returns self.

        One pass over bytes, whose sums are exact; two over anything else, since mean and squares in one pass would
        lose the small deviations of large numbers. A few MB are needed beside the data, however large they are.
        """
        x = np.asarray(inputs)
        if x.dtype.kind not in "fiub":
            raise TypeError(f"Standardizer: inputs of dtype {x.dtype} are not real numbers")
        if x.ndim == 0 or x.size == 0:
            raise ValueError(f"Standardizer: no samples to fit in inputs {x.shape}")
        rows = None if rows is None else row_numbers(rows, len(x), "Standardizer")
        shape = x.shape[1:] if self.per_feature else (1,)
        x = x.reshape(len(x), -1)
        n = (len(x) if rows is None else len(rows)) * (1 if self.per_feature else x.shape[1])

        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are the data's, not an accident here
            mean, squares = (total / n for total in self._sums(x, rows, 0.0))
            if x.dtype == np.uint8:
                variance = squares - mean * mean
            else:
                variance = self._sums(x, rows, mean)[1] / n
            std = np.sqrt(np.maximum(variance, 0))
            std[std <= np.maximum(1e-7 * np.abs(mean), _LEAST)] = 1
            self.mean, self.std, self.scale, self.shift = (
                a.astype(np.float32).reshape(shape) for a in (mean, std, 1 / std, -mean / std))
        return self

    def _sums(self, x, rows, center):
        """Sums of x - center and of its square in float64, over samples or over everything, a piece at a time."""
        step = max(1, _PIECE // x.shape[1])
        count = len(x) if rows is None else len(rows)
        total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for start in range(0, count, step):
            piece = x[slice(start, start + step) if rows is None else rows[start:start + step]]
            piece = np.subtract(piece, center, dtype=np.float64)
            total += piece.sum(axis=0)
            squares += np.einsum("nf,nf->f", piece, piece)
        return (total, squares) if self.per_feature else (total.sum(keepdims=True), squares.sum(keepdims=True))

    def __call__(self, x):
        """(x - mean) / std of an array or a tensor [..., sample shape]: float32, or a tensor of it."""
        scale, shift = self.factors()
        if hasattr(x, "requires_grad"):  # a Tensor: differentiable, like any other arithmetic
            from ..tensor import tensor
            return x * tensor(scale) + tensor(shift)
        return np.asarray(x, np.float32) * scale + shift

    transform = __call__

    def inverse(self, y):
        """What `self(x) = y` came from: y * std + mean."""
        self.factors()
        if hasattr(y, "requires_grad"):
            from ..tensor import tensor
            return y * tensor(self.std) + tensor(self.mean)
        return np.asarray(y, np.float32) * self.std + self.mean

    def factors(self):
        """(scale, shift): y = x * scale + shift. Raises ValueError before `fit`."""
        if self.scale is None:
            raise ValueError("Standardizer: not fitted: call fit(training inputs) first")
        return self.scale, self.shift

    def __repr__(self):
        state = "not fitted" if self.scale is None else f"features {self.mean.shape}"
        return f"Standardizer({state})" if self.per_feature else f"Standardizer(per_feature=False, {state})"
