"""VGG (Simonyan and Zisserman, 2015) with batch normalisation behind every convolution."""
from .. import nn
from .start import start_convolutions

__all__ = ["VGG", "vgg11_bn", "vgg13_bn", "vgg16_bn"]


class VGG(nn.Module):
    """3 x 3 convolutions and max pools, then dense layers: [b,h,w,in_channels] -> [b,num_classes].

    stages: the numbers of channels of the convolutions of each stage; a max pool halves the image after each. hidden:
    the dense layers between; () for small images, where the mean over the pixels goes straight to the classes; the
    original's (4096, 4096), with dropout, sees 7 x 7 pixels.
    """

    def __init__(self, stages, num_classes, in_channels=3, hidden=(), dropout=0.5):
        layers = []
        for stage in stages:
            for channels in stage:
                layers += [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
                           nn.BatchNorm2d(channels, activation="relu")]
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        side = 7 if hidden else 1
        dense, inputs = [nn.AdaptiveAvgPool2d(side), nn.Flatten()], in_channels * side * side
        for width in hidden:
            dense += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout)]
            inputs = width
        self.classifier = nn.Sequential(*dense, nn.Linear(inputs, num_classes))
        start_convolutions(self)

    def forward(self, x):
        return self.classifier(self.features(x))


def vgg11_bn(num_classes=10, in_channels=3, hidden=()):
    """Configuration A: 8 convolutions."""
    return VGG(((64,), (128,), (256, 256), (512, 512), (512, 512)), num_classes, in_channels, hidden)


def vgg13_bn(num_classes=10, in_channels=3, hidden=()):
    """Configuration B: 10 convolutions."""
    return VGG(((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)), num_classes, in_channels, hidden)


def vgg16_bn(num_classes=10, in_channels=3, hidden=()):
    """Configuration D: 13 convolutions."""
    return VGG(((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)), num_classes, in_channels,
               hidden)
