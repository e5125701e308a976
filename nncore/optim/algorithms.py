"""The optimizers: a state rule and an update rule each. The rules themselves are csrc/optim.c and its kernels; the same
formulas in plain Python are nncore/reference/optim.py. Defaults and formulas are PyTorch's.

All take `parameters` (tensors, or dicts with "params" and settings), lr (learning rate), weight_decay (added to the
gradient as weight_decay * w, but for AdamW), maximize (climb instead of descend).
"""
from .. import _core
from .optimizer import Optimizer

__all__ = ["SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta"]


class SGD(Optimizer):
    """w -= lr * g, with momentum m = momentum * m + (1 - dampening) * g in place of g; nesterov: g + momentum * m.

    Nesterov's form as in Sutskever, Martens, Dahl and Hinton (2013).
    """
    op = "sgd"
    layout = ((0, "lr"), (1, "weight_decay"), (3, "momentum"), (4, "dampening"))
    switches = ("momentum",)

    def __init__(self, parameters, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
                 maximize=False):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening = 0")
        super().__init__(parameters, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                                          nesterov=nesterov, maximize=maximize))

    def check(self, group):
        super().check(group)
        if not group["momentum"] >= 0:
            raise ValueError(f"SGD: momentum = {group['momentum']} is negative")

    def states(self, group):
        return [("momentum_buffer" if group["momentum"] else None, 0.0)]

    def flags(self, group):
        return super().flags(group) | (_core.NESTEROV if group["nesterov"] else 0)


class Adam(Optimizer):
    """w -= lr * m' / (sqrt(v') + eps): m and v running means of g and g^2, m' and v' corrected for their start at zero.

    Kingma and Ba (2015). amsgrad: the largest v so far in place of v (Reddi, Kale and Kumar, 2018).
    """
    op = "adam"
    layout = ((0, "lr"), (1, "weight_decay"), (3, ("betas", 0)), (4, ("betas", 1)), (5, "eps"))
    switches = ("amsgrad",)
    decoupled = False

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False,
                 maximize=False):
        super().__init__(parameters, dict(lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay,
                                          amsgrad=amsgrad, maximize=maximize))

    def check(self, group):
        super().check(group)
        if not all(0 <= beta < 1 for beta in group["betas"]) or not group["eps"] >= 0:
            raise ValueError(f"{type(self).__name__}: betas {group['betas']} must lie in [0, 1) and "
                             f"eps {group['eps']} not below 0")

    def states(self, group):
        return [("exp_avg", 0.0), ("exp_avg_sq", 0.0), ("max_exp_avg_sq" if group["amsgrad"] else None, 0.0)]

    def flags(self, group):
        return super().flags(group) | (_core.DECOUPLED if self.decoupled else 0)


class AdamW(Adam):
    """Adam whose weight decay acts on the weights alone: w -= lr * weight_decay * w (Loshchilov and Hutter, 2019)."""
    decoupled = True

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False,
                 maximize=False):
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, maximize)


class RMSprop(Optimizer):
    """w -= lr * g / (sqrt(v) + eps), v a running mean of g^2 (Hinton, 2012).

    centered: v less the square of the running mean of g (Graves, 2013). momentum: of the quotient.
    """
    op = "rmsprop"
    layout = ((0, "lr"), (1, "weight_decay"), (3, "alpha"), (4, "eps"), (5, "momentum"))
    switches = ("centered", "momentum")

    def __init__(self, parameters, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False,
                 maximize=False):
        super().__init__(parameters, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                                          centered=centered, maximize=maximize))

    def check(self, group):
        super().check(group)
        if not (0 <= group["alpha"] and group["eps"] >= 0 and group["momentum"] >= 0):
            raise ValueError(f"RMSprop: alpha {group['alpha']}, eps {group['eps']}, momentum {group['momentum']} must "
                             "not be negative")

    def states(self, group):
        return [("square_avg", 0.0), ("grad_avg" if group["centered"] else None, 0.0),
                ("momentum_buffer" if group["momentum"] else None, 0.0)]


class Adagrad(Optimizer):
    """w -= lr / (1 + steps * lr_decay) * g / (sqrt(v) + eps), v the sum of all g^2 so far (Duchi, Hazan and Singer,
    2011)."""
    op = "adagrad"
    layout = ((0, "lr"), (1, "weight_decay"), (3, "lr_decay"), (4, "eps"))

    def __init__(self, parameters, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10,
                 maximize=False):
        super().__init__(parameters, dict(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
                                          initial_accumulator_value=initial_accumulator_value, eps=eps,
                                          maximize=maximize))

    def check(self, group):
        super().check(group)
        if not (group["lr_decay"] >= 0 and group["eps"] >= 0 and group["initial_accumulator_value"] >= 0):
            raise ValueError("Adagrad: lr_decay, eps and initial_accumulator_value must not be negative")

    def states(self, group):
        return [("sum", group["initial_accumulator_value"])]


class Adadelta(Optimizer):
    """w -= lr * d, d = sqrt(u + eps) / sqrt(v + eps) * g: v and u running means of g^2 and d^2 (Zeiler, 2012)."""
    op = "adadelta"
    layout = ((0, "lr"), (1, "weight_decay"), (3, "rho"), (4, "eps"))

    def __init__(self, parameters, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False):
        super().__init__(parameters, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def check(self, group):
        super().check(group)
        if not (0 <= group["rho"] <= 1 and group["eps"] >= 0):
            raise ValueError(f"Adadelta: rho {group['rho']} must lie in [0, 1] and eps {group['eps']} not below 0")

    def states(self, group):
        return [("square_avg", 0.0), ("acc_delta", 0.0)]
