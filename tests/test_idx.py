"""The idx reader: right files are read, wrong ones are named and refused, and never believed beyond their size."""
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nncore.data import idx

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def encode(array, code=0x08):
    return bytes((0, 0, code, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, data, compressed):
    path.write_bytes(gzip.compress(data, 6) if compressed else data)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (0,), (0, 28, 28), (2, 0)])
def test_reads_what_was_written(tmp_path, dtype, shape, compressed):
    array = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    result = idx.read(write(tmp_path / "a", encode(array, CODES[dtype]), compressed))
    assert result.shape == shape and result.dtype == np.dtype(dtype).newbyteorder("=")
    assert result.dtype.isnative and (result == array).all()


def test_larger_than_a_piece(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 1 << 20), dtype=np.uint8)
    assert (idx.read(write(tmp_path / "a", encode(array), True)) == array).all()


BODY = encode(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("data, reason", [
    (b"", "cut short"),
    (BODY[:3], "cut short"),
    (BODY[:9], "cut short"),
    (BODY[:-1], "cut short"),
    (BODY + b"x", "goes on"),
    (b"\x00\x00\x07\x01" + BODY[4:], "not an idx file"),
    (b"\x00\x00\x08\x00" + BODY[4:], "not an idx file"),
    (b"PK\x03\x04" + BODY[4:], "not an idx file"),
    (b"\x00\x00\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "more than it can hold"),
    (b"\x00\x00\x08\x03" + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1), "impossible shape"),
])
def test_wrong_content(tmp_path, data, reason, compressed):
    path = write(tmp_path / "train-images", data, compressed)
    with pytest.raises(ValueError, match=reason) as caught:
        idx.read(path)
    assert str(path) in str(caught.value)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(BODY)
    for data in (whole[:5], whole[:-1], whole[:-9], whole[:-8] + b"\0\0\0\0" + whole[-4:], whole[:12] + b"\xff" * 40):
        with pytest.raises(ValueError, match="a.gz"):
            idx.read(write(tmp_path / "a.gz", data, False))


def test_missing_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "no")
    with pytest.raises(IsADirectoryError):
        idx.read(tmp_path)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x0e\x02\0\0", BODY[:20]]),
       compressed=st.booleans(), cut=st.integers(0, 40))
def test_any_bytes_give_an_array_or_a_value_error(tmp_path_factory, data, head, compressed, cut):
    path = tmp_path_factory.mktemp("idx") / "f"
    data = gzip.compress(head + data) if compressed else head + data
    path.write_bytes(data[:len(data) - cut] if cut < 10 else data)
    try:
        assert isinstance(idx.read(path), np.ndarray)
    except ValueError as error:
        assert str(path) in str(error)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 10**9), value=st.integers(0, 255))
def test_one_wrong_byte_never_gives_wrong_numbers_in_gzip(tmp_path_factory, position, value):
    whole = bytearray(gzip.compress(BODY, mtime=0))
    position = position % (len(whole) - 10) + 10  # behind gzip's header, which holds nothing but a name and a time
    if whole[position] == value:
        return
    whole[position] = value
    path = tmp_path_factory.mktemp("idx") / "f"
    path.write_bytes(whole)
    try:
        assert (idx.read(path) == np.arange(60).reshape(3, 4, 5)).all()  # the bits that pad the last byte say nothing
    except ValueError:
        pass
