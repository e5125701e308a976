"""The networks of nncore.models: sizes as published, shapes, and that they learn."""
import numpy as np
import pytest

import nncore
from nncore import losses, models, nn, optim

# counted by hand from the papers' tables: weights, biases of dense layers, two numbers a batch norm channel
PARAMETERS = {
    "LeNet5": (lambda: models.LeNet5(), 61706), "resnet20": (models.resnet20, 269722),
    "resnet32": (models.resnet32, 464154),
    "resnet18": (models.resnet18, 11689512), "resnet34": (models.resnet34, 21797672),
    "mobilenet": (models.mobilenet, 4231976), "vgg11_bn": (models.vgg11_bn, 9228362),
    # torchvision's has 132868840: 2752 biases more, in front of norms that take them away again
    "vgg11_bn, 1000 classes": (lambda: models.vgg11_bn(1000, hidden=(4096, 4096)), 132868840 - 2752),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_published(name):
    make, count = PARAMETERS[name]
    assert sum(p.size for p in make().parameters()) == count


@pytest.mark.parametrize("make, image", [
    (models.LeNet5, (28, 28, 1)), (lambda: models.LeNet5(in_channels=3, image_size=32), (32, 32, 3)),
    (models.resnet20, (32, 32, 3)), (lambda: models.resnet18(10, stem="small"), (32, 32, 3)),
    (lambda: models.resnet18(10), (64, 64, 3)), (models.vgg11_bn, (32, 32, 3)),
    (lambda: models.mobilenet(10, width=0.25, small_images=True), (32, 32, 3)),
    (lambda: models.mobilenet(10, width=0.25), (64, 64, 3)),
])
def test_shapes_and_modes(make, image):
    nncore.manual_seed(0)
    model = make()
    x = nncore.tensor(np.random.default_rng(0).standard_normal((2, *image), dtype="f4"))
    assert model(x).shape == (2, 10)
    model.eval()
    with nncore.no_grad():
        y = model(x).numpy()
        assert np.isfinite(y).all()
        folded = nn.fold_batch_norm(model)(x).numpy()
    assert np.abs(folded - y).max() <= 1e-4 * max(1, np.abs(y).max())
    assert str(model.summary((2, *image))).count("Conv2d") == sum(isinstance(m, nn.Conv2d) for m in model.modules())


@pytest.mark.parametrize("make", [models.LeNet5, lambda: models.resnet20(in_channels=1),
                                  lambda: models.mobilenet(10, 1, 0.25, small_images=True)])
def test_they_learn_a_batch(make):
    nncore.manual_seed(0)
    model = make()
    rng = np.random.default_rng(1)
    x, t = nncore.tensor(rng.standard_normal((16, 28, 28, 1), dtype="f4")), nncore.tensor(rng.integers(0, 10, 16))
    optimizer = optim.Adam(model.parameters(), lr=3e-3)

    @nncore.compile
    def step(x, t):
        loss = losses.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss
    values = [float(step(x, t)) for _ in range(30)]
    assert values[-1] < 0.1 * values[0], values


def test_wrong_use_is_named():
    for call, word in ((lambda: models.LeNet5(image_size=30), "30"),
                       (lambda: models.MobileNet(strides=(1, 2)), "14 strides"),
                       (lambda: models.ResNet((1,), (8,), 10, stem="tiny"), "'tiny'")):
        with pytest.raises(ValueError, match=word):
            call()
