"""The perceptron (Rosenblatt, 1958), and what it took to get past it.

One unit y = step(x @ w + b) learns whatever a straight line can separate: AND and OR, but not XOR (Minsky and Papert,
1969). A net with a hidden layer learns XOR too, by following the gradient of a smooth loss.

    python examples/perceptron.py
"""
import nncore
from nncore import nn, optim
from nncore.losses import binary_cross_entropy_with_logits

INPUTS = nncore.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND = nncore.tensor([[0.0], [0.0], [0.0], [1.0]])
OR = nncore.tensor([[0.0], [1.0], [1.0], [1.0]])
XOR = nncore.tensor([[0.0], [1.0], [1.0], [0.0]])


def perceptron(targets, epochs=100):
    """Rosenblatt's rule: after each sample, w += x * (target - y). Returns the epoch without a mistake, or None."""
    w, b = nncore.zeros(2, 1), nncore.zeros(1)
    for epoch in range(epochs):
        mistakes = 0
        for i in range(4):
            x, target = INPUTS[i:i + 1], targets[i]
            error = target - nncore.step(x @ w + b)[0]
            w, b = w + x.transpose(0, 1) * error, b + error
            mistakes += error.item() != 0
        if not mistakes:
            return epoch
    return None


def two_layers(targets, steps=500):
    """Returns the answers of a trained 2-8-1 net with tanh."""
    nncore.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        loss = binary_cross_entropy_with_logits(model(INPUTS), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with nncore.no_grad():
        return nncore.step(model(INPUTS))


if __name__ == "__main__":
    for name, targets in (("AND", AND), ("OR", OR), ("XOR", XOR)):
        epoch = perceptron(targets)
        print(f"perceptron, {name}: " + (f"learned after {epoch} epochs" if epoch is not None else "not learned"))
        assert (epoch is not None) == (name != "XOR")
    answers = two_layers(XOR)
    print(f"two layers, XOR: {answers.numpy().ravel()}")
    assert (answers.numpy() == XOR.numpy()).all()
