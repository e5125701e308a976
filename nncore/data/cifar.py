"""CIFAR-10 in its published binary format: records of 3073 bytes, a label, then red, green and blue planes."""
import os
import re

import numpy as np

from .datasets import Samples, TrainTest, data_root

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

FOLDERS = ("cifar10", "cifar-10-batches-bin", "")  # where in a directory the files may lie
ARCHIVE = "cifar-10-binary.tar.gz"
MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/")
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = "test_batch"
BATCH = 10000   # records in each of the six files
RECORD = 3073


def cifar10(directory=None, download=True, subset=False):
    """CIFAR-10: 50000 + 10000 photographs of 32 x 32 points in ten classes (Krizhevsky, 2009).

    Returns TrainTest: inputs uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), red, green, blue; targets int64, 0 to 9,
    whose names are CIFAR10_CLASSES. Reads data_batch_1.bin to data_batch_5.bin and test_batch.bin, or with .gz or .xz
    behind their names, from `directory` or its sub-folder `cifar10` or `cifar-10-batches-bin`; or
    cifar-10-binary.tar.gz as it is. Without a directory: from $NNCORE_DATA or the cache, and downloaded to there, as
    `mnist` does it.

    subset: take what there is: at least one of the five batches, and test_batch, or the first N images of it in a file
    named test_batch_firstN.bin. len(train.inputs) and len(test.inputs) say how many images these are. Without it a part
    of the data is an error: FileNotFoundError, which says what was found, what is missing and where to put it.
    ValueError for damaged files.
    """
    root = data_root("CIFAR-10", directory)
    found, archive = _find(root)
    missing = [name for name in (*TRAIN, TEST) if name not in found]
    enough = any(name in found for name in TRAIN) and any(name.startswith(TEST) for name in found)
    problem, place = "", os.path.join(root, FOLDERS[0])
    if missing and not (subset and enough) and archive is None and download and not directory:
        from .download import fetch
        archive = os.path.join(place, ARCHIVE)
        try:
            fetch([mirror + ARCHIVE for mirror in MIRRORS], archive, SHA256)
        except OSError as error:
            archive, problem = None, f"; the download failed: {error}"
    if missing and archive is not None:
        return _read_archive(archive)
    if missing and not (subset and enough):
        raise FileNotFoundError(f"CIFAR-10: not in {root}: {', '.join(name + '.bin' for name in missing)}. Put the "
                                f"files, or {ARCHIVE}, there or in {place}{_offer(found) if enough else ''}{problem}")
    names = [name for name in TRAIN if name in found]
    train, test = _room(BATCH * len(names)), TEST if TEST in found else max(
        (name for name in found if name.startswith(TEST)), key=_announced)
    for i, name in enumerate(names):
        _read(found[name], _part(train, i))
    return TrainTest(train, _read(found[test], _room(_announced(test))))


def _find(root):
    """({name without .bin: path}, path of the archive or None), all in the folder that has most of them."""
    best, archive = {}, None
    for folder in (os.path.join(root, name) for name in FOLDERS):
        found = {}
        for file in sorted(os.listdir(folder), reverse=True) if os.path.isdir(folder) else ():
            match = re.fullmatch(r"(data_batch_[1-5]|test_batch(?:_first[1-9]\d*)?)\.bin(\.gz|\.xz)?", file)
            if match:
                found[match[1]] = os.path.join(folder, file)  # the shortest name comes last: what needs no unpacking
            elif file == ARCHIVE:
                archive = archive or os.path.join(folder, file)
        best = max(best, found, key=len)
    return best, archive


def _announced(name):
    """How many records the file of that name has."""
    return int(name.partition("_first")[2] or BATCH)


def _offer(found):
    train = [name for name in TRAIN if name in found]
    test = max(_announced(name) for name in found if name.startswith(TEST))
    return (f". What is there, {len(train) * BATCH} of {5 * BATCH} images to train on and {test} of {BATCH} to test, "
            "can be had with subset=True")


def _room(count):
    return Samples(np.empty((count, 32, 32, 3), np.uint8), np.empty(count, np.int64))


def _part(samples, i):
    return Samples(*(array[i * BATCH:(i + 1) * BATCH] for array in samples))


def _read(path, to):
    """Fills the samples `to` from a file that should have as many records. Returns them."""
    import gzip
    import lzma
    import zlib

    with open(path, "rb") as file:
        start = file.read(6)
    unpack = gzip.open if start[:2] == b"\x1f\x8b" else lzma.open if start == b"\xfd7zXZ\0" else open
    try:
        with unpack(path, "rb") as file:
            return _records(file, path, to)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{path}: the compressed data are cut short or damaged ({error})") from error


def _read_archive(path):
    import gzip
    import tarfile
    import zlib

    train, test, read = _room(len(TRAIN) * BATCH), _room(BATCH), set()
    try:
        with gzip.open(path, "rb") as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                name = os.path.basename(member.name).removesuffix(".bin")
                if member.isfile() and name in (*TRAIN, TEST):
                    to = test if name == TEST else _part(train, TRAIN.index(name))
                    _records(archive.extractfile(member), f"{path}: {member.name}", to)
                    read.add(name)
            while unpacked.read(1 << 20):  # gzip's checksum stands at its end, which tarfile does not read
                pass
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: cut short or damaged ({error})") from error
    missing = [name + ".bin" for name in (*TRAIN, TEST) if name not in read]
    if missing:
        raise ValueError(f"{path}: without {', '.join(missing)}")
    return TrainTest(train, test)


def _records(file, path, to):
    """Fills images [n,32,32,3] and labels from the n records of a file that has no more."""
    count = len(to.targets)
    data = file.read(count * RECORD + 1)
    if len(data) != count * RECORD:
        more = "more than " if len(data) > count * RECORD else f"{len(data)} bytes, not "
        raise ValueError(f"{path}: {more}the {count * RECORD} bytes of {count} images")
    records = np.frombuffer(data, np.uint8).reshape(count, RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(f"{path}: labels 0 to 9 expected, found {records[:, 0].max()}")
    to.targets[:] = records[:, 0]
    to.inputs[:] = records[:, 1:].reshape(count, 3, 32, 32).transpose(0, 2, 3, 1)
    return to
