from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Any, Final, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from nncore.data import augment as augment
from nncore.data.augment import Step
from nncore.tensor import Tensor, TensorLike

CIFAR10_CLASSES: Final[tuple[str, ...]]
FASHION_CLASSES: Final[tuple[str, ...]]
Array = npt.NDArray[Any]
Path = str | PathLike[str]

class Samples(NamedTuple):
    inputs: Array
    targets: Array

class TrainTest(NamedTuple):
    train: Samples
    test: Samples

class Batch(NamedTuple):
    inputs: Tensor
    targets: Any  # a Tensor; None where the loader has no targets

def digits() -> TrainTest: ...
def mnist(directory: Path | None = None, download: bool = True, channels: bool = False) -> TrainTest: ...
def fashion_mnist(directory: Path | None = None, download: bool = True, channels: bool = False) -> TrainTest: ...
def cifar10(directory: Path | None = None, download: bool = True, subset: bool = False) -> TrainTest: ...
def split(
    inputs: npt.ArrayLike, targets: npt.ArrayLike, fraction: float = 0.1, seed: int = 0
) -> tuple[Samples, Samples]: ...
def split_rows(
    count: int, fraction: float = 0.1, seed: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

class Standardizer:
    per_feature: bool
    mean: npt.NDArray[np.float32] | None
    std: npt.NDArray[np.float32] | None
    scale: npt.NDArray[np.float32] | None
    shift: npt.NDArray[np.float32] | None
    def __init__(self, per_feature: bool = True) -> None: ...
    def fit(self, inputs: npt.ArrayLike, rows: npt.ArrayLike | None = None) -> Self: ...
    @overload
    def __call__(self, x: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]: ...
    @overload
    def transform(self, x: Tensor) -> Tensor: ...
    @overload
    def transform(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]: ...
    @overload
    def inverse(self, y: Tensor) -> Tensor: ...
    @overload
    def inverse(self, y: npt.ArrayLike) -> npt.NDArray[np.float32]: ...
    def factors(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]: ...

class DataLoader:
    batch_size: int
    shuffle: bool
    drop_last: bool
    transform: Callable[[Tensor], Tensor] | None
    def __init__(
        self, inputs: TensorLike, targets: TensorLike | None = None, batch_size: int = 32, shuffle: bool = False,
        drop_last: bool = False, seed: int | None = None, *, rows: npt.ArrayLike | None = None,
        scale: npt.ArrayLike | None = None, shift: npt.ArrayLike | None = None,
        transform: Standardizer | Callable[[Tensor], Tensor] | None = None, augment: Step | Sequence[Step] | None = None
    ) -> None: ...
    @property
    def samples(self) -> int: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
