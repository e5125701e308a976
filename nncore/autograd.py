"""Switching the recording of operations on and off."""
import functools

from . import _core

__all__ = ["no_grad", "enable_grad", "is_grad_enabled"]


class _GradMode:
    """A context manager and decorator that sets the mode of this thread and restores what it was."""
    on = True

    def __init__(self):
        self._before = []

    def __enter__(self):
        self._before.append(_core.set_grad_mode(self.on))
        return self

    def __exit__(self, *exception):
        _core.set_grad_mode(self._before.pop())

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return wrapped


class no_grad(_GradMode):
    """In `with no_grad():`, or a function decorated with `@no_grad()`, nothing is recorded for backward."""
    on = False


class enable_grad(_GradMode):
    """Records again, inside no_grad."""
    on = True


def is_grad_enabled():
    """Whether operations of this thread are recorded for backward."""
    return _core.grad_mode()
