"""Networks of the literature for images [b,h,w,c]: LeNet-5, residual networks, VGG, MobileNet."""
from .lenet import LeNet5
from .mobilenet import MobileNet, mobilenet
from .resnet import ResNet, resnet18, resnet20, resnet32, resnet34
from .vgg import VGG, vgg11_bn, vgg13_bn, vgg16_bn

__all__ = ["LeNet5", "MobileNet", "ResNet", "VGG", "mobilenet", "resnet18", "resnet20", "resnet32", "resnet34",
           "vgg11_bn", "vgg13_bn", "vgg16_bn"]
