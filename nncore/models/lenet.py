"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, 1998)."""
from .. import nn

__all__ = ["LeNet5"]


class LeNet5(nn.Sequential):
    """Two convolutions with subsampling, three dense layers; images [b,28,28,in_channels] or [b,32,32,in_channels].

    The output is [b,num_classes]. As it is taught today: max pooling and ReLU for the original's trainable averages and
    tanh, a dense last layer for its radial basis functions, and every map of the second convolution sees all of the
    first. image_size: 28 images get a border of 2 zeros, as the original's 32 x 32 ones had.
    """

    def __init__(self, num_classes=10, in_channels=1, image_size=28):
        if image_size not in (28, 32):
            raise ValueError(f"LeNet5: images of 28 x 28 or 32 x 32 expected, got {image_size}")
        super().__init__(
            nn.Conv2d(in_channels, 6, 5, padding=2 if image_size == 28 else 0), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, num_classes))
