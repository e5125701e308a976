"""Ending a training when it does not get better any more, and going back to where it was best (Prechelt, 1998)."""
import math


class EarlyStopping:
    """Watches one number per epoch, keeps the model's best weights, and says when to stop.

        stopping = EarlyStopping(patience=5)
        for epoch in range(100):
            ...
            if stopping.update(validation_loss, model):
                break
        stopping.restore(model)

    patience: epochs without progress that are waited for. min_delta: what counts as progress. mode: "min" for a loss,
    "max" for an accuracy. best and best_epoch (from 0) tell the result; best_epoch is None when no value was a number.
    """

    def __init__(self, patience=5, min_delta=0.0, mode="min"):
        if not patience >= 1:
            raise ValueError(f"EarlyStopping: patience is {patience}, expected at least 1")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta is {min_delta}, expected at least 0")
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode is {mode!r}, expected 'min' or 'max'")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.best, self.best_epoch, self.epoch = math.inf if mode == "min" else -math.inf, None, -1
        self._weights = None

    def update(self, value, model=None):
        """Notes an epoch's value; True when it is time to stop. NaN is no progress.

        With a model, its weights are copied whenever the value is the best so far.
        """
        value = float(value)  # a tensor may be written later
        self.epoch += 1
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_epoch = value, self.epoch
            if model is not None:
                self._weights = model.state_dict()
        return self.epoch - (-1 if self.best_epoch is None else self.best_epoch) >= self.patience

    def restore(self, model):
        """Gives the model the best weights that `update` has seen; does nothing if there are none."""
        if self._weights is not None:
            model.load_state_dict(self._weights)
