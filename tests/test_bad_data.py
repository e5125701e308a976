"""Data that make no sense, end where nothing may be read, or may not be written: refused, or left as they are."""
import ctypes
import mmap

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.data import DataLoader


@pytest.mark.parametrize("call", [
    lambda: DataLoader(None), lambda: DataLoader("abc"), lambda: DataLoader(1.0), lambda: DataLoader([]),
    lambda: DataLoader(np.zeros((0, 3))),
    lambda: DataLoader([[1], [1, 2]]), lambda: DataLoader(np.zeros((1,) * 6)),
    lambda: DataLoader(np.zeros(3, complex)), lambda: DataLoader([None]),
    lambda: DataLoader(np.zeros((3, 2)), np.zeros(2)), lambda: DataLoader(np.zeros((3, 2)), 1),
    lambda: DataLoader(np.zeros((3, 2)), ["a"] * 3),
    lambda: DataLoader(np.zeros((3, 2)), [1j] * 3), lambda: DataLoader(np.zeros((3, 2)), batch_size=0),
    lambda: DataLoader(np.zeros((3, 2)), batch_size=-1),
    lambda: DataLoader(np.zeros((3, 2)), batch_size=1.5), lambda: DataLoader(np.zeros((3, 2)), batch_size="2"),
    lambda: DataLoader(np.zeros((3, 2)), batch_size=None),
    lambda: DataLoader(np.zeros((3, 2)), batch_size=True),
    lambda: DataLoader(np.zeros((3, 2)), batch_size=4, drop_last=True),
    lambda: DataLoader(np.zeros((3, 2)), rows=[3]), lambda: DataLoader(np.zeros((3, 2)), rows=[-1]),
    lambda: DataLoader(np.zeros((3, 2)), rows=[]),
    lambda: DataLoader(np.zeros((3, 2)), rows=[0.5]), lambda: DataLoader(np.zeros((3, 2)), rows=[True]),
    lambda: DataLoader(np.zeros((3, 2)), scale=[1.0] * 3),
    lambda: DataLoader(np.zeros((3, 2)), scale="x"), lambda: DataLoader(np.zeros((3, 2)), shift=1j),
    lambda: DataLoader(np.zeros((3, 2)), seed="x"),
    lambda: DataLoader(np.zeros(3), np.array([2**63] * 3, "u8")),
    lambda: DataLoader(np.broadcast_to(np.float64(0), (2**31, 2))),
    lambda: DataLoader(np.broadcast_to(np.float32(0), (3, 2**31))),
    lambda: DataLoader(np.zeros(3), np.broadcast_to(np.int32(0), (2**31,))),
    lambda: DataLoader(np.zeros((3, 2)), rows=np.broadcast_to(np.int64(0), (2, 2))),
])
def test_data_loader_refuses(call):
    with pytest.raises((ValueError, TypeError, MemoryError)) as e:
        call()
    assert str(e.value)


class AtTheEndOfAPage:
    """Arrays whose last byte is the last of a page behind which nothing may be read."""

    def __init__(self, n):
        page = mmap.PAGESIZE
        self.pages = -(-n // page)
        self.map = mmap.mmap(-1, (self.pages + 1) * page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(address + self.pages * page), ctypes.c_size_t(page), 0):
            pytest.skip("mprotect does not work here")
        self.raw = np.frombuffer(self.map, "u1", n, self.pages * page - n)

    def array(self, values):
        a = self.raw.view(values.dtype).reshape(values.shape)
        a[...] = values
        return a


@pytest.mark.skipif(not hasattr(mmap, "PAGESIZE"), reason="needs mmap")
@pytest.mark.parametrize("dtype", ["f4", "u1", "i8", "?"])
@pytest.mark.parametrize("features", [1, 3, 15, 16, 17, 33, 100])
def test_data_that_end_with_their_page(isa, dtype, features):
    values = (np.arange(7 * features).reshape(7, features) % 3).astype(dtype)
    x = AtTheEndOfAPage(values.nbytes).array(values)
    options = [dict(), dict(scale=2.0), dict(shift=np.ones(features)), dict(scale=np.ones(features), shift=1.0)]
    for option in options:
        for inputs, _ in DataLoader(x, batch_size=3, **option):
            assert inputs.shape[1] == features
    labels = AtTheEndOfAPage(7 * 8).array(np.arange(7))
    assert sum(int(t.numpy().sum()) for _, t in DataLoader(x, labels, 2)) == 21
    assert (nncore.tensor(x).numpy() == values).all() and (nncore.tensor(x[::-1]).numpy() == values[::-1]).all()
    assert (nncore.ones(7, features).numpy() + values == (nncore.ones(7, features) + x).numpy()).all()


def test_data_that_may_not_be_written():
    a = np.arange(12, dtype="f4").reshape(4, 3)
    a.flags.writeable = False
    for inputs, _ in DataLoader(a, batch_size=2):
        inputs.fill_(0.0)  # a copy
    assert a.sum() == 66
    borrowed = nncore._core.borrow(a)
    assert not borrowed.numpy().flags.writeable
    with pytest.raises((BufferError, ValueError, TypeError)):
        memoryview(bytes(8)).cast("f")[0] = 1.0
    model = nn.Linear(3, 2)
    state = {k: v for k, v in model.state_dict().items()}
    for v in state.values():
        v.flags.writeable = False
    model.load_state_dict(state)
    model.weight.fill_(1.0)
    assert not (state["weight"] == 1).all()
