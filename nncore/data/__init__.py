"""Data: arrays in, batches out.

    from nncore.data import DataLoader, mnist
    train, test = mnist()
    for inputs, targets in DataLoader(train.inputs, train.targets, batch_size=128, shuffle=True, scale=1 / 255):
        ...
"""
from . import augment
from .cifar import CIFAR10_CLASSES, cifar10
from .datasets import FASHION_CLASSES, Samples, TrainTest, digits, fashion_mnist, mnist
from .loader import Batch, DataLoader
from .scaling import Standardizer
from .split import split, split_rows

__all__ = ["Batch", "CIFAR10_CLASSES", "DataLoader", "FASHION_CLASSES", "Samples", "Standardizer", "TrainTest",
           "augment", "cifar10", "digits", "fashion_mnist", "mnist", "split", "split_rows"]
