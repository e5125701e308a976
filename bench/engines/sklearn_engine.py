"""scikit-learn: MLPClassifier, in float32, which it supports and which is faster than its usual float64."""
import warnings

import sklearn
from sklearn.neural_network import MLPClassifier

from ..mlp import mnist


def set_threads(n):
    pass  # its products are NumPy's and SciPy's OpenBLAS


def versions():
    return {"scikit-learn": sklearn.__version__}


def to_numpy(result):
    return result


def epoch(sizes, batch, folder, count):
    x, t = mnist(folder, count)
    warnings.simplefilter("ignore")  # one epoch does not converge, says scikit-learn
    model = MLPClassifier(sizes[1:-1], batch_size=batch, alpha=0.0, max_iter=1, warm_start=True, random_state=1)
    return {"fit": lambda: model.fit(x, t).loss_}


KINDS = {"epoch": epoch}
