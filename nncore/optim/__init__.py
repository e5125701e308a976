"""Optimizers: each is a state rule and an update rule (algorithms.py) over flat arenas (optimizer.py). Learning rates
that change with time: lr_scheduler.py."""
from . import algorithms, clip, lr_scheduler
from .algorithms import *
from .clip import *
from .lr_scheduler import *
from .optimizer import Optimizer

__all__ = ["Optimizer", *algorithms.__all__, *clip.__all__, *lr_scheduler.__all__, "lr_scheduler"]
