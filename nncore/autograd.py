"""Switching the recording of operations on and off."""
import functools
import inspect

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
        if inspect.isgeneratorfunction(function):
            return self._step_by_step(function)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return wrapped

    def _step_by_step(self, function):
        """A generator function whose generators run in this mode, and leave the caller's alone between their steps."""
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            steps = function(*args, **kwargs)
            resume, sent = steps.send, None
            try:
                while True:
                    with type(self)():
                        given = resume(sent)
                    try:
                        resume, sent = steps.send, (yield given)
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        resume, sent = steps.throw, error
            except StopIteration as end:
                return end.value
            finally:
                with type(self)():
                    steps.close()
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
