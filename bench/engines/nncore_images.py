"""nncore's convolutional cases: single layers through the core's calls, steps through the public API."""
import nncore
from nncore import _core, losses, models, nn, ops

from ..timed import RATE, labels, normal


def conv(x, w, y, stride, padding, groups, part):
    geometry = (*stride, 1, 1, *padding, groups)
    image, weight, dy = (nncore.tensor(normal(i, *shape)).array for i, shape in enumerate((x, w, y)))
    work = {"y": lambda: _core.conv(image, weight, None, geometry, tuple(y)),
            "dx": lambda: _core.conv_dx(dy, weight, None, geometry, tuple(x)),
            "dw": lambda: _core.conv_dw(image, dy, geometry, tuple(w))}[part]
    return {"plain": work}


def pool(kind, x, window, stride, padding):
    leaf = nncore.tensor(normal(1, *x), requires_grad=True)
    f = {"max": ops.max_pool2d, "avg": ops.avg_pool2d}[kind]
    dy = nncore.tensor(normal(2, *f(leaf, window, stride, padding).shape)).array

    def work():
        leaf.grad = None
        f(leaf, window, stride, padding).backward_from(dy, False)  # backward() copies dy
        return leaf.grad
    return {"plain": work}


def batch_norm(x):
    layer = nn.BatchNorm2d(x[-1], activation="relu")
    leaf, dy = nncore.tensor(normal(1, *x), requires_grad=True), nncore.tensor(normal(2, *x)).array

    def work():
        leaf.grad = layer.weight.grad = layer.bias.grad = None
        layer(leaf).backward_from(dy, False)
        return leaf.grad
    return {"plain": work}


def mnist():
    """The network of PyTorch's MNIST example."""
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
                         nn.Linear(128, 10))


def cnn_step(model, image, batch, optimizer, only=None):
    x, t = nncore.tensor(normal(1, batch, *image)), nncore.tensor(labels(2, batch, 10))

    def way():
        net = {"mnist": mnist, "resnet20": models.resnet20, "vgg11_bn": models.vgg11_bn}[model]()
        steps = nncore.optim.Adam(net.parameters(), lr=RATE) if optimizer == "adam" else \
            nncore.optim.SGD(net.parameters(), lr=RATE, momentum=0.9)

        def step(x, t):
            value = losses.cross_entropy(net(x), t)
            value.backward()
            steps.step()
            steps.zero_grad()
            return value
        return step

    made = {"eager": way, "compiled": lambda: nncore.compile(way())}
    steps = {name: make() for name, make in made.items() if only in (None, name)}
    return {name: lambda step=step: step(x, t) for name, step in steps.items()}


KINDS = {"conv": conv, "pool": pool, "batch_norm": batch_norm, "cnn_step": cnn_step}
