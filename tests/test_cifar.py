"""CIFAR-10's binary files: every spelling and place, parts of the data, damage, download."""
import gzip
import hashlib
import io
import lzma
import os
import tarfile

import numpy as np
import pytest

from nncore.data import CIFAR10_CLASSES, cifar, cifar10, fashion_mnist, mnist
from test_data import nowhere, published, put, server, shared_data  # noqa: F401, fixtures and small MNIST files

FILES = (*cifar.TRAIN, cifar.TEST)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files of 7 records instead of 10000, and no network."""
    monkeypatch.setattr(cifar, "BATCH", 7)
    monkeypatch.setattr(cifar, "MIRRORS", ("http://127.0.0.1:9/",))


def records(seed, n=7):
    data = np.random.default_rng(seed).integers(0, 256, (n, 3073), dtype=np.uint8)
    data[:, 0] %= 10
    return data


PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


def write(folder, names=FILES, end="", n=7):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / (name + ".bin" + end)).write_bytes(PACK[end](records(FILES.index(name), n).tobytes()))
    return folder


def archive(path, names=FILES):
    with tarfile.open(path, "w:gz") as tar:
        for name in ("batches.meta.txt", *(name + ".bin" for name in names)):
            data = b"airplane\n" if name.endswith("txt") else records(FILES.index(name[:-4])).tobytes()
            info = tarfile.TarInfo("cifar-10-batches-bin/" + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def check(data, names=FILES[:-1]):
    expected = np.concatenate([records(FILES.index(name)) for name in names])
    (x, y), (x_test, y_test) = data
    assert x.shape == (len(expected), 32, 32, 3) and x.dtype == np.uint8 and y.dtype == np.int64
    assert (y == expected[:, 0]).all() and (y_test == records(5)[:, 0]).all() and x_test.shape == (7, 32, 32, 3)
    for channel in range(3):  # plane after plane in the file, pixel after pixel in the array
        plane = expected[:, 1 + 1024 * channel:1025 + 1024 * channel]
        assert (x[..., channel].reshape(len(x), 1024) == plane).all()


@pytest.mark.parametrize("folder", ["", "cifar10", "cifar-10-batches-bin"])
@pytest.mark.parametrize("end", ["", ".gz", ".xz"])
def test_from_a_directory(nowhere, folder, end):  # noqa: F811
    write(nowhere / folder, end=end)
    check(cifar10(nowhere))
    check(cifar10(nowhere, subset=True))


@pytest.mark.parametrize("folder", ["", "cifar10"])
def test_from_the_archive(nowhere, folder):  # noqa: F811
    (nowhere / folder).mkdir(exist_ok=True)
    archive(nowhere / folder / cifar.ARCHIVE)
    check(cifar10(nowhere))
    write(nowhere / "cifar10", FILES[:1])  # what is whole is preferred
    check(cifar10(nowhere))


def test_what_needs_no_unpacking_is_preferred(nowhere):  # noqa: F811
    write(nowhere)
    for end in (".gz", ".xz"):
        (nowhere / ("data_batch_2.bin" + end)).write_bytes(b"damaged")
    check(cifar10(nowhere))


def test_a_part_must_be_asked_for(nowhere):  # noqa: F811
    names = ("data_batch_2", "data_batch_5", "test_batch")
    write(nowhere / "cifar10", names, ".xz")
    with pytest.raises(FileNotFoundError) as caught:
        cifar10(nowhere)
    message = str(caught.value)
    for part in ("data_batch_1.bin, data_batch_3.bin, data_batch_4.bin.", str(nowhere / "cifar10"), cifar.ARCHIVE,
                 "14 of 35 images to train on and 7 of 7 to test", "subset=True"):
        assert part in message
    assert "test_batch" not in message and "data_batch_2" not in message
    check(cifar10(nowhere, subset=True), names[:2])


def test_the_first_images_of_the_test_batch(nowhere):  # noqa: F811
    write(nowhere, FILES[:1])
    (nowhere / "test_batch_first3.bin").write_bytes(records(5, 3).tobytes())
    with pytest.raises(FileNotFoundError, match="test_batch.bin.*7 of 35 .* and 3 of 7 to test"):
        cifar10(nowhere)
    train, test = cifar10(nowhere, subset=True)
    assert len(train.inputs) == 7 and len(test.inputs) == len(test.targets) == 3
    (nowhere / "test_batch_first4.bin").write_bytes(records(5, 3).tobytes())
    with pytest.raises(ValueError, match="test_batch_first4.bin: 9219 bytes, not the 12292 bytes of 4 images"):
        cifar10(nowhere, subset=True)


@pytest.mark.parametrize("names", [FILES[:5], FILES[5:], ()])
def test_too_little_even_for_a_part(nowhere, names):  # noqa: F811
    write(nowhere, names)
    with pytest.raises(FileNotFoundError) as caught:
        cifar10(nowhere, subset=True)
    assert "subset" not in str(caught.value) and all(name in str(caught.value) for name in set(FILES) - set(names))
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        cifar10(nowhere / "gone")


@pytest.mark.parametrize("end", ["", ".gz", ".xz"])
def test_damaged_files(nowhere, end):  # noqa: F811
    write(nowhere, end=end)
    path = nowhere / ("data_batch_3.bin" + end)
    whole = path.read_bytes()
    short, long, label = records(2, 6), records(2, 8), records(2)
    label[4, 0] = 10
    for data, match in ((PACK[end](short.tobytes()), "18438 bytes, not the 21511 bytes of 7 images"),
                        (PACK[end](long.tobytes()), "more than the 21511"), (PACK[end](label.tobytes()), "found 10"),
                        (b"", "not the 21511")):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"data_batch_3.bin{end}: .*{match}"):
            cifar10(nowhere)
    if end:
        path.write_bytes(whole[:-100])
        with pytest.raises(ValueError, match="cut short"):
            cifar10(nowhere)


def test_damaged_archives(nowhere):  # noqa: F811
    path = nowhere / cifar.ARCHIVE
    archive(path, FILES[:4])
    with pytest.raises(ValueError, match="without data_batch_5.bin, test_batch.bin"):
        cifar10(nowhere)
    archive(path)
    whole = path.read_bytes()
    for data in (whole[:50000], whole[:-1], b"", b"no archive"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cut short"):
            cifar10(nowhere)


@pytest.mark.parametrize("level", [0, 9])
def test_one_wrong_byte_of_an_archive_is_noticed(nowhere, level):  # noqa: F811
    path = nowhere / cifar.ARCHIVE
    archive(path)
    whole = gzip.compress(gzip.decompress(path.read_bytes()), level)
    for place in range(20, len(whole), len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(ValueError, match="cifar-10-binary.tar.gz: "):
            cifar10(nowhere)


def test_the_archive_is_downloaded_once(server, nowhere, monkeypatch):  # noqa: F811
    folder, address, requests = server
    with pytest.raises(FileNotFoundError, match="cache/nncore/cifar10; the download failed"):
        cifar10()
    with pytest.raises(FileNotFoundError) as caught:
        cifar10(download=False)
    assert "the download failed" not in str(caught.value)
    archive(folder / cifar.ARCHIVE)
    monkeypatch.setattr(cifar, "MIRRORS", (address,))
    with pytest.raises(FileNotFoundError, match="wrong checksum"):
        cifar10()
    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256((folder / cifar.ARCHIVE).read_bytes()).hexdigest())
    check(cifar10())
    assert os.listdir(nowhere / "cache" / "nncore" / "cifar10") == [cifar.ARCHIVE] and len(requests) == 2
    check(cifar10())
    assert len(requests) == 2


@pytest.mark.skipif(not shared_data() or not os.path.isdir(os.path.join(shared_data(), "cifar10")),
                    reason="needs the published files: set NNCORE_DATA")
def test_the_published_files(monkeypatch):
    monkeypatch.setattr(cifar, "BATCH", 10000)
    train, test = cifar10(shared_data(), subset=True)
    assert len(train.inputs) % 10000 == 0 and len(test.inputs) >= 1000 and len(CIFAR10_CLASSES) == 10
    assert list(train.targets[:10]) == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3] and list(test.targets[:5]) == [3, 8, 8, 0, 6]
    assert train.inputs[0, 0, 0].tolist() == [59, 62, 63]  # the frog's first pixel
    means = train.inputs[:10000].mean((0, 1, 2)) / 255
    assert np.abs(means - [0.4914, 0.4822, 0.4465]).max() < 0.005  # those of all 50000 images


@pytest.mark.parametrize("load, folder", [(mnist, "mnist"), (fashion_mnist, "fashion")])
def test_mnist_with_an_axis_of_channels(nowhere, load, folder):  # noqa: F811
    put(nowhere / folder, published())
    plain, images = load(nowhere), load(nowhere, channels=True)
    for a, b in zip(plain, images):
        assert b.inputs.shape == (*a.inputs.shape, 1) and (a.inputs == b.inputs[..., 0]).all()
        assert b.inputs.flags.c_contiguous and (a.targets == b.targets).all()
