"""Two convolutions with fewer than 100 000 parameters learn Fashion-MNIST, with flips, shifts and batch normalisation.

    python examples/fashion_cnn.py [EPOCHS]

The published files are read from $NNCORE_DATA or ~/.cache/nncore, and downloaded to there when missing.
"""
import sys

import nncore
from nncore import nn, optim
from nncore.data import DataLoader, fashion_mnist
from nncore.data.augment import Normalize, RandomCrop, RandomHorizontalFlip
from nncore.losses import cross_entropy

from mnist_cnn import accuracy


def main(num_epochs):
    nncore.manual_seed(0)
    train, test = fashion_mnist(channels=True)   # bytes [n, 28, 28, 1]
    normalize = Normalize((0.2860,), (0.3530,))
    data_loader = DataLoader(train.inputs, train.targets, batch_size=128, shuffle=True,
                             augment=[RandomCrop(28, padding=1), RandomHorizontalFlip(), normalize])
    test_loader = DataLoader(test.inputs, test.targets, batch_size=1000, augment=[normalize])

    model = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.4),
        nn.Linear(7 * 7 * 64, 10),
    )
    print(model.summary((1, 28, 28, 1)))
    optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=3e-2)
    schedule = optim.CosineAnnealingLR(optimizer, T_max=num_epochs)

    @nncore.compile
    def step(inputs, targets):
        loss = cross_entropy(model(inputs), targets, label_smoothing=0.05)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for epoch in range(num_epochs):
        for batch in data_loader:
            loss = step(batch.inputs, batch.targets)
        schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {accuracy(model, test_loader):.4f}",
              flush=True)


if __name__ == "__main__":
    main(num_epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 25)
