"""Data sets, download, loader, standardisation and splitting."""
import copy
import gzip
import hashlib
import http.server
import os
import pickle
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nncore
from nncore.data import (
    DataLoader, Standardizer, augment, datasets, digits, download, fashion_mnist, mnist, split, split_rows)

NAMES = datasets._FILES


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def published(n=20, seed=0):
    """{name: bytes} of four small files in MNIST's format."""
    rng = np.random.default_rng(seed)
    arrays = []
    for count in (n, n // 2):
        arrays += [rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8)]
    return {name: idx_bytes(array) for name, array in zip(NAMES, arrays)}


def put(folder, files, end=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name + end)).write_bytes(gzip.compress(data) if end == ".gz" else data)
    return folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without data and without a network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NNCORE_DATA", raising=False)
    for source in ("_MNIST", "_FASHION"):
        monkeypatch.setattr(datasets, source, getattr(datasets, source)._replace(mirrors=("http://127.0.0.1:9/",)))
    return tmp_path


# Data sets


def test_digits():
    train, test = digits()
    assert train.inputs.shape == (1442, 8, 8) and test.inputs.shape == (355, 8, 8)
    for part in (train, test):
        assert part.inputs.dtype == np.uint8 and part.targets.dtype == np.int64
        assert part.inputs.max() == 16 and set(part.targets) == set(range(10))
    assert (np.bincount(test.targets) >= 34).all()


def test_digits_are_those_of_uci():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    inputs, targets = sklearn_datasets.load_digits(return_X_y=True)
    train, test = digits()
    ours = np.concatenate([np.column_stack([p.inputs.reshape(-1, 64), p.targets]) for p in (train, test)])
    theirs = np.column_stack([inputs, targets]).astype(int)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_from_a_directory(nowhere, folder, end):
    files = published()
    put(nowhere / folder, files, end)
    (x, y), (x_test, y_test) = mnist(nowhere)
    assert x.shape == (20, 28, 28) and x.dtype == np.uint8 and x_test.shape == (10, 28, 28)
    assert y.dtype == np.int64 and len(y_test) == 10
    assert x.tobytes() == files[NAMES[0]][16:] and bytes(y_test.astype(np.uint8)) == files[NAMES[3]][8:]


def test_the_two_sets_are_told_apart_by_their_folders(nowhere):
    put(nowhere / "mnist", published(seed=1))
    put(nowhere / "fashion", published(seed=2))
    assert (mnist(nowhere).train.inputs != fashion_mnist(nowhere).train.inputs).any()


def test_environment_and_cache(nowhere, monkeypatch):
    put(nowhere / "cache" / "nncore" / "mnist", published(20))
    assert len(mnist().train.inputs) == 20
    put(nowhere / "elsewhere", published(30))
    monkeypatch.setenv("NNCORE_DATA", str(nowhere / "elsewhere"))
    assert len(mnist().train.inputs) == 30
    assert len(mnist(str(nowhere / "cache" / "nncore")).train.inputs) == 20


def test_absent_files_are_named(nowhere):
    with pytest.raises(FileNotFoundError, match="there is no directory .*/gone"):
        mnist(nowhere / "gone")
    put(nowhere / "mnist", {NAMES[0]: b""})
    with pytest.raises(FileNotFoundError) as caught:
        mnist(nowhere)
    message = str(caught.value)
    assert NAMES[0] not in message and all(name in message for name in NAMES[1:]) and str(nowhere / "mnist") in message
    with pytest.raises(FileNotFoundError, match="Put the files .* in .*cache/nncore/fashion; the download failed"):
        fashion_mnist()
    with pytest.raises(FileNotFoundError) as caught:
        fashion_mnist(download=False)
    assert "the download failed" not in str(caught.value)


@pytest.mark.parametrize("name, array", [
    (NAMES[0], np.zeros((20, 28, 27), np.uint8)), (NAMES[0], np.zeros((0, 28, 28), np.uint8)),
    (NAMES[1], np.zeros(19, np.uint8)), (NAMES[1], np.full(20, 10, np.uint8)), (NAMES[3], np.zeros((10, 1), np.uint8)),
])
def test_files_that_do_not_fit(nowhere, name, array):
    put(nowhere, published() | {name: idx_bytes(array)})
    with pytest.raises(ValueError, match=name):
        mnist(nowhere)


def shared_data():
    for path in (os.environ.get("NNCORE_DATA"), os.path.join(os.path.dirname(__file__), "..", "..", "shared", "data")):
        if path and os.path.isfile(os.path.join(path, "mnist", NAMES[0] + ".gz")):
            return path
    return None


@pytest.mark.skipif(not shared_data(), reason="needs the published files: set NNCORE_DATA")
def test_the_published_files():
    train, test = mnist(shared_data())
    assert train.inputs.shape == (60000, 28, 28) and test.inputs.shape == (10000, 28, 28)
    assert list(train.targets[:5]) == [5, 0, 4, 1, 9] and list(test.targets[:5]) == [7, 2, 1, 0, 4]
    assert round(train.inputs.mean() / 255, 4) == 0.1307
    for name, sha256 in datasets._MNIST.sha256.items():
        with open(os.path.join(shared_data(), "mnist", name + ".gz"), "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == sha256


# Download


@pytest.fixture
def server(tmp_path):
    """A mirror on this machine. Yields (folder, address, requests)."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            requests.append(self.path)
            if self.path == "/short":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"too little")
            else:
                super().do_GET()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/", requests
        running.shutdown()
        thread.join()


def test_fetch(server, tmp_path):
    folder, address, _ = server
    data = os.urandom(300_000)
    (folder / "file").write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    target = tmp_path / "new" / "deep" / "file"
    download.fetch([address + "absent", address + "short", "http://127.0.0.1:9/", address + "file"], target, sha256)
    assert target.read_bytes() == data and os.listdir(target.parent) == ["file"]


def test_fetch_leaves_nothing_behind_when_it_fails(server, tmp_path):
    folder, address, _ = server
    (folder / "file").write_bytes(b"not what was published")
    target = tmp_path / "new" / "file"
    with pytest.raises(ConnectionError) as caught:
        download.fetch([address + name for name in ("file", "short", "absent")], target, "0" * 64)
    for reason in ("wrong checksum", "after 10 of 1000 bytes", "404"):
        assert reason in str(caught.value)
    assert os.listdir(target.parent) == []


def test_mnist_is_downloaded_once(server, nowhere, monkeypatch):
    folder, address, requests = server
    put(folder, published())
    sums = {name: hashlib.sha256((folder / (name + ".gz")).read_bytes()).hexdigest() for name in NAMES}
    monkeypatch.setattr(datasets, "_MNIST", datasets._MNIST._replace(mirrors=(address,), sha256=sums))
    assert len(mnist().train.inputs) == 20 and len(requests) == 4
    assert sorted(os.listdir(nowhere / "cache" / "nncore" / "mnist")) == sorted(name + ".gz" for name in NAMES)
    assert len(mnist().train.inputs) == 20 and len(requests) == 4

    os.remove(nowhere / "cache" / "nncore" / "mnist" / (NAMES[2] + ".gz"))
    assert len(mnist().test.inputs) == 10 and len(requests) == 5

    with pytest.raises(FileNotFoundError):  # a directory that was named is never written to
        mnist(nowhere / "mirror" / "..")
    assert len(requests) == 5


# Loader


def arrays(loader):
    batches = list(loader)
    return (np.concatenate([batch.inputs.numpy() for batch in batches]),
            np.concatenate([batch.targets.numpy() for batch in batches]))


def test_batches():
    x, y = np.random.default_rng(0).random((10, 3), np.float32), np.arange(10)
    loader = DataLoader(x, y, batch_size=4)
    batches = list(loader)
    assert len(loader) == 3 and [b.inputs.shape for b in batches] == [(4, 3), (4, 3), (2, 3)]
    inputs, targets = batches[1]
    assert isinstance(inputs, nncore.Tensor) and isinstance(targets, nncore.Tensor)
    assert (inputs.numpy() == x[4:8]).all() and (targets.numpy() == y[4:8]).all()
    assert inputs.numpy().dtype == np.float32 and targets.numpy().dtype == np.int64
    assert [b.inputs.shape[0] for b in DataLoader(x, y, 4, drop_last=True)] == [4, 4]
    assert len(DataLoader(x, y, 4, drop_last=True)) == 2 and len(DataLoader(x, batch_size=100)) == 1
    assert list(DataLoader(x))[0].targets is None


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 7), (5, 3, 2), (5, 2, 3, 4), (5, 2, 2, 2, 2), (5, 0), (1, 130)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ">f4", ">f8", "u1", "i8", "i4", ">i2", "u2", "?"])
def test_shapes_and_dtypes(shape, dtype):
    x = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    result, _ = arrays(DataLoader(x, np.zeros(len(x)), batch_size=2))
    assert result.shape == shape and (result == x.astype(np.float32)).all()
    assert result.dtype == (np.float32 if np.dtype(dtype).kind in "fb" or dtype == "u1" else np.int64)
    _, result = arrays(DataLoader(np.zeros(len(x)), x, batch_size=2))
    assert result.shape == shape and (result == x.astype(np.float32)).all()
    assert result.dtype == (np.float32 if np.dtype(dtype).kind in "fb" else np.int64)


def test_memory_layouts_and_kinds_of_data():
    x = np.arange(60, dtype=np.float32).reshape(10, 6)
    readonly = x.copy()
    readonly.flags.writeable = False
    for view in (x[::2], x[::-1], x.T, x[:, ::-2], np.asfortranarray(x), readonly, x[:, :1], x[3:]):
        assert (arrays(DataLoader(view, view, batch_size=3))[0] == view).all()
    assert (arrays(DataLoader(x.tolist(), x.tolist()))[0] == x).all()
    assert (arrays(DataLoader(nncore.tensor(x), nncore.tensor(x)))[1] == x).all()
    assert (arrays(DataLoader(memoryview(x), x))[0] == x).all()


def test_shuffling():
    y = np.arange(1000)
    x = y.astype(np.float32)
    loader = DataLoader(x, y, batch_size=64, shuffle=True, seed=1)
    (x1, y1), (x2, y2) = arrays(loader), arrays(loader)
    for a, b in ((x1, y1), (x2, y2)):
        assert (a == b).all() and sorted(b) == list(range(1000)) and (b != y).any()
    assert (y1 != y2).any()
    again = DataLoader(x, y, batch_size=10, shuffle=True, seed=1)
    assert (arrays(again)[1] == y1).all() and (arrays(again)[1] == y2).all()
    assert (arrays(DataLoader(x, y, shuffle=True, seed=2))[1] != y1).any()


def test_shuffling_follows_the_global_seed():
    y = np.arange(100)
    loader = DataLoader(y, y, shuffle=True)
    nncore.manual_seed(3)
    first = [arrays(loader)[1] for _ in range(2)]
    nncore.manual_seed(3)
    assert all((arrays(loader)[1] == order).all() for order in first)
    assert (first[0] != first[1]).any()


def test_two_iterators_at_once():
    y = np.arange(20)
    loader = DataLoader(y, y, batch_size=5, shuffle=True, seed=0)
    pairs = list(zip(loader, loader))
    for side in (0, 1):
        assert sorted(np.concatenate([pair[side].targets.numpy() for pair in pairs])) == list(range(20))


def test_batches_outlive_the_loader_and_the_arrays():
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    batch = next(iter(DataLoader(x.copy(), x.copy(), batch_size=2)))
    assert (batch.inputs.numpy() == x[:2]).all()


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
                         ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("options", [
    dict(scale=0.5, shift=np.arange(12).reshape(4, 3)), dict(rows=[8, 2, 3, 5]), dict(transform=Standardizer()),
    dict(augment=[augment.RandomCrop(3, padding=1), augment.Normalize(0.5, 0.2), augment.Mixup()])])
def test_a_copy_goes_on_as_its_original(options, make_copy):
    x, y = np.random.default_rng(0).integers(0, 256, (10, 4, 3), np.uint8), np.arange(10)
    if "transform" in options:
        options["transform"].fit(x)
    loader = DataLoader(x, y, 3, shuffle=True, seed=3, **options)
    arrays(loader)
    twin = make_copy(loader)
    for _ in range(2):
        for a, b in zip(arrays(loader), arrays(twin), strict=True):
            assert (a == b).all() and a.dtype == b.dtype


def test_a_copy_follows_the_global_seed():
    loader = DataLoader(np.arange(20), np.arange(20), shuffle=True)
    twin = copy.deepcopy(loader)
    orders = []
    for one in (loader, twin):
        nncore.manual_seed(5)
        orders.append(arrays(one)[0].tolist())
    assert orders[0] == orders[1]


def test_generators_copy_and_pickle():
    generator = nncore.Generator(2**64 - 1)
    nncore.rand(3, generator=generator)
    twins = copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))
    assert all(twin.get_state() == (2**64 - 1, 1) for twin in twins)
    expected = nncore.rand(3, generator=generator).numpy()
    assert all((nncore.rand(3, generator=twin).numpy() == expected).all() for twin in twins)


def test_rows_are_the_loader_s_own():
    rows = np.array([2, 0])
    loader = DataLoader(np.arange(3), rows=rows, batch_size=2)
    rows[:] = 1
    assert next(iter(loader)).inputs.numpy().tolist() == [2, 0]


def test_rows():
    y = np.arange(10)
    train, held = split_rows(10, 0.3, seed=4)
    assert sorted([*train, *held]) == list(range(10)) and len(held) == 3
    for shuffle in (False, True):
        loader = DataLoader(y, y, rows=train, shuffle=shuffle, batch_size=3, seed=0)
        result = arrays(loader)[1]
        assert len(loader) == 3 and sorted(result) == sorted(train)
    assert list(arrays(DataLoader(y, y, rows=y % 2 == 1))[1]) == [1, 3, 5, 7, 9]
    assert list(arrays(DataLoader(y, y, rows=[3, 3, 0]))[1]) == [3, 3, 0]


@pytest.mark.parametrize("dtype", ["u1", "f4", "i8"])
def test_scale_and_shift(dtype):
    x = (np.random.default_rng(0).random((9, 2, 3)) * 250).astype(dtype)
    y = np.zeros(9)
    for scale, shift in ((1 / 255, None), (None, -3), (2, np.arange(3)), (np.arange(6).reshape(2, 3), 1), ([[2]], [1])):
        a, b = (np.float32(missing if value is None else value) for value, missing in ((scale, 1), (shift, 0)))
        expected = x.astype(np.float32) * a + b
        result = arrays(DataLoader(x, y, batch_size=4, scale=scale, shift=shift))[0]
        assert result.dtype == np.float32 and result.shape == x.shape
        np.testing.assert_allclose(result, expected, rtol=3e-7, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 40), shape=st.lists(st.integers(0, 5), max_size=3), size=st.integers(1, 50),
       kind=st.sampled_from(["f4", "u1", "i8", "f8"]), shuffle=st.booleans(), data=st.data())
def test_any_loader_gives_every_sample_once(n, shape, size, kind, shuffle, data):
    x = np.random.default_rng(n).integers(0, 200, (n, *shape)).astype(kind)
    rows = data.draw(st.none() | st.lists(st.integers(0, n - 1), min_size=1))
    loader = DataLoader(x, np.arange(n), batch_size=size, shuffle=shuffle, rows=rows, seed=0)
    batches = list(loader)
    chosen = np.arange(n) if rows is None else np.array(rows)
    assert len(batches) == len(loader) and [len(b.inputs) for b in batches[:-1]] == [size] * (len(batches) - 1)
    inputs, targets = arrays(loader)
    assert (inputs == x[targets]).all() and sorted(targets) == sorted(chosen)
    assert shuffle or (targets == chosen).all()


def test_transform():
    x = np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)
    standardizer = Standardizer().fit(x)
    result = arrays(DataLoader(x, x, batch_size=7, transform=standardizer))[0]
    np.testing.assert_allclose(result, standardizer(x), atol=1e-6)
    result = arrays(DataLoader(x, x, batch_size=7, transform=lambda t: t * 2.0))[0]
    assert (result == 2 * x.astype(np.float32)).all()


def test_nan_passes():
    x = np.array([[1, np.nan], [np.inf, 2]], np.float32)
    assert np.array_equal(arrays(DataLoader(x, [0, 1]))[0], x, equal_nan=True)


@pytest.mark.parametrize("error, match, arguments", [
    (ValueError, r"inputs \(3, 2\) and targets \(4,\) differ", dict(inputs=np.zeros((3, 2)), targets=np.zeros(4))),
    (ValueError, "no samples", dict(inputs=np.zeros((0, 2)))),
    (ValueError, "no samples", dict(inputs=[])),
    (ValueError, "at most 5", dict(inputs=np.zeros((2, 1, 1, 1, 1, 1)))),
    (ValueError, "single number", dict(inputs=3.0)),
    (ValueError, "single number", dict(inputs=[1.0], targets=1)),
    (ValueError, "batch_size is 0", dict(inputs=[1.0], batch_size=0)),
    (ValueError, "batch_size is -3", dict(inputs=[1.0], batch_size=-3)),
    (TypeError, "batch_size is 2.5", dict(inputs=[1.0], batch_size=2.5)),
    (TypeError, "batch_size is None", dict(inputs=[1.0], batch_size=None)),
    (TypeError, "object", dict(inputs=np.array([None, 1]))),
    (TypeError, "complex", dict(inputs=np.array([1j]))),
    (TypeError, "<U1", dict(inputs=["a"])),
    (TypeError, "targets of dtype <U1", dict(inputs=[1.0], targets=["a"])),
    (TypeError, "datetime", dict(inputs=np.zeros(1, "M8[s]"))),
    (ValueError, "too large for int64", dict(inputs=[1.0], targets=np.array([2**63], np.uint64))),
    (ValueError, "drop_last leaves nothing of 3", dict(inputs=np.zeros(3), drop_last=True)),
    (ValueError, r"scale \(3,\) does not fit samples \(2,\)", dict(inputs=np.zeros((3, 2)), scale=np.ones(3))),
    (TypeError, "shift of dtype complex", dict(inputs=np.zeros((3, 2)), shift=1j)),
    (ValueError, "not fitted", dict(inputs=np.zeros((3, 2)), transform=Standardizer())),
    (ValueError, "not both", dict(inputs=np.zeros((3, 2)), scale=2, transform=Standardizer().fit(np.eye(2)))),
    (ValueError, "not all within 0 to 2", dict(inputs=np.zeros(3), rows=[0, 3])),
    (ValueError, "not all within 0 to 2", dict(inputs=np.zeros(3), rows=[-1])),
    (ValueError, "selects no samples", dict(inputs=np.zeros(3), rows=np.zeros(3, bool))),
    (ValueError, "does not fit 3 samples", dict(inputs=np.zeros(3), rows=np.zeros(2, bool))),
    (TypeError, "neither integers nor bools", dict(inputs=np.zeros(3), rows=[0.0])),
    (ValueError, "selects no samples", dict(inputs=np.zeros(3), rows=[])),
    (ValueError, r"rows \(1, 2\) are neither a list", dict(inputs=np.zeros(3), rows=[[0, 1]])),
    (TypeError, "int32: ColorJitter and Normalize need", dict(inputs=np.zeros((3, 4, 4), "i4"),
                                                              augment=[augment.ColorJitter(0.1)])),
    (TypeError, "bool: ColorJitter and Normalize need", dict(inputs=np.zeros((3, 4, 4), bool),
                                                             augment=augment.Normalize(0, 1))),
])
def test_wrong_use(error, match, arguments):
    with pytest.raises(error, match=match):
        DataLoader(**arguments)


def test_the_data_are_not_copied():
    x = np.zeros((4, 2), np.uint8)
    loader = DataLoader(x)
    x[:] = 7
    assert (next(iter(loader)).inputs.numpy() == 7).all()


# Standardisation


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4", "f8", "?"])
def test_standardizer_per_feature(dtype):
    x = np.random.default_rng(0).random((5000, 3, 2)) * [[2, 200], [2, 100], [3, 4]]
    x = x > 1 if dtype == "?" else x.astype(dtype)
    s = Standardizer().fit(x)
    assert s.mean.shape == s.std.shape == s.scale.shape == (3, 2)
    np.testing.assert_allclose(s.mean, x.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(s.std, x.std(0, dtype=np.float64), rtol=1e-6)
    y = s(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-4)
    np.testing.assert_allclose(s.inverse(y), x, atol=1e-3)


def test_standardizer_of_images_has_one_scale():
    x = np.random.default_rng(0).integers(0, 256, (100, 28, 28), dtype=np.uint8)
    s = Standardizer(per_feature=False).fit(x)
    assert s.mean.shape == (1,)
    np.testing.assert_allclose([s.mean[0], s.std[0]], [x.mean(), x.std()], rtol=1e-6)
    rows = np.arange(0, 100, 3)
    np.testing.assert_allclose(Standardizer(per_feature=False).fit(x, rows).mean, x[rows].mean(), rtol=1e-6)
    for choice in (rows, list(rows), np.isin(np.arange(100), rows)):
        np.testing.assert_allclose(Standardizer().fit(x, choice).mean, x[rows].mean(0), rtol=1e-6)


@pytest.mark.parametrize("dtype, value", [("f4", 0.0), ("f4", 0.1), ("f4", -7.3), ("f4", 255.0), ("f4", 1e30),
                                          ("u1", 0.0), ("u1", 0.1), ("u1", 255.0)])
def test_constant_features_become_zero(value, dtype):
    x = np.full((1001, 2), value).astype(dtype)
    x[:, 1] = np.arange(1001) % 100
    y = Standardizer().fit(x)(x)
    assert np.abs(y[:, 0]).max() <= 1e-6 * max(1, abs(value)) and abs(y[:, 1].std() - 1) < 1e-5


def test_standardizer_of_large_numbers():
    x = 1e4 + np.random.default_rng(0).standard_normal((10000, 1))
    np.testing.assert_allclose(Standardizer().fit(x).std, x.std(), rtol=1e-6)


def test_standardizer_with_nan_keeps_to_the_feature():
    y = Standardizer().fit(np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 3.0]]))(np.ones((1, 2)))
    assert np.isnan(y[0, 0]) and np.isfinite(y[0, 1])


def test_standardizer_on_tensors():
    x = np.random.default_rng(0).random((6, 3), np.float32)
    s = Standardizer().fit(x)
    y = s(nncore.tensor(x))
    assert isinstance(y, nncore.Tensor)
    np.testing.assert_allclose(y.numpy(), s(x), atol=1e-6)
    np.testing.assert_allclose(s.inverse(y).numpy(), x, atol=1e-6)


def test_standardizer_wrong_use():
    with pytest.raises(ValueError, match="not fitted"):
        Standardizer()(np.zeros(3))
    with pytest.raises(ValueError, match="no samples"):
        Standardizer().fit(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="no samples"):
        Standardizer().fit(np.zeros((3, 3)), rows=[])
    with pytest.raises(TypeError, match="object"):
        Standardizer().fit(np.array([None]))
    with pytest.raises(ValueError, match="Standardizer: the mask rows .2,. does not fit 3 samples"):
        Standardizer().fit(np.zeros((3, 3)), rows=[True, False])
    with pytest.raises(ValueError, match="Standardizer: rows -1 to 3 are not all within 0 to 2"):
        Standardizer().fit(np.zeros((3, 3)), rows=[-1, 3])


def test_standardizer_of_less_than_float32_holds():
    x = np.array([[1e-39, 1e-35, 1.0], [2e-39, 1e-35 + 1e-41, 1.0]])
    s = Standardizer().fit(x)
    assert (s.std == 1).all() and np.isfinite(s(x)).all()


# Splitting


def test_split():
    x = np.arange(40).reshape(20, 2)
    (x1, y1), (x2, y2) = split(x, np.arange(20), 0.25, seed=1)
    assert len(y1) == 15 and len(y2) == 5 and sorted([*y1, *y2]) == list(range(20))
    assert (x1[:, 0] == 2 * y1).all() and (x2[:, 1] == 2 * y2 + 1).all()
    assert (split(x, np.arange(20), 0.25, seed=1)[1].targets == y2).all()
    assert any((split(x, np.arange(20), 0.25, seed=seed)[1].targets != y2).any() for seed in (2, 3))
    for fraction in (0, 1, -0.5, 1.5, 0.001, 0.999, float("nan")):
        with pytest.raises(ValueError, match="split"):
            split_rows(20, fraction)
    with pytest.raises(ValueError, match="differ in length"):
        split(x, np.arange(19))
