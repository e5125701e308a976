"""Optimizers, for lists of floats: each is a state, and `step(w, g)`, which changes the list w by its gradient g.

Formulas and defaults are PyTorch's. `update` sees one element: w, g and its state (m, v, ...) are single numbers.
"""
import math


class Optimizer:
    """Holds one dictionary of state per element and the number of steps so far. maximize: climb, along -g."""

    def __init__(self, n, maximize=False):
        self.state = [{} for _ in range(n)]
        self.steps = 0
        self.sign = -1.0 if maximize else 1.0

    def step(self, w, g):
        self.steps += 1
        for i, state in enumerate(self.state):
            w[i] = self.update(w[i], self.sign * g[i], state)


class SGD(Optimizer):
    """m = momentum m + (1 - dampening) g, m = g at first; w -= lr m. Nesterov: w -= lr (g + momentum m)."""

    def __init__(self, n, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
                 maximize=False):
        super().__init__(n, maximize)
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov

    def update(self, w, g, state):
        g += self.weight_decay * w
        if self.momentum:
            m = self.momentum * state["m"] + (1 - self.dampening) * g if "m" in state else g
            state["m"] = m
            g = g + self.momentum * m if self.nesterov else m
        return w - self.lr * g


class Adam(Optimizer):
    """m, v = running means of g and g^2, divided by 1 - beta^t; w -= lr m / (sqrt v + eps). Kingma, Ba 2014.

    amsgrad: the largest v so far takes the place of v. Reddi, Kale, Kumar 2018.
    """
    decoupled = False

    def __init__(self, n, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False):
        super().__init__(n, maximize)
        self.lr, self.betas, self.eps, self.weight_decay, self.amsgrad = lr, betas, eps, weight_decay, amsgrad

    def update(self, w, g, state):
        beta1, beta2 = self.betas
        if self.decoupled:
            w -= self.lr * self.weight_decay * w
        else:
            g += self.weight_decay * w
        m = state["m"] = beta1 * state.get("m", 0.0) + (1 - beta1) * g
        v = state["v"] = beta2 * state.get("v", 0.0) + (1 - beta2) * g * g
        if self.amsgrad:
            v = state["largest"] = max(v, state.get("largest", 0.0))
        m /= 1 - beta1 ** self.steps
        v /= 1 - beta2 ** self.steps
        return w - self.lr * m / (math.sqrt(v) + self.eps)


class AdamW(Adam):
    """Adam whose weight decay acts on the weight, not on the gradient. Loshchilov, Hutter 2017."""
    decoupled = True

    def __init__(self, n, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, maximize=False):
        super().__init__(n, lr, betas, eps, weight_decay, amsgrad, maximize)


class RMSprop(Optimizer):
    """v = running mean of g^2; w -= lr g / (sqrt v + eps). Centered: v less the square of the running mean of g.
    Momentum: m = momentum m + g / (...), w -= lr m. Hinton 2012; centered: Graves 2013."""

    def __init__(self, n, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False,
                 maximize=False):
        super().__init__(n, maximize)
        self.lr, self.alpha, self.eps = lr, alpha, eps
        self.weight_decay, self.momentum, self.centered = weight_decay, momentum, centered

    def update(self, w, g, state):
        g += self.weight_decay * w
        v = state["v"] = self.alpha * state.get("v", 0.0) + (1 - self.alpha) * g * g
        if self.centered:
            a = state["a"] = self.alpha * state.get("a", 0.0) + (1 - self.alpha) * g
            v -= a * a
        g /= math.sqrt(v) + self.eps
        if self.momentum:
            g = state["m"] = self.momentum * state.get("m", 0.0) + g
        return w - self.lr * g


class Adagrad(Optimizer):
    """v = sum of g^2; w -= lr / (1 + (t - 1) lr_decay) g / (sqrt v + eps). Duchi, Hazan, Singer 2011."""

    def __init__(self, n, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10,
                 maximize=False):
        super().__init__(n, maximize)
        self.lr, self.lr_decay, self.weight_decay = lr, lr_decay, weight_decay
        self.initial_accumulator_value, self.eps = initial_accumulator_value, eps

    def update(self, w, g, state):
        g += self.weight_decay * w
        v = state["v"] = state.get("v", self.initial_accumulator_value) + g * g
        return w - self.lr / (1 + (self.steps - 1) * self.lr_decay) * g / (math.sqrt(v) + self.eps)


class Adadelta(Optimizer):
    """v = running mean of g^2, d = sqrt((u + eps) / (v + eps)) g, u = running mean of d^2; w -= lr d. Zeiler 2012."""

    def __init__(self, n, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False):
        super().__init__(n, maximize)
        self.lr, self.rho, self.eps, self.weight_decay = lr, rho, eps, weight_decay

    def update(self, w, g, state):
        g += self.weight_decay * w
        u = state.get("u", 0.0)
        v = state["v"] = self.rho * state.get("v", 0.0) + (1 - self.rho) * g * g
        d = math.sqrt((u + self.eps) / (v + self.eps)) * g
        state["u"] = self.rho * u + (1 - self.rho) * d * d
        return w - self.lr * d


def clip_grad_norm(gradients, max_norm, norm_type=2.0):
    """The norm of a list of gradients, and the list scaled by min(1, max_norm / (norm + 1e-6))."""
    if norm_type == math.inf:
        norm = max(map(abs, gradients), default=0.0)
    else:
        norm = sum(abs(g) ** norm_type for g in gradients) ** (1 / norm_type)
    return norm, [g * min(1.0, max_norm / (norm + 1e-6)) for g in gradients]


def clip_grad_value(gradients, clip_value):
    """Every gradient moved into [-clip_value, clip_value]."""
    return [min(max(g, -clip_value), clip_value) for g in gradients]
