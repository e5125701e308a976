"""`python -m nncore train`: a multilayer perceptron on the bundled digits, MNIST or Fashion-MNIST."""
import argparse
import math
import os
import sys
import time
from typing import NamedTuple

import numpy as np

from .. import _core, losses, nn, optim
from .._version import __version__
from ..data import DataLoader, Standardizer, digits, fashion_mnist, mnist, split_rows
from ..progress import Progress
from ..random import manual_seed
from . import EarlyStopping, evaluate, train_epoch


class _Defaults(NamedTuple):
    load: object
    hidden: tuple
    epochs: int
    batch_size: int


DATA_SETS = {
    "digits": _Defaults(lambda directory: digits(), (128,), 30, 32),
    "mnist": _Defaults(mnist, (512, 256), 10, 128),
    "fashion": _Defaults(fashion_mnist, (512, 256), 10, 128),
}


def add_arguments(parser):
    def number(kind, low, high=float("inf"), open_high=False):
        def parse(text):
            value = kind(text)
            if not (low <= value < high if open_high else low <= value <= high) or value == float("inf"):
                raise ValueError(text)
            return value
        end = "" if high == float("inf") else f" to {high}" + ", not that itself," * open_high
        parse.__name__ = f"{kind.__name__} from {low}{end}"
        return parse

    def sizes(text):
        widths = tuple(int(n) for n in text.split(",") if n.strip())
        if any(n < 1 for n in widths):
            raise ValueError(text)
        return widths
    sizes.__name__ = "list of widths such as 512,256"

    count = number(int, 1)
    add = parser.add_argument
    add("dataset", nargs="?", choices=list(DATA_SETS), default="digits", help="what to learn (default: digits)")
    add("--data", metavar="DIR", help="directory of the published idx files, of mnist and fashion")
    add("--epochs", type=count, metavar="N", help="passes over the data (default: 30 for digits, else 10)")
    add("--batch-size", type=count, metavar="N", help="samples per step (default: 32 for digits, else 128)")
    add("--lr", type=number(float, 0.0), default=1e-3, metavar="RATE", help="Adam's learning rate (default: 0.001)")
    add("--schedule", choices=("linear", "constant"), default="linear",
        help="learning rate: falls to 0 over the epochs (default), or stays")
    add("--hidden", type=sizes, metavar="N,N", help="hidden layers (default: 128 for digits, else 512,256)")
    add("--dropout", type=number(float, 0.0, 1.0, True), default=0.2, metavar="P", help="default: 0.2")
    add("--validation", type=number(float, 0.0, 1.0, True), default=0.1, metavar="PART",
        help="part of the training data held out to watch the progress (default: 0.1)")
    add("--patience", type=count, metavar="N",
        help="stop after N epochs without a lower validation loss and go back to the best weights")
    add("--seed", type=int, default=0, metavar="N", help="default: 0")
    add("--threads", type=count, metavar="N", help="threads to use at most")
    add("--save", metavar="FILE", help="write the weights to FILE, in NumPy's .npz format, at the end or after Ctrl-C")


def run(arguments):
    """Trains as the parsed arguments say and prints the results. Returns the exit code.

    0; 2 when something asked for is not there; 130 after Ctrl-C, as a shell reports it.
    """
    problem = _complete(arguments)
    if problem:
        return _fail(problem)
    try:
        data = DATA_SETS[arguments.dataset].load(arguments.data)
    except (OSError, ValueError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted while reading the data", file=sys.stderr)
        return 130
    if arguments.threads:
        _core.set_num_threads(arguments.threads)
    manual_seed(arguments.seed)
    try:
        loaders, model = _loaders(data, arguments), _model(data, arguments)
    except ValueError as error:
        return _fail(error)
    return _train(model, *loaders, arguments)


def _complete(a):
    """Fills in the data set's defaults. Returns what is wrong with the arguments, if anything."""
    default = DATA_SETS[a.dataset]
    a.hidden = default.hidden if a.hidden is None else a.hidden
    a.epochs, a.batch_size = a.epochs or default.epochs, a.batch_size or default.batch_size
    if a.data is not None and a.dataset == "digits":
        return "digits come with nncore: --data is for mnist and fashion"
    if a.patience and not a.validation:
        return "--patience needs validation data: --validation must not be 0"
    problem = None if a.save is None else _cannot_save(a.save)
    return problem and f"--save {a.save!r}: cannot write a file of that name: {problem}"


def _cannot_save(path):
    """Why the weights cannot be written there, if so: better known before hours of training than after."""
    name, part = _names(path)
    if not os.path.basename(path):
        return "it has no name"
    if os.path.isdir(path) or os.path.isdir(name):
        return "it is a directory"
    try:
        open(part, "wb").close()
        os.remove(part)
    except OSError as error:
        return error.strerror
    return None


def _loaders(data, a):
    """Loaders of the training, validation (or None) and test samples, standardised as the training samples are."""
    rows, held = None, None
    if a.validation:
        rows, held = split_rows(len(data.train.inputs), a.validation, abs(a.seed))
    standardizer = Standardizer(per_feature=False).fit(data.train.inputs, rows)
    train = DataLoader(*data.train, batch_size=a.batch_size, shuffle=True, rows=rows, transform=standardizer)
    watch = None if held is None else DataLoader(*data.train, batch_size=1000, rows=held, transform=standardizer)
    return train, watch, DataLoader(*data.test, batch_size=1000, transform=standardizer)


def _model(data, a):
    widths = (data.train.inputs[0].size, *a.hidden, 10)
    layers = [nn.Flatten()]
    for i, o in zip(widths[:-2], widths[1:-1]):
        layers += [nn.Linear(i, o), nn.ReLU()]
        if a.dropout:
            layers.append(nn.Dropout(a.dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def _train(model, train, watch, test, a):
    optimizer = optim.Adam(model.parameters(), lr=a.lr)
    stopping = EarlyStopping(a.patience) if a.patience else None
    _say(f"nncore {__version__}, {_core.isa_current()}, {_amount(_core.get_num_threads(), 'thread')}")
    _say(f"{a.dataset}: {train.samples} samples to train on, {watch.samples if watch else 0} to validate, "
         f"{test.samples} to test")
    weights = sum(math.prod(p.shape) for p in model.parameters())
    _say(f"layers {'-'.join(str(n) for n in _widths(model))}, {weights} weights, "
         f"dropout {a.dropout}, Adam, batches of {a.batch_size}\n")
    epoch = 0
    try:
        for epoch in range(1, a.epochs + 1):
            value = _epoch(model, train, watch, optimizer, epoch, a)
            if stopping and stopping.update(value, model):
                _say(f"no lower validation loss for {_amount(a.patience, 'epoch')}: stopped")
                break
        if stopping and stopping.best_epoch is not None:
            stopping.restore(model)
            _say(f"weights of epoch {stopping.best_epoch + 1}")
        accuracy = evaluate(model, test, losses.cross_entropy)[1]
    except KeyboardInterrupt:
        print(f"interrupted in epoch {epoch} of {a.epochs}{_rescue(model, epoch, a)}", file=sys.stderr)
        return 130
    except OSError:  # nobody reads what is printed, or the log's disk is full
        _rescue(model, epoch, a)
        raise
    problem = None
    if a.save:
        try:
            _say(f"weights saved in {_save(model, a.save)}")
        except OSError as error:  # a full disk must not hide what was learned
            problem = error
    _say(f"\ntest accuracy {accuracy:.4f}")
    return _fail(problem) if problem else 0


def _epoch(model, train, watch, optimizer, epoch, a):
    """Trains for one epoch and prints its line. Returns the validation loss, or None without validation data."""
    started = time.perf_counter()
    with Progress(train.samples, f"epoch {epoch:3}/{a.epochs}") as progress:
        def on_batch(seen, loss):
            if a.schedule == "linear":
                optimizer.param_groups[0]["lr"] = a.lr * (1 - (epoch - 1 + seen / train.samples) / a.epochs)
            progress.update(seen, f"loss {loss:.4f}")
        loss, accuracy = train_epoch(model, train, losses.cross_entropy, optimizer, on_batch)
        speed = train.samples / (time.perf_counter() - started)
        watched = evaluate(model, watch, losses.cross_entropy) if watch else None
    line = f"epoch {epoch:3}/{a.epochs}  loss {loss:.4f}  accuracy {accuracy:.4f}"
    if watched:
        line += f"  validation loss {watched[0]:.4f}  accuracy {watched[1]:.4f}"
    _say(f"{line}  {speed:8.0f} samples/s")
    return watched and watched[0]


def _widths(model):
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    return [linear[0].weight.shape[0], *(layer.weight.shape[1] for layer in linear)]


def _names(path):
    """The file that --save means, and its name while it is written."""
    path = path if path.endswith(".npz") else path + ".npz"
    return path, path + ".part"


def _save(model, path):
    """Writes the weights, all or nothing: under another name first. Returns the file's name."""
    path, part = _names(path)
    try:
        with open(part, "wb") as file:
            np.savez(file, **model.state_dict())
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)
    return path


def _rescue(model, epoch, a):
    """Saves the weights of a training that ends before its time, if it has begun. Returns what became of them."""
    if not a.save or not epoch:
        return ""
    try:
        return f"; weights saved in {_save(model, a.save)}"
    except OSError as error:
        return f"; weights not saved: {error}"


def _amount(n, thing):
    return f"{n} {thing}" + ("" if n == 1 else "s")


def _say(text):
    print(text, flush=True)


def _fail(problem):
    print(f"nncore train: {problem}", file=sys.stderr)
    return 2


def parser():
    """The arguments of `python -m nncore train` on their own."""
    result = argparse.ArgumentParser(prog="python -m nncore train")
    add_arguments(result)
    return result
