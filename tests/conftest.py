"""Fixtures of all tests."""
import gc

import pytest


def pytest_collection_finish():
    """The tests themselves, some hundred thousand objects, live to the end: gc.collect() need not walk them again."""
    gc.collect()
    gc.freeze()


def _isa_names():
    try:
        from nncore import _core
    except ImportError:  # only the reference is tested, without the engine
        return ["not built"]
    return _core.isa_names()


@pytest.fixture(params=_isa_names())
def isa(request):
    """Every instruction set that is compiled in and supported by this CPU, in turn."""
    from nncore import _core
    before = _core.isa_current()
    _core.isa_select(request.param)
    yield request.param
    _core.isa_select(before)


@pytest.fixture
def threads():
    """The function that sets the number of threads; what it was is restored."""
    import nncore
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)
