from collections.abc import Iterable
from typing import Any

from nncore.optim import lr_scheduler as lr_scheduler
from nncore.optim.lr_scheduler import *
from nncore.tensor import Tensor

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]
State = list[tuple[str | None, float]]

class Optimizer:
    op: str | None
    layout: tuple[tuple[int, Any], ...]
    switches: tuple[str, ...]
    defaults: dict[str, Any]
    param_groups: list[dict[str, Any]]
    def __init__(self, parameters: Parameters, defaults: dict[str, Any]) -> None: ...
    def states(self, group: dict[str, Any]) -> State: ...
    def flags(self, group: dict[str, Any]) -> int: ...
    def check(self, group: dict[str, Any]) -> None: ...
    def add_param_group(self, group: dict[str, Any]) -> None: ...
    def step(self) -> None: ...
    def zero_grad(self, set_to_none: bool = True) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...

class SGD(Optimizer):
    def __init__(
        self, parameters: Parameters, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False, maximize: bool = False
    ) -> None: ...

class RMSprop(Optimizer):
    def __init__(
        self, parameters: Parameters, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, maximize: bool = False
    ) -> None: ...

class Adam(Optimizer):
    decoupled: bool
    def __init__(
        self, parameters: Parameters, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, maximize: bool = False
    ) -> None: ...

class AdamW(Adam):
    def __init__(
        self, parameters: Parameters, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, maximize: bool = False
    ) -> None: ...

class Adagrad(Optimizer):
    def __init__(
        self, parameters: Parameters, lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0, eps: float = 1e-10, maximize: bool = False
    ) -> None: ...

class Adadelta(Optimizer):
    def __init__(
        self, parameters: Parameters, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0,
        maximize: bool = False
    ) -> None: ...

def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor: ...
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None: ...
