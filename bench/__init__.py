"""Measures nncore against NumPy, PyTorch, JAX, scikit-learn and the limits of the machine: `python -m bench`.

Every engine runs in a process of its own (`worker.py`), because thread pools clash and an import changes a process.
The controller makes them take turns: round by round, each worker times the same case for some milliseconds while all
others are stopped, so a clock that drifts or a neighbour that wakes up hits everybody. Ratios come from the minima and
from the pairs of one round. One file asks one question and lists its cases; one file in `engines/` says how an engine
answers.
"""
