"""How the convolutions of all networks here start."""
from .. import init, nn

__all__ = ["start_convolutions"]


def start_convolutions(model):
    """Weights normal, with the variance that keeps gradients through ReLUs (He, Zhang, Ren and Sun, 2015)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
