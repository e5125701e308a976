"""Guards around the engine's memory, by its own allocator: a freed block is the next one of its size to be handed out.

`poison` fills blocks, and the 64 bytes behind each, with 0xFF (NaN in float32) and frees them. An op that leaves part
of its output unwritten shows NaN; one that writes behind its end changes the guard, which `check_guard` sees.
"""
import ctypes

from nncore import _core

GUARD = 64
poisoned = {}  # address -> bytes of the block


def block_size(nbytes):
    """Size of the block that csrc/memory.c uses: four sizes to a power of two, from 64 on."""
    nbytes = max(nbytes, 64)
    quarter = 1 << (nbytes.bit_length() - 3)
    return -(-nbytes // quarter) * quarter


def poison(*arrays, copies=3):
    """Prepare the blocks that outputs of these shapes and dtypes will be made of."""
    poisoned.clear()
    blocks = [_core.empty(shape, dtype) for shape, dtype in arrays for _ in range(copies)]
    for block in blocks:
        poisoned[block.address] = block_size(block.nbytes)
        ctypes.memset(block.address, 0xFF, poisoned[block.address] + GUARD)


def check_guard(array, what, first=True):
    """True if the array lies in a poisoned block; AssertionError if anything behind it was written.

    first: it is the first array in that block since `poison`; else another one may have been longer, and only what lies
    behind the block is certain to be nobody's.
    """
    if poisoned.get(array.address) != block_size(array.nbytes):
        return False
    # the first 8 bytes of a free block are its link
    start = max(array.nbytes, 8) if first else poisoned[array.address]
    behind = ctypes.string_at(array.address + start, poisoned[array.address] + GUARD - start)
    assert behind == b"\xff" * len(behind), f"{what}: written behind its end: {behind[:80].hex()}"
    return True
