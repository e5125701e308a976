"""ResNet-20 (He et al., 2016) learns CIFAR-10: pad-and-crop, flips, SGD with momentum, one cycle of a cosine.

    python examples/cifar_resnet.py [EPOCHS]

The binary files are read from $NNCORE_DATA or ~/.cache/nncore, and downloaded to there when missing; where only some of
them are, those are used.
"""
import sys
import time

import nncore
from nncore import models, optim
from nncore.data import DataLoader, cifar10
from nncore.data.augment import Normalize, RandomCrop, RandomHorizontalFlip
from nncore.losses import cross_entropy

from mnist_cnn import accuracy


def main(num_epochs):
    nncore.manual_seed(0)
    try:
        train, test = cifar10()   # bytes [n, 32, 32, 3]
    except FileNotFoundError:
        train, test = cifar10(subset=True)
    print(f"{len(train.inputs)} images to learn, {len(test.inputs)} to test")
    normalize = Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    data_loader = DataLoader(train.inputs, train.targets, batch_size=128, shuffle=True, drop_last=True,
                             augment=[RandomCrop(32, padding=4), RandomHorizontalFlip(), normalize])
    test_loader = DataLoader(test.inputs, test.targets, batch_size=500, augment=[normalize])

    model = models.resnet20()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=num_epochs)

    @nncore.compile
    def step(inputs, targets):
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    start = time.perf_counter()
    for epoch in range(num_epochs):
        for batch in data_loader:
            loss = step(batch.inputs, batch.targets)
        schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {accuracy(model, test_loader):.4f}, "
              f"{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main(num_epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 30)
