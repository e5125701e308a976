"""Reader for idx files, the format MNIST and Fashion-MNIST are published in (LeCun, Cortes and Burges, 1998).

A file is: two zero bytes, one byte for the element type, one for the number of dimensions; each dimension as a
big-endian 32-bit integer; then the elements, row-major and big-endian. It may be compressed with gzip.

The elements are decompressed piece by piece straight into the array that is returned, so reading the 47 MB of MNIST's
training images takes 47 MB and not a second copy. A header is believed only as far as the size of the file allows:
a damaged one must not make us ask the system for terabytes.
"""
import math
import os

import numpy as np

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 1 << 20          # bytes asked for at once
_DEFLATE_LIMIT = 1032     # deflate cannot compress better than 1032 : 1


def read(path):
    """Returns the array in the idx file `path`, plain or gzip-compressed, in this machine's byte order.

    Raises FileNotFoundError when there is no such file, and ValueError naming the file when it is not idx, is cut
    short, is damaged (gzip's checksum is verified) or goes on after its last element.
    """
    import gzip  # not at the top: `import nncore` does without it
    import zlib

    with open(path, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        room = os.fstat(raw.fileno()).st_size * (_DEFLATE_LIMIT if compressed else 1)
        if not compressed:
            return _read_elements(raw, path, room)
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                return _read_elements(file, path, room)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: the gzip data are cut short or damaged ({error})") from error


def _read_elements(file, path, room):
    magic = _exactly(file, 4, path)
    if magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 8:
        raise ValueError(f"{path}: not an idx file: it starts with {magic.hex(' ')}, expected 00 00 type dimensions")
    dtype = np.dtype(_TYPES[magic[2]])
    shape = tuple(int(n) for n in np.frombuffer(_exactly(file, 4 * magic[3], path), ">u4"))
    size = math.prod(shape) * dtype.itemsize
    if size > room:
        raise ValueError(f"{path}: cut short: its header announces shape {shape}, {size} bytes, more than it can hold")

    try:
        array = np.empty(shape, dtype)
    except ValueError:  # no elements, but more than an address can count along the other axes
        raise ValueError(f"{path}: its header announces the impossible shape {shape}") from None
    rest = memoryview(array.reshape(-1).view(np.uint8))
    while len(rest):
        n = file.readinto(rest[:_PIECE])
        if not n:
            raise ValueError(f"{path}: cut short: {len(rest)} of {size} bytes are missing for shape {shape}")
        rest = rest[n:]
    if file.read(1):  # at the end of a gzip file this also verifies its checksum
        raise ValueError(f"{path}: goes on after the {size} bytes of its shape {shape}")
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array


def _exactly(file, n, path):
    data = file.read(n)
    if len(data) != n:
        raise ValueError(f"{path}: cut short: the file ends within the idx header")
    return data
