"""MobileNet (Howard et al., 2017): depthwise separable convolutions."""
from .. import nn
from .start import start_convolutions

__all__ = ["MobileNet", "mobilenet"]

STAGES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
          (1024, 2), (1024, 1))   # channels and stride of each separable convolution


def separable(inputs, outputs, stride):
    """A 3 x 3 convolution of each channel for itself, then a 1 x 1 one that mixes them."""
    return [nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs, activation="relu"), nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, activation="relu")]


class MobileNet(nn.Module):
    """[b,h,w,in_channels] -> [b,num_classes].

    width: a factor for all numbers of channels. strides: of the stem and of the separable convolutions, in the order of
    the paper's table; None: the paper's, for 224 x 224 images.
    """

    def __init__(self, num_classes=1000, in_channels=3, width=1.0, strides=None):
        strides = (2, *(stride for _, stride in STAGES)) if strides is None else tuple(strides)
        if len(strides) != len(STAGES) + 1:
            raise ValueError(f"MobileNet: {len(STAGES) + 1} strides expected, got {len(strides)}")
        inputs = max(8, int(32 * width))
        layers = [nn.Conv2d(in_channels, inputs, 3, strides[0], 1, bias=False),
                  nn.BatchNorm2d(inputs, activation="relu")]
        for (channels, _), stride in zip(STAGES, strides[1:]):
            outputs = max(8, int(channels * width))
            layers += separable(inputs, outputs, stride)
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, num_classes)
        start_convolutions(self)

    def forward(self, x):
        return self.fc(self.features(x).mean(dim=(1, 2)))


def mobilenet(num_classes=1000, in_channels=3, width=1.0, small_images=False):
    """MobileNet v1; small_images: for 32 x 32, where the first two steps keep the size."""
    strides = (1, 1, 1, *(stride for _, stride in STAGES[2:])) if small_images else None
    return MobileNet(num_classes, in_channels, width, strides)
