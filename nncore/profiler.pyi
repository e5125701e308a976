import os
from types import TracebackType
from typing import NamedTuple, Self

__all__ = ["profile", "Call", "Total"]

class Call(NamedTuple):
    op: str
    shapes: tuple[tuple[int, ...], ...]
    outputs: int
    bytes: int
    flops: int
    start: int
    ns: int
    thread: int

class Total(NamedTuple):
    name: str
    calls: int
    seconds: float
    bytes: int
    flops: int

class profile:
    most_calls: int
    def __init__(self, most_calls: int = 1_000_000) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None: ...
    @property
    def calls(self) -> list[Call]: ...
    @property
    def dropped(self) -> int: ...
    @property
    def wall_seconds(self) -> float: ...
    @property
    def between_seconds(self) -> float: ...
    def totals(self, shapes: bool = False) -> list[Total]: ...
    def limits(self) -> tuple[float, float]: ...
    def table(self, shapes: bool = False) -> str: ...
    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None: ...
