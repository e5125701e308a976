"""Two convolutions learn MNIST: the network of PyTorch's MNIST example, its optimizer and its schedule.

    python examples/mnist_cnn.py [EPOCHS]

The published files are read from $NNCORE_DATA or ~/.cache/nncore, and downloaded to there when missing.
"""
import sys

import nncore
from nncore import nn, optim
from nncore.data import DataLoader, Standardizer, mnist
from nncore.losses import cross_entropy


def accuracy(model, data_loader):
    model.eval()
    right = total = 0
    with nncore.no_grad():
        for batch in data_loader:
            right += (model(batch.inputs).argmax(1).numpy() == batch.targets.numpy()).sum()
            total += len(batch.targets)
    model.train()
    return right / total


def main(num_epochs):
    nncore.manual_seed(0)
    train, test = mnist(channels=True)   # bytes [n, 28, 28, 1]
    standardizer = Standardizer(per_feature=False).fit(train.inputs)
    data_loader = DataLoader(train.inputs, train.targets, batch_size=64, shuffle=True, transform=standardizer)
    test_loader = DataLoader(test.inputs, test.targets, batch_size=1000, transform=standardizer)

    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    schedule = optim.StepLR(optimizer, step_size=1, gamma=0.7)

    @nncore.compile
    def step(inputs, targets):
        loss = cross_entropy(model(inputs), targets)
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
    main(num_epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 14)
