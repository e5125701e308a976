"""Optimizers: each is a state rule and an update rule (algorithms.py) over flat arenas (optimizer.py)."""
from . import algorithms, clip
from .algorithms import *
from .clip import *
from .optimizer import Optimizer

__all__ = ["Optimizer", *algorithms.__all__, *clip.__all__]
