"""One pass of a classifier over its data: to learn, or to be judged."""
import numpy as np

from ..autograd import no_grad
from ..compiled import compile


def train_epoch(model, loader, loss_function, optimizer, on_batch=None, compiled=True):
    """Trains the model on every batch of the loader. Returns (mean loss, accuracy) as they were while it learned.

    on_batch(samples so far, mean loss so far) is called after each step: for progress, or to change the learning rate.
    compiled: replay the steps (nncore.compile); False for a model that nncore.compile refuses, as it decides from
    values.

    The accuracy is the share of labels [b, ...] for which predictions [b, ..., classes] are highest; where targets have
    the predictions' shape, their highest place is the label. NaN for other shapes and for fewer than two classes.
    ValueError for a loader without batches or without targets.
    """
    def step(inputs, targets):
        predictions = model(inputs)
        loss = loss_function(predictions, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return predictions.detach(), loss.detach()

    model.train()
    step = compile(step) if compiled else step
    seen, total, right = 0, 0.0, 0
    for inputs, targets in _batches(loader, "train_epoch"):
        predictions, loss = step(inputs, targets)
        seen, total, right = _count(predictions, targets, loss, seen, total, right)
        if on_batch is not None:
            on_batch(seen, total / seen)
    return total / seen, right / seen


def evaluate(model, loader, loss_function):
    """Mean loss and accuracy of the model, in evaluation mode, over the loader's samples. As train_epoch's."""
    model.eval()
    seen, total, right = 0, 0.0, 0
    with no_grad():
        for inputs, targets in _batches(loader, "evaluate"):
            predictions = model(inputs)
            seen, total, right = _count(predictions, targets, loss_function(predictions, targets), seen, total, right)
    return total / seen, right / seen


def _batches(loader, what):
    batch = None
    for batch in loader:
        if batch[1] is None:
            raise ValueError(f"{what}: the loader has no targets")
        yield batch
    if batch is None:  # as a generator has, the second time
        raise ValueError(f"{what}: the loader has no batches")


def _count(predictions, targets, loss, seen, total, right):
    n, truth = len(targets), np.asarray(targets)
    if truth.shape == predictions.shape:  # probabilities: the likeliest class
        truth = truth.argmax(axis=-1)
    if predictions.ndim < 2 or predictions.shape[-1] < 2 or truth.shape != predictions.shape[:-1]:
        hits = float("nan")
    else:
        hits = int((predictions.detach().numpy().argmax(axis=-1) == truth).sum()) * n / max(1, truth.size)
    return seen + n, total + loss.item() * n, right + hits
