from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from nncore.tensor import Tensor, TensorLike

__all__ = ["Augment", "CenterCrop", "ColorJitter", "CutMix", "Cutout", "Mixup", "Normalize", "RandomCrop",
           "RandomErasing", "RandomHorizontalFlip", "RandomVerticalFlip"]

Colour = float | Sequence[float] | npt.NDArray[np.floating]
Size = int | tuple[int, int]
Limits = tuple[float, float]

class Step:
    rank: int

class RandomHorizontalFlip(Step):
    p: float
    def __init__(self, p: float = 0.5) -> None: ...

class RandomVerticalFlip(Step):
    p: float
    def __init__(self, p: float = 0.5) -> None: ...

class RandomCrop(Step):
    size: tuple[int, int]
    padding: tuple[int, ...]
    padding_mode: str
    fill: Colour
    def __init__(
        self, size: Size, padding: int | Sequence[int] = 0,
        padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant", fill: Colour = 0
    ) -> None: ...

class CenterCrop(Step):
    size: tuple[int, int]
    def __init__(self, size: Size) -> None: ...

class ColorJitter(Step):
    brightness: Limits
    contrast: Limits
    def __init__(self, brightness: float | Limits = 0, contrast: float | Limits = 0) -> None: ...

class Normalize(Step):
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    def __init__(self, mean: Colour, std: Colour) -> None: ...

class Cutout(Step):
    size: tuple[int, int]
    n_holes: int
    value: Colour
    p: float
    def __init__(self, size: Size, n_holes: int = 1, value: Colour = 0, p: float = 1.0) -> None: ...

class RandomErasing(Step):
    p: float
    scale: Limits
    ratio: Limits
    value: Colour
    def __init__(
        self, p: float = 0.5, scale: Limits = (0.02, 0.33), ratio: Limits = (0.3, 3.3), value: Colour = 0
    ) -> None: ...

class _Mix(Step):
    alpha: float
    p: float
    num_classes: int | None
    def __init__(self, alpha: float = 1.0, p: float = 1.0, num_classes: int | None = None) -> None: ...

class Mixup(_Mix): ...
class CutMix(_Mix): ...

class Augment:
    steps: list[Step]
    def __init__(self, steps: Step | Sequence[Step], seed: int | None = None) -> None: ...
    @overload
    def __call__(self, images: TensorLike, targets: None = None) -> Tensor: ...
    @overload
    def __call__(self, images: TensorLike, targets: TensorLike) -> tuple[Tensor, Tensor]: ...
