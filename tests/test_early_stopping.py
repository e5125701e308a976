"""Early stopping: patience, progress, both modes, NaN, and the way back to the best weights."""
import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.train import EarlyStopping


def stops_at(values, **options):
    stopping = EarlyStopping(**options)
    for epoch, value in enumerate(values):
        if stopping.update(value):
            return epoch, stopping
    return None, stopping


@pytest.mark.parametrize("values, options, expected, best", [
    ([3, 2, 1, 0], dict(patience=1), None, 3),
    ([3, 2, 2, 2], dict(patience=2), 3, 1),
    ([3, 2, 4, 1, 4, 4, 0], dict(patience=2), 5, 3),
    ([1, 0.95, 0.91, 0.9], dict(patience=3, min_delta=0.2), 3, 0),
    ([1, 2, 1, 1], dict(patience=2, mode="max"), 3, 1),
    ([float("nan")] * 4, dict(patience=3), 2, None),
    ([float("nan"), 1, float("nan"), 0.5], dict(patience=2), None, 3),
])
def test_when_it_stops(values, options, expected, best):
    epoch, stopping = stops_at(values, **options)
    assert epoch == expected and stopping.best_epoch == best


def test_best_weights_come_back():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    stopping = EarlyStopping(patience=2)
    states = []
    for scale, value in ((1, 3.0), (2, 1.0), (3, 2.0)):
        model.load_state_dict({name: np.full(w.shape, scale, np.float32) for name, w in model.state_dict().items()})
        states.append(model.state_dict())
        stopping.update(value, model)
    stopping.restore(model)
    for name, w in model.state_dict().items():
        assert (w == states[1][name]).all() and (w == 2).all()
    EarlyStopping().restore(model)  # saw nothing: changes nothing


@pytest.mark.parametrize("options", [dict(patience=0), dict(min_delta=-1), dict(mode="up"),
                                     dict(patience=float("nan")), dict(min_delta=float("nan"))])
def test_wrong_use(options):
    with pytest.raises(ValueError, match="EarlyStopping"):
        EarlyStopping(**options)


def test_a_tensor_that_is_written_later_does_not_change_the_best():
    value, stopping = nncore.tensor(1.0), EarlyStopping()
    stopping.update(value)
    value.fill_(9.0)
    assert stopping.best == 1.0 and not stopping.update(nncore.tensor(0.5)) and stopping.best_epoch == 1
