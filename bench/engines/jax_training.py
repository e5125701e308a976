"""What JAX's training steps are made of."""
import jax
import jax.numpy as jnp

from ..timed import RATE

GENERATORS = ("threefry2x32", "rbg")  # rbg is the faster one, and not the default


def cross_entropy(x, t):
    return -jnp.take_along_axis(jax.nn.log_softmax(x), t[:, None], 1).mean()


def masked(key, x, p):
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def adam_update(w, m, v, g, t, lr=RATE):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - lr * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v
