"""Data sets in their published formats, and the small one that comes with nncore.

Images stay bytes, uint8, as they are in the files: MNIST is 55 MB so, and 220 MB as floats. `DataLoader` turns a batch
into floats while it gathers it.
"""
import os
from typing import NamedTuple

import numpy as np

from . import idx

FASHION_CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                   "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class Samples(NamedTuple):
    """Arrays of the same length: `inputs, targets = samples` works as well as the names."""
    inputs: np.ndarray
    targets: np.ndarray


class TrainTest(NamedTuple):
    """Samples to learn from and samples to be judged by: `(x, y), (x_test, y_test) = mnist()`."""
    train: Samples
    test: Samples


class _Source(NamedTuple):
    title: str
    folders: tuple  # where in a directory the files may lie; the last two are torchvision's and the directory itself
    mirrors: tuple
    sha256: dict


_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

_MNIST = _Source(
    "MNIST", ("mnist", os.path.join("MNIST", "raw"), ""),
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    dict(zip(_FILES, ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                      "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                      "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                      "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"))))

_FASHION = _Source(
    "Fashion-MNIST", ("fashion", os.path.join("FashionMNIST", "raw"), ""),
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
     "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
    dict(zip(_FILES, ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                      "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                      "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                      "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"))))


def digits():
    """The UCI optical digits bundled with nncore: 1797 images of 8 x 8 points, each 0 to 16.

    Returns TrainTest: inputs uint8 (1442, 8, 8) and (355, 8, 8), targets int64, 0 to 9. The test part is every fifth
    image of each digit, always the same ones; so a writer's hand may occur in both parts.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, CC BY 4.0. These are the 1797 images of its test file; see DIGITS.md.
    """
    folder = os.path.join(os.path.dirname(__file__), "uci-optical-digits-")
    images, labels = idx.read(folder + "images-idx3-ubyte.gz"), idx.read(folder + "labels-idx1-ubyte.gz")
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[4::5]] = True
    labels = labels.astype(np.int64)
    return TrainTest(Samples(images[~test], labels[~test]), Samples(images[test], labels[test]))


def mnist(directory=None, download=True, channels=False):
    """MNIST: 60000 + 10000 handwritten digits (LeCun, Bottou, Bengio and Haffner, 1998).

    Returns TrainTest: inputs uint8 (60000, 28, 28) and (10000, 28, 28), targets int64, 0 to 9. Reads the four published
    files, train-images-idx3-ubyte.gz and so on, compressed or not, from `directory` or its sub-folder `mnist`.
    channels: inputs (60000, 28, 28, 1) and (10000, 28, 28, 1), as convolutions take them.

    Without a directory: from $NNCORE_DATA if that is set, else from the user's cache, ~/.cache/nncore; and when they
    are not there and `download` allows it, they are downloaded to that place first, their checksums verified.
    Raises FileNotFoundError, saying which files are missing and where to put them, and ValueError for damaged ones.
    """
    return _load(_MNIST, directory, download, channels)


def fashion_mnist(directory=None, download=True, channels=False):
    """Fashion-MNIST: 60000 + 10000 articles of clothing (Xiao, Rasul and Vollgraf, 2017), a harder MNIST.

    Like `mnist`; the sub-folder is `fashion`. FASHION_CLASSES has the names of the ten classes.
    """
    return _load(_FASHION, directory, download, channels)


def _load(source, directory, download, channels):
    paths = _find(source, directory, download)
    train, test = (_read(*paths[i:i + 2]) for i in (0, 2))
    if channels:
        train, test = (Samples(part.inputs[..., None], part.targets) for part in (train, test))
    return TrainTest(train, test)


def _read(image_path, label_path):
    images, labels = idx.read(image_path), idx.read(label_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
        raise ValueError(f"{image_path}: expected uint8 images (n, 28, 28), found {images.dtype} {images.shape}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(f"{label_path}: expected {len(images)} uint8 labels, found {labels.dtype} {labels.shape}")
    if labels.max() > 9:
        raise ValueError(f"{label_path}: expected labels 0 to 9, found {labels.max()}")
    return Samples(images, labels.astype(np.int64))


def _find(source, directory, download):
    """The paths of the four files, all in one folder; downloads them if need be."""
    root = data_root(source.title, directory)
    best = {}
    for folder in source.folders:
        found = _files_in(os.path.join(root, folder))
        if len(found) == len(_FILES):
            return [found[name] for name in _FILES]
        best = max(best, found, key=len)

    problem = ""
    place = os.path.join(root, source.folders[0])
    if download and not directory:
        try:
            return _download(source, place)
        except OSError as error:
            problem = f"; the download failed: {error}"
    missing = ", ".join(name + ".gz" for name in _FILES if name not in best)
    raise FileNotFoundError(f"{source.title}: not in {root}: {missing}. Put the files there or in {place}{problem}")


def _files_in(folder):
    """{published name: path} of those of the four files that lie in the folder, under the names they go by."""
    found = {}
    for name in _FILES:
        for spelling in (name + ".gz", name, name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
            path = os.path.join(folder, spelling)
            if os.path.isfile(path):
                found[name] = path
                break
    return found


def _download(source, folder):
    from .download import fetch

    present = _files_in(folder)
    for name in _FILES:
        if name not in present:
            present[name] = os.path.join(folder, name + ".gz")
            fetch([mirror + name + ".gz" for mirror in source.mirrors], present[name], source.sha256[name])
    return [present[name] for name in _FILES]


def data_root(title, directory):
    """Where a data set's files are looked for: the directory named, which must exist, or $NNCORE_DATA, or the cache."""
    root = os.path.expanduser(directory or os.environ.get("NNCORE_DATA") or _cache())
    if directory and not os.path.isdir(root):
        raise FileNotFoundError(f"{title}: there is no directory {root}")
    return root


def _cache():
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "nncore")
