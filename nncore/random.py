"""Random numbers: counter-based, so that they depend on the seed and the order of calls alone, never on threads.

Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011). A generator's state is an array of two numbers, seed and calls so
far, that lives with the other operands: a recorded program goes on with it.
"""
import os

from . import _core

__all__ = ["Generator", "manual_seed", "default_generator"]


class Generator:
    """A stream of random numbers. seed: any integer; None: from the system."""

    def __init__(self, seed=None):
        self.state = _core.random_state(0)
        self.manual_seed(int.from_bytes(os.urandom(8), "little") if seed is None else seed)

    def manual_seed(self, seed):
        """Start again from this seed."""
        try:
            seed = int(seed) % 2**64
        except (TypeError, ValueError, OverflowError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"a seed is an integer, not {seed!r}") from None
        words = self.state.numpy()
        words[0] = seed
        words[1] = 0
        return self

    @property
    def seed(self):
        return int(self.state.numpy()[0])

    def get_state(self):
        """(seed, calls so far), to go on from later."""
        return tuple(int(w) for w in self.state.numpy())

    def set_state(self, state):
        """Go on from a state that get_state returned."""
        try:
            seed, calls = (int(w) % 2**64 for w in state)
        except (TypeError, ValueError):
            raise ValueError(f"a generator's state is (seed, calls so far), not {state!r}") from None
        words = self.state.numpy()
        words[0], words[1] = seed, calls

    def __repr__(self):
        seed, calls = self.get_state()
        return f"Generator(seed={seed}, calls={calls})"


default_generator = Generator()


def state_of(generator):
    """The state of a generator; None: of the default one."""
    generator = default_generator if generator is None else generator
    if not isinstance(generator, Generator):
        raise TypeError(f"a nncore.Generator expected, got {type(generator).__name__}")
    return generator.state


def manual_seed(seed):
    """Make everything random that follows (initialisation, dropout, shuffling) reproducible. Returns the generator."""
    return default_generator.manual_seed(seed)
