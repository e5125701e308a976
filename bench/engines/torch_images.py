"""PyTorch's convolutional cases, with images in both orders: nchw, and channels_last."""
import os

import torch
import torch.nn.functional as F
from torch import nn

from ..timed import RATE, Timed, labels, normal

COMPILE = os.environ.get("NNCORE_BENCH_COMPILE", "steps")
ORDERS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
MASKS = {"dx": (True, False, False), "dw": (False, True, False)}


def images(seed, shape, order):
    """The numbers that other engines have in [b,h,w,c]."""
    return torch.from_numpy(normal(seed, *shape)).permute(0, 3, 1, 2).contiguous(memory_format=order)


def conv(x, w, y, stride, padding, groups, part):
    def way(order):
        image, dy = images(0, x, order), images(2, y, order)
        weight = torch.from_numpy(normal(1, *w)).permute(3, 2, 0, 1).contiguous(memory_format=order)
        if part == "y":
            return Timed(lambda: F.conv2d(image, weight, None, stride, padding, 1, groups),
                         context=torch.inference_mode)
        one = 0 if part == "dx" else 1
        return Timed(lambda: torch.ops.aten.convolution_backward(dy, image, weight, None, stride, padding, (1, 1),
                                                                 False, (0, 0), groups, MASKS[part])[one],
                     context=torch.inference_mode)
    return {name: way(order) for name, order in ORDERS.items()}


def with_backward(leaf, dy, f, *parameters):
    def work():
        leaf.grad = None
        for p in parameters:
            p.grad = None
        f(leaf).backward(dy)
        return leaf.grad
    return work


def pool(kind, x, window, stride, padding):
    f = {"max": F.max_pool2d, "avg": F.avg_pool2d}[kind]

    def way(order):
        leaf = images(1, x, order).requires_grad_()
        y = f(leaf, window, stride, padding)
        return with_backward(leaf, images(2, [y.shape[i] for i in (0, 2, 3, 1)], order),
                             lambda x: f(x, window, stride, padding))
    return {name: way(order) for name, order in ORDERS.items()}


def batch_norm(x):
    ways = {}
    for name, order in ORDERS.items():
        layer = nn.Sequential(nn.BatchNorm2d(x[-1]), nn.ReLU())
        leaf, dy = images(1, x, order).requires_grad_(), images(2, x, order)
        ways[f"eager {name}"] = with_backward(leaf, dy, layer, *layer.parameters())
        if COMPILE != "none":
            ways[f"compiled {name}"] = with_backward(leaf, dy, torch.compile(layer, dynamic=False), *layer.parameters())
    return ways


# ---- networks --------------------------------------------------------------------------------------------------------

def mnist():
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Dropout(0.25), nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5),
                         nn.Linear(128, 10))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            x = F.pad(x[:, :, ::self.stride, ::self.stride],
                      (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(y + x)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def resnet20():
    blocks, inputs = [], 16
    for outputs in (16, 32, 64):
        for i in range(3):
            blocks.append(Block(inputs, outputs, 2 if outputs > 16 and i == 0 else 1))
            inputs = outputs
    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks, Mean(),
                         nn.Linear(64, 10))


def vgg11_bn():
    layers, inputs = [], 3
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for outputs in stage:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                       nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def cnn_step(model, image, batch, optimizer, only=None):
    t = torch.from_numpy(labels(2, batch, 10))

    def way(order, compiled):
        x = images(1, (batch, *image), ORDERS[order])
        net = {"mnist": mnist, "resnet20": resnet20, "vgg11_bn": vgg11_bn}[model]().to(memory_format=ORDERS[order])
        steps = torch.optim.Adam(net.parameters(), lr=RATE, fused=True) if optimizer == "adam" else \
            torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, fused=True)

        def forward(x, t):
            return F.cross_entropy(net(x), t)
        value_of = torch.compile(forward, dynamic=False) if compiled else forward

        def work():
            value = value_of(x, t)
            value.backward()
            steps.step()
            steps.zero_grad(set_to_none=True)
            return value
        return work

    names = {f"{mode} {order}": (order, mode == "compiled") for mode in ("eager", "compiled") for order in ORDERS}
    return {name: way(*settings) for name, settings in names.items()
            if only in (None, name) and (COMPILE != "none" or not settings[1])}


KINDS = {"conv": conv, "pool": pool, "batch_norm": batch_norm, "cnn_step": cnn_step}
