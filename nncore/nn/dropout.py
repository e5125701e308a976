"""Dropout of whole channels."""
from .. import ops
from .layers import Dropout

__all__ = ["Dropout1d", "Dropout2d"]


class Dropout1d(Dropout):
    """x[b, t, c] / (1 - p), or 0 for all t with probability p, while training (Tompson et al., 2015)."""

    def forward(self, x):
        return ops.dropout1d(x, self.p, self.training)


class Dropout2d(Dropout):
    """x[b, h, w, c] / (1 - p), or 0 for all h and w with probability p, while training (Tompson et al., 2015)."""

    def forward(self, x):
        return ops.dropout2d(x, self.p, self.training)
