from collections.abc import Callable
from typing import Literal

from nncore.data import DataLoader
from nncore.nn import Module
from nncore.optim import Optimizer
from nncore.tensor import Tensor

LossFunction = Callable[[Tensor, Tensor], Tensor]

def train_epoch(
    model: Module, loader: DataLoader, loss_function: LossFunction, optimizer: Optimizer,
    on_batch: Callable[[int, float], object] | None = None,
    compiled: bool = True,
) -> tuple[float, float]: ...
def evaluate(model: Module, loader: DataLoader, loss_function: LossFunction) -> tuple[float, float]: ...

class EarlyStopping:
    patience: int
    min_delta: float
    mode: Literal["min", "max"]
    best: float
    best_epoch: int | None
    epoch: int
    def __init__(self, patience: int = 5, min_delta: float = 0.0, mode: Literal["min", "max"] = "min") -> None: ...
    def update(self, value: float, model: Module | None = None) -> bool: ...
    def restore(self, model: Module) -> None: ...
