"""Guards around the engine's memory, by its own allocator: a freed block is the next one of its size to be handed out.

`poison` fills blocks and the 64 bytes behind them with 0xFF (NaN in float32) and frees them. An op that leaves part of its
output unwritten shows NaN; one that writes behind its end changes the guard, which `check_guard` sees.
"""
import ctypes

from nncore import _core

GUARD = 64
poisoned = {}  # address -> bytes of the block that were filled before its guard


def poison(*arrays, copies=3):
    """Prepare the blocks that outputs of these shapes and dtypes will be made of."""
    poisoned.clear()
    blocks = [_core.empty(shape, dtype) for shape, dtype in arrays for _ in range(copies)]
    for block in blocks:
        ctypes.memset(block.address, 0xFF, block.nbytes + GUARD)
        poisoned[block.address] = block.nbytes


def check_guard(array, what):
    """True if the array lies in a poisoned block; AssertionError if the bytes behind it were written."""
    if poisoned.get(array.address) != array.nbytes:
        return False
    # the first 8 bytes of a free block are its link; an array shorter than that has no guard before them
    behind = ctypes.string_at(array.address + max(array.nbytes, 8), GUARD - max(0, 8 - array.nbytes))
    assert behind == b"\xff" * len(behind), f"{what}: written behind its end: {behind.hex()}"
    return True
