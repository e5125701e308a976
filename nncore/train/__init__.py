"""What training loops need beside the model: passes over the data, early stopping, and `python -m nncore train`."""
from .classifier import evaluate, train_epoch
from .early_stopping import EarlyStopping

__all__ = ["EarlyStopping", "evaluate", "train_epoch"]
