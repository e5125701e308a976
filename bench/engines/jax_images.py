"""JAX's convolutional layers and networks, jitted, features last."""
import math

import jax
import jax.numpy as jnp
from jax import lax

from ..timed import RATE, labels, normal
from .jax_training import GENERATORS, adam_update, cross_entropy, masked

ORDER = ("NHWC", "HWIO", "NHWC")


def array(seed, *shape):
    return jnp.asarray(normal(seed, *shape))


def jitted(f, *args):
    g = jax.jit(f)
    return {"jit": lambda: g(*args).block_until_ready()}


def conv(x, w, y, stride, padding, groups, part):
    image, weight, dy = (array(i, *shape) for i, shape in enumerate((x, w, y)))

    def forward(image, weight):
        return lax.conv_general_dilated(image, weight, stride, [(p, p) for p in padding], dimension_numbers=ORDER,
                                        feature_group_count=groups)
    if part == "y":
        return jitted(forward, image, weight)
    if part == "dx":
        return jitted(lambda dy, image, weight: jax.vjp(lambda i: forward(i, weight), image)[1](dy)[0], dy, image,
                      weight)
    return jitted(lambda dy, image, weight: jax.vjp(lambda w: forward(image, w), weight)[1](dy)[0], dy, image, weight)


def pool(kind, x, window, stride, padding):
    def f(x):
        sizes, steps = (1, window, window, 1), (1, stride, stride, 1)
        pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        if kind == "max":
            return lax.reduce_window(x, -jnp.inf, lax.max, sizes, steps, pads)
        return lax.reduce_window(x, 0.0, lax.add, sizes, steps, pads) / window**2
    def both(dy, x):  # an average's gradient alone would leave the forward pass out
        y, back = jax.vjp(f, x)
        return back(dy)[0], y
    image = array(1, *x)
    g, args = jax.jit(both), (array(2, *jax.eval_shape(f, image).shape), image)
    return {"jit": lambda: jax.block_until_ready(g(*args))[0]}


def batch_norm(x):
    def f(x, weight, bias):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return jax.nn.relu((x - mean) * lax.rsqrt(var + 1e-5) * weight + bias)

    def grads(dy, x, weight, bias):
        return jax.vjp(f, x, weight, bias)[1](dy)
    g, args = jax.jit(grads), (array(2, *x), array(1, *x), jnp.ones(x[-1]), jnp.zeros(x[-1]))
    return {"jit": lambda: jax.block_until_ready(g(*args))[0]}


# ---- networks --------------------------------------------------------------------------------------------------------

def convolve(w, x, stride=1, padding=1):
    return lax.conv_general_dilated(x, w, (stride, stride), [(padding, padding)] * 2, dimension_numbers=ORDER)


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


class Network:
    """Hands out parameters in the order in which a network's function asks for them, and keeps the statistics that its
    batch norms saw. Without parameters it finds out their shapes."""

    def __init__(self, parameters):
        self.parameters = None if parameters is None else iter(parameters)
        self.shapes, self.seen = [], []

    def parameter(self, *shape):
        if self.parameters is None:
            self.shapes.append(shape)
            return jnp.zeros(shape)
        return next(self.parameters)

    def conv(self, x, outputs, window=3, stride=1, padding=1, bias=False):
        y = convolve(self.parameter(window, window, x.shape[-1], outputs), x, stride, padding)
        return y + self.parameter(outputs) if bias else y

    def linear(self, x, outputs):
        return x @ self.parameter(x.shape[-1], outputs) + self.parameter(outputs)

    def norm(self, x):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        self.seen.append((mean, var))
        return (x - mean) * (lax.rsqrt(var + 1e-5) * self.parameter(x.shape[-1])) + self.parameter(x.shape[-1])


def mnist(net, x, key):
    first, second = jax.random.split(key)
    x = jax.nn.relu(net.conv(jax.nn.relu(net.conv(x, 32, padding=0, bias=True)), 64, padding=0, bias=True))
    x = masked(first, max_pool(x), 0.25).reshape(x.shape[0], -1)
    return net.linear(masked(second, jax.nn.relu(net.linear(x, 128)), 0.5), 10)


def resnet20(net, x, key):
    x = jax.nn.relu(net.norm(net.conv(x, 16)))
    for outputs in (16, 32, 64):
        for i in range(3):
            stride, extra = 2 if outputs > 16 and i == 0 else 1, outputs - x.shape[-1]
            y = jax.nn.relu(net.norm(net.conv(x, outputs, 3, stride)))
            y = net.norm(net.conv(y, outputs))
            if extra:
                x = jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))
            x = jax.nn.relu(y + x)
    return net.linear(x.mean((1, 2)), 10)


def vgg11_bn(net, x, key):
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for outputs in stage:
            x = jax.nn.relu(net.norm(net.conv(x, outputs)))
        x = max_pool(x)
    return net.linear(x.reshape(x.shape[0], -1), 10)


def cnn_step(model, image, batch, optimizer):
    function = {"mnist": mnist, "resnet20": resnet20, "vgg11_bn": vgg11_bn}[model]
    x, t = array(1, batch, *image), jnp.asarray(labels(2, batch, 10))

    def apply(parameters, x, key):
        net = Network(parameters)
        return function(net, x, key), net
    shapes = []
    jax.eval_shape(lambda x, key: shapes.extend(apply(None, x, key)[1].shapes) or x, x, jax.random.key(0))

    def loss(parameters, x, t, key):
        y, net = apply(parameters, x, key)
        return cross_entropy(y, t), net.seen

    def step(state, x, t):
        weights, m, v, running, count, key = state
        key, used = jax.random.split(key)
        (value, seen), grads = jax.value_and_grad(loss, has_aux=True)(weights, x, t, used)
        running = [tuple(0.9 * old + 0.1 * new for old, new in zip(*pair)) for pair in zip(running, seen)]
        if optimizer == "adam":
            weights, m, v = map(list, zip(*[adam_update(*z, count) for z in zip(weights, m, v, grads)]))
        else:
            m = [0.9 * a + g for a, g in zip(m, grads)]
            weights = [w - RATE * a for w, a in zip(weights, m)]
        return (weights, m, v, running, count + 1, key), value

    def start(generator):
        weights = [array(10 + i, *shape) / math.sqrt(math.prod(shape[:-1])) if len(shape) > 1 else
                   jnp.ones(shape) for i, shape in enumerate(shapes)]
        empty = [[jnp.zeros(shape) for shape in shapes] for _ in range(2)]
        seen = jax.eval_shape(loss, weights, x, t, jax.random.key(0))[1]
        return weights, *empty, [tuple(jnp.zeros(s.shape) for s in pair) for pair in seen], jnp.ones(()), \
            jax.random.key(1, impl=generator)

    def way(generator):
        run, state = jax.jit(step, donate_argnums=0), [start(generator)]

        def work():
            state[0], value = run(state[0], x, t)
            return value.block_until_ready()
        return work
    return {f"jit {generator}": way(generator) for generator in (GENERATORS if model == "mnist" else GENERATORS[:1])}


KINDS = {"conv": conv, "pool": pool, "batch_norm": batch_norm, "cnn_step": cnn_step}
