"""A multilayer perceptron learns MNIST: the training loop written out. About 98.4 % of the test images in 10 epochs.

    python examples/mnist_mlp.py [EPOCHS]

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
            predictions = model(batch.inputs).argmax(1)
            right += (predictions.numpy() == batch.targets.numpy()).sum()
            total += len(batch.targets)
    model.train()
    return right / total


def main(num_epochs):
    nncore.manual_seed(0)
    train, test = mnist()
    standardizer = Standardizer(per_feature=False).fit(train.inputs)
    data_loader = DataLoader(train.inputs, train.targets, batch_size=128, shuffle=True, transform=standardizer)
    test_loader = DataLoader(test.inputs, test.targets, batch_size=1000, transform=standardizer)

    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(256, 10),
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @nncore.compile  # without this line: the same losses and weights to the last bit, a little slower
    def step(inputs, targets):
        predictions = model(inputs)
        loss = cross_entropy(predictions, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for epoch in range(num_epochs):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - epoch / num_epochs)
        for batch in data_loader:
            loss = step(batch.inputs, batch.targets)
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {accuracy(model, test_loader):.4f}")


if __name__ == "__main__":
    main(num_epochs=int(sys.argv[1]) if len(sys.argv) > 1 else 10)
