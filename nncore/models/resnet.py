"""Residual networks of basic blocks (He, Zhang, Ren and Sun, 2016)."""
from .. import nn, ops
from ..nn.conv_norm import normed_convolutions
from .start import start_convolutions

__all__ = ["ResNet", "resnet18", "resnet20", "resnet32", "resnet34"]


class Halved(nn.Module):
    """Every other pixel, and zeros for the channels that are new: the paper's shortcut A, without parameters."""

    def __init__(self, stride, extra):
        self.stride, self.extra = stride, extra

    def forward(self, x):
        if self.stride > 1:
            x = x[:, ::self.stride, ::self.stride]
        return ops.pad(x, ((0, 0), (0, 0), (0, 0), (self.extra // 2, self.extra - self.extra // 2)))

    def extra_repr(self):
        return f"stride={self.stride}, extra={self.extra}"


class BasicBlock(nn.Module):
    """y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), 3 x 3 convolutions; addition and ReLU are part of bn2's
    pass, and the statistics of the convolutions'."""

    def __init__(self, inputs, outputs, stride, projection):
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs, activation="relu")
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, activation="relu")
        self.shortcut = None
        if projection and (stride > 1 or inputs != outputs):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        elif stride > 1 or inputs != outputs:
            self.shortcut = Halved(stride, outputs - inputs)

    def forward(self, x):
        skip = x if self.shortcut is None else self.shortcut(x)  # its gradient comes last, into what conv1 has left
        return normed_convolutions(x, ((self.conv1, self.bn1), (self.conv2, self.bn2)), skip)


class ResNet(nn.Module):
    """A stem, stages of basic blocks, the mean over all pixels, a dense layer: [b,h,w,in_channels] -> [b,num_classes].

    blocks, channels: of each stage; every stage but the first halves the image. stem "small": a 3 x 3 convolution, for
    images of about 32 x 32; "large": 7 x 7 with stride 2 and a max pool, for 224 x 224. projection: where shapes
    change, the shortcut is a 1 x 1 convolution (the paper's B); False: every other pixel with zeros for new channels
    (A).
    Weights start normal, He's way for the outputs.
    """

    def __init__(self, blocks, channels, num_classes, in_channels=3, stem="large", projection=True):
        if stem not in ("small", "large"):
            raise ValueError(f"ResNet: stem {stem!r} is neither 'small' nor 'large'")
        first = channels[0]
        convolution = nn.Conv2d(in_channels, first, *((3, 1, 1) if stem == "small" else (7, 2, 3)), bias=False)
        layers = [convolution, nn.BatchNorm2d(first, activation="relu")]
        if stem == "large":
            layers.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*layers)
        stages, inputs = [], first
        for stage, (count, outputs) in enumerate(zip(blocks, channels)):
            for block in range(count):
                stages.append(BasicBlock(inputs, outputs, 2 if stage and not block else 1, projection))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, num_classes)
        start_convolutions(self)

    def forward(self, x):
        return self.fc(self.stages(self.stem(x)).mean(dim=(1, 2)))


def resnet20(num_classes=10, in_channels=3):
    """20 layers, 0.27 million parameters, for images of 32 x 32 (section 4.2 of the paper)."""
    return ResNet((3, 3, 3), (16, 32, 64), num_classes, in_channels, "small", projection=False)


def resnet32(num_classes=10, in_channels=3):
    """32 layers, 0.46 million parameters, for images of 32 x 32."""
    return ResNet((5, 5, 5), (16, 32, 64), num_classes, in_channels, "small", projection=False)


def resnet18(num_classes=1000, in_channels=3, stem="large"):
    """18 layers, 11.7 million parameters with 1000 classes; stem "small" for images of 32 x 32."""
    return ResNet((2, 2, 2, 2), (64, 128, 256, 512), num_classes, in_channels, stem)


def resnet34(num_classes=1000, in_channels=3, stem="large"):
    """34 layers, 21.8 million parameters with 1000 classes; stem "small" for images of 32 x 32."""
    return ResNet((3, 4, 6, 3), (64, 128, 256, 512), num_classes, in_channels, stem)
