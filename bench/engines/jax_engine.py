"""JAX: every case jitted; training state donated, so that it is updated in place.

A call ends when its result is there; training steps are also tried without waiting for each other.
"""
import jax
import numpy as np
import jax.numpy as jnp

from ..overhead import STATEMENTS
from ..timed import RATE, Timed, labels, net_data, net_weights, normal
from .jax_images import KINDS as IMAGES
from .jax_training import GENERATORS, adam_update, cross_entropy, masked


def set_threads(n):
    pass  # the controller binds the process to n cores; with one, XLA_FLAGS also turns Eigen's threads off


def versions():
    return {"jax": jax.__version__, "platform": jax.default_backend()}


def to_numpy(result):
    return result


def array(seed, *shape):
    return jnp.asarray(normal(seed, *shape))


def jitted(f, *args):
    g = jax.jit(f)
    return {"jit": lambda: g(*args).block_until_ready()}


def gemm(layout, m, n, k):
    a = array(1, *((k, m) if layout[0] == "T" else (m, k)))
    b = array(2, *((n, k) if layout[1] == "T" else (k, n)))
    return jitted(lambda a, b: jnp.matmul(a.T if layout[0] == "T" else a, b.T if layout[1] == "T" else b), a, b)


ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "abs": jnp.abs,
}


def activation(name, n):
    x = array(1, n)
    return jitted(ACTIVATIONS[name], jnp.abs(x) if name in ("log", "sqrt") else x)


def activation_grad(name, n):
    return jitted(lambda dy, x: jax.vjp(ACTIVATIONS[name], x)[1](dy)[0], array(2, n), array(1, n))


def rows(name, b, c):
    x, t = array(1, b, c), jnp.asarray(labels(2, b, c))
    if name.startswith("cross"):
        return jitted(cross_entropy if name == "cross_entropy" else jax.grad(cross_entropy), x, t)
    return jitted(getattr(jax.nn, name), x)


def reduce(name, shape, axis):
    extra = {"ddof": 1} if name == "var" else {}
    return jitted(lambda x: getattr(jnp, name)(x, axis, **extra), array(1, *shape))


def binary(name, x, y):
    return jitted({"add": jnp.add, "mul": jnp.multiply}[name], array(1, *x), array(2, *y))


def dropout(n, p):
    x, ways = array(1, n), {}
    for kind in GENERATORS:
        ways[kind] = jitted(lambda key, x: masked(key, x, p), jax.random.key(1, impl=kind), x)["jit"]
    return ways


def adam(n):
    g, state = array(2, n), [array(1, n), jnp.zeros(n), jnp.zeros(n), jnp.ones(())]
    update = jax.jit(lambda w, m, v, t, g: (*adam_update(w, m, v, g, t), t + 1), donate_argnums=(0, 1, 2, 3))

    def work():
        state[:] = update(*state, g)
        return state[0].block_until_ready()
    return {"jit": work}


def forward(weights, x, activation, dropout=0.0, key=None):
    for i, (w, b) in enumerate(weights):
        x = x @ w + b
        if i < len(weights) - 1:
            x = {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation](x)
            if dropout:
                key, used = jax.random.split(key)
                x = masked(used, x, dropout)
    return x


def make_step(activation, dropout, loss, lr):
    """step(state, x, t) -> state, loss; state = weights, m, v, step count, key."""
    def value(weights, x, t, key):
        y = forward(weights, x, activation, dropout, key)
        return jnp.mean((y - t) ** 2) if loss == "mse" else cross_entropy(y, t)

    def step(state, x, t):
        weights, m, v, count, key = state
        key, used = jax.random.split(key)
        result, grads = jax.value_and_grad(value)(weights, x, t, used)
        leaves, tree = jax.tree.flatten(weights)
        updated = [adam_update(w, a, b, g, count, lr) for w, a, b, g in zip(leaves, m, v, jax.tree.leaves(grads))]
        weights, m, v = zip(*updated)
        return (jax.tree.unflatten(tree, weights), list(m), list(v), count + 1, key), result
    return step


def start(sizes, generator):
    weights = [(jnp.asarray(w), jnp.asarray(b)) for w, b in net_weights(sizes)]
    leaves = jax.tree.leaves(weights)
    m, v = ([jnp.zeros_like(w) for w in leaves] for _ in range(2))
    return weights, m, v, jnp.ones(()), jax.random.key(1, impl=generator)


def train_step(sizes, activation, dropout, batch, loss):
    x, t = map(jnp.asarray, net_data(sizes, batch, loss))

    def way(generator, wait):
        step = jax.jit(make_step(activation, dropout, loss, RATE), donate_argnums=0)
        state = [start(sizes, generator)]

        def work():
            state[0], value = step(state[0], x, t)
            return value.block_until_ready() if wait else value
        return Timed(work, after=None if wait else lambda: jax.block_until_ready(state[0][0]))

    ways = {}
    for generator in GENERATORS if dropout else GENERATORS[:1]:
        ways[f"jit {generator}"] = way(generator, True)
        ways[f"jit {generator}, not waiting"] = way(generator, False)
    return ways


def inference(sizes, activation, batch):
    x, weights = net_data(sizes, batch, "mse")[0], start(sizes, "threefry2x32")[0]
    f = jax.jit(lambda weights, x: forward(weights, x, activation))
    return {"jit": lambda: np.asarray(f(weights, x))}


def epoch(sizes, batch, folder, count):
    """The whole epoch in one jitted scan: shuffle, gather, steps."""
    from ..mlp import mnist
    x, t = map(jnp.asarray, mnist(folder, count))
    step = make_step("relu", 0.0, "cross_entropy", 1e-3)

    def whole(state, key, x, t):
        order = jax.random.permutation(key, count).reshape(-1, batch)
        return jax.lax.scan(lambda s, r: step(s, x[r], t[r]), state, order)

    run = jax.jit(whole, donate_argnums=0)
    state, keys = [start(sizes, "threefry2x32")], [jax.random.key(0)]

    def work():
        keys[0], key = jax.random.split(keys[0])
        state[0], values = run(state[0], key, x, t)
        return values.block_until_ready()[-1]
    return {"jit scan": work}


def overhead(name):
    a, b, s = jnp.ones(4), jnp.ones((4, 4)), jnp.ones((1, 4))
    weights, m, v, *_ = start((4, 8, 8, 2), "threefry2x32")
    if name == "tensor from a list of 4":
        return {"plain": Timed(STATEMENTS[name], {"tensor": jnp.array})}
    if name == "adam step 4-8-8-2":
        grads, state = jax.tree.map(jnp.ones_like, jax.tree.leaves(weights)), [[jax.tree.leaves(weights), m, v, 1.0]]

        def update(w, m, v, t, g):
            return [list(z) for z in zip(*(adam_update(*z, t) for z in zip(w, m, v, g)))] + [t + 1]
        update = jax.jit(update, donate_argnums=(0, 1, 2, 3))

        def work():
            state[0] = update(*state[0], grads)
            return state[0][0][0].block_until_ready()
        return {"jit": work}
    f, args = {"add of 4": (jnp.add, (a, a)), "matmul 4x4": (jnp.matmul, (b, b)),
               "linear 1x4 -> 4": (lambda s, b, a: s @ b + a, (s, b, a)),
               "forward 4-8-8-2": (lambda w, s: forward(w, s, "relu"), (weights, s)),
               "forward and backward 4-8-8-2": (jax.grad(lambda w, s: forward(w, s, "relu").sum()), (weights, s))}[name]
    return {"jit": Timed("wait(f(*args))", {"wait": jax.block_until_ready, "f": jax.jit(f), "args": args})}


KINDS = {"gemm": gemm, "activation": activation, "activation_grad": activation_grad, "rows": rows, "reduce": reduce,
         "binary": binary, "dropout": dropout, "adam": adam, "train_step": train_step, "inference": inference,
         "epoch": epoch, "overhead": overhead, **IMAGES}
