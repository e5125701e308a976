"""Augmentation: every step against the reference in plain Python, what chance does, the loader, wrong use."""
import functools
import math

import numpy as np
import pytest

import nncore
from guards import check_guard, poison
from nncore import _core, losses, optim
from nncore.data import DataLoader, Standardizer, augment
from nncore.data.augment import (Augment, CenterCrop, ColorJitter, CutMix, Cutout, Mixup, Normalize, RandomCrop,
                                 RandomErasing, RandomHorizontalFlip, RandomVerticalFlip)
from nncore.reference import augment as reference
from nncore.reference import random as reference_random

EPS = 2.0**-23
SHAPES = [(1, 1, 1), (1, 7, 3), (13, 7, 1), (13, 7, 3), (8, 8, 2), (5, 6, 5), (32, 32, 3), (3, 40, 17)]
FLIPS = [RandomHorizontalFlip(), RandomVerticalFlip(0.3)]


def images(n, shape, dtype, seed=0):
    x = np.random.default_rng([seed, *shape]).integers(0, 256, (n, *shape))
    return x.astype(np.uint8) if dtype == "u1" else (x / 255).astype(np.float32)


def words(seed, call, n):
    """The 64 words of each of the first n images of a stream."""
    w = reference_random.words(64 * n, seed, call)
    return [w[64 * i:64 * i + 64] for i in range(n)]


def arguments(step, dtype, channels):
    """A step as arguments of the reference."""
    def colour(value):
        return np.broadcast_to(value, channels).tolist()
    white = 255.0 if dtype == "u1" else 1.0
    if isinstance(step, RandomHorizontalFlip):
        return dict(flip=step.p)
    if isinstance(step, RandomVerticalFlip):
        return dict(turn=step.p)
    if isinstance(step, RandomCrop):
        return dict(size=step.size, padding=(step.padding * 4)[:4], mode=step.padding_mode, fill=colour(step.fill))
    if isinstance(step, ColorJitter):
        return dict(brightness=step.brightness, contrast=step.contrast, white=white)
    if isinstance(step, Normalize):
        return dict(scale=colour(1 / (white * step.std)), shift=colour(-step.mean / step.std))
    if isinstance(step, Cutout):
        return dict(p_erase=step.p, cutout=(step.n_holes, *step.size), value=colour(step.value))
    return dict(p_erase=step.p, erasing=(*step.scale, *step.ratio), value=colour(step.value))


def expected(x, steps, stream, dtype):
    options = dict(scale=[1] * x.shape[3], shift=[0] * x.shape[3], fill=[0] * x.shape[3])
    for step in steps:
        options |= arguments(step, dtype, x.shape[3])
    return np.array([reference.augment(image.tolist(), w, **options) for image, w in zip(x, stream)])


def compare(x, steps, dtype, want):
    got = Augment(steps, seed=5)(x).numpy()
    # A product and a sum each for brightness, contrast and normalisation, and the sum of the mean grey. In between,
    # pixels are at most white times the largest factor.
    terms = 8 + x.shape[2] * x.shape[3] / 4
    largest = (255.0 if dtype == "u1" else 1.0) * max([1, *(max(step.brightness + step.contrast) for step in steps
                                                            if isinstance(step, ColorJitter))])
    for step in steps:
        if isinstance(step, Normalize):
            largest = largest / step.std.min() / (255 if dtype == "u1" else 1) + (step.mean / step.std).max()
    bound = terms * EPS * largest if any(isinstance(step, (ColorJitter, Normalize)) for step in steps) else 0
    assert got.shape == want.shape and got.dtype == np.float32
    assert got.shape == want.shape and got.dtype == np.float32
    assert (np.abs(got - want) <= bound).all()


def chains(shape):
    """Lists of steps that fit images of a shape."""
    h, w, c = shape
    smaller = (max(1, h - 2), max(1, w // 2))
    yield [*FLIPS]
    yield [RandomCrop(smaller)]
    yield [RandomCrop((h, w), padding=4, fill=range(1, c + 1)), RandomHorizontalFlip()]
    yield [RandomCrop((h + 3, w + 1), padding=(1, 2, 3, 4), fill=0.5), *FLIPS]
    for mode in ("edge", "reflect", "symmetric"):
        pad = (min(w, 4) - (mode == "reflect"), min(h, 4) - (mode == "reflect"))
        yield [RandomHorizontalFlip(), RandomCrop((h, w), padding=pad, padding_mode=mode), RandomVerticalFlip()]
    yield [ColorJitter(0.6, 0)]
    yield [ColorJitter(0, (0.2, 2.5)), Normalize(0.4, 0.3)]
    yield [*FLIPS, ColorJitter((0.5, 2), 0.8), Normalize(np.linspace(0.2, 0.6, c), np.linspace(0.2, 0.4, c))]
    yield [Cutout(3), ]
    yield [Normalize(0.5, 0.25), Cutout((2, 5), n_holes=3, value=np.arange(c), p=0.7)]
    yield [RandomErasing(0.8)]
    yield [RandomCrop((h, w), padding=2), RandomHorizontalFlip(), ColorJitter(0.3, 0.3),
           Normalize([0.5] * c, [0.2] * c), RandomErasing(1.0, (0.1, 0.9), (0.2, 5), value=7)]


@functools.cache
def expected_of_chains(shape, dtype, n):
    """Once for all instruction sets."""
    return [expected(images(n, shape, dtype), steps, words(5, 0, n), dtype) for steps in chains(shape)]


@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_steps_agree_with_the_reference(isa, shape, dtype):
    n = 3 if math.prod(shape) > 500 else 9
    x = images(n, shape, dtype)
    for steps, want in zip(chains(shape), expected_of_chains(shape, dtype, n), strict=True):
        compare(x, steps, dtype, want)


def test_images_without_an_axis_of_channels(isa):
    x = images(6, (13, 7, 1), "u1")
    steps = [RandomCrop((9, 9), padding=2), *FLIPS, Normalize(0.1, 0.3), Cutout(3)]
    flat = Augment(steps, seed=1)(x[..., 0]).numpy()
    assert flat.shape == (6, 9, 9) and (flat[..., None] == Augment(steps, seed=1)(x).numpy()).all()


def test_center_crop():
    x = images(4, (9, 6, 3), "u1")
    for size, rows, columns in (((9, 6), (0, 9), (0, 6)), (4, (2, 6), (1, 5)), ((6, 3), (2, 8), (2, 5)),
                                ((1, 1), (4, 5), (2, 3))):
        got = Augment([CenterCrop(size)])(x).numpy()
        assert (got == x[:, slice(*rows), slice(*columns)]).all()  # as torchvision rounds: 1.5 and 2.5 to 2


def test_nothing_is_written_beyond_the_batch(isa):
    for shape in SHAPES:
        x = images(3, shape, "u1")
        poison(((3, *shape), "float32"))
        y = Augment([RandomHorizontalFlip(), ColorJitter(0.1, 0.1), Normalize(0.5, 0.5), Cutout(2)], seed=1)(x)
        check_guard(y.array, shape)
        poison(((3, *shape), "float32"))
        y, _ = Augment([Mixup(num_classes=3)], seed=1)(nncore.tensor(x.astype("f4")), [0, 1, 2])
        check_guard(y.array, shape, first=False)


def test_nan_goes_where_its_pixel_goes(isa):
    x = np.full((1, 4, 5, 3), 0.5, np.float32)
    x[0, 1, 0, 2] = np.nan
    y = Augment([RandomHorizontalFlip(1), ColorJitter(0.3, 0), Normalize(0.1, 0.2)])(x).numpy()
    assert np.isnan(y[0, 1, 4, 2]) and np.isnan(y).sum() == 1
    assert np.isnan(Augment([ColorJitter(0, 0.5)], seed=1)(x).numpy()).all()  # the mean grey is


# ---- mixup and CutMix ------------------------------------------------------------------------------------------------

SOFT, LABELS = np.random.default_rng(0).random((5, 4)).astype("f4"), np.array([3, 0, 2, 2, 1])


@functools.cache
def mixed(n, shape, batch, settings):
    """The reference's images and targets of one batch: once for all instruction sets."""
    targets = SOFT[:n] if batch % 2 else np.eye(4)[LABELS[:n]]
    stream = reference_random.words(64 * (n * batch + 1), 9, 1)[64 * n * batch:]
    return reference.mix(images(n, shape, "f4").tolist(), targets.tolist(), stream, **dict(settings))


@pytest.mark.parametrize("steps, settings", [
    ([Mixup(0.2)], dict(p_mixup=1.0, mixup_alpha=0.2)), ([Mixup(1.0)], dict(p_mixup=1.0)),
    ([CutMix()], dict(p_cutmix=1.0)), ([CutMix(3.0)], dict(p_cutmix=1.0, cutmix_alpha=3.0)),
    ([Mixup(0.01, p=0.3), CutMix(0.5, p=0.4)], dict(p_mixup=0.3, mixup_alpha=0.01, p_cutmix=0.4, cutmix_alpha=0.5)),
    ([Mixup(p=0)], {})], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (13, 7, 1), (8, 6, 3), (5, 6, 17)], ids=str)
def test_mixing_agrees_with_the_reference(isa, steps, settings, shape):
    for n in (1, 2, 5):
        x = images(n, shape, "f4")
        chain = Augment([type(step)(step.alpha, step.p, num_classes=4) for step in steps], seed=9)
        for batch in range(8):
            y, t = chain(x, SOFT[:n] if batch % 2 else LABELS[:n])
            for got, exact in zip((y, t), mixed(n, shape, batch, tuple(settings.items()))):
                assert got.numpy().shape == np.shape(exact) and got.dtype == "float32"
                assert not (np.abs(got.numpy() - exact) > 3 * EPS).any()


def test_shares_have_the_beta_distribution():
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)), within five standard errors; a Kolmogorov bound for alpha = 1."""
    x, t = np.zeros((2, 1, 1, 1), np.float32), np.array([0, 1])
    for alpha in (0.1, 0.5, 1.0, 4.0):
        chain = Augment([Mixup(alpha, num_classes=2)], seed=3)
        shares = np.array([chain(x, t)[1].numpy()[0, 0] for _ in range(4000)], "f8")
        variance = 1 / (4 * (2 * alpha + 1))
        assert abs(shares.mean() - 0.5) < 5 * math.sqrt(variance / 4000)
        assert abs(shares.var() - variance) < 5 * variance * math.sqrt(2 / 4000)
        if alpha == 1:
            assert np.abs(np.sort(shares) - np.linspace(0, 1, 4000)).max() < 1.95 / math.sqrt(4000)


def test_the_choice_between_mixup_and_cutmix():
    x = np.stack([np.zeros((8, 8, 1)), np.ones((8, 8, 1))]).astype(np.float32)
    chain = Augment([Mixup(p=0.2, num_classes=2), CutMix(p=0.5, num_classes=2)], seed=0)
    counts = dict(mixup=0, cutmix=0, neither=0)
    for _ in range(2000):
        y, t = (a.numpy() for a in chain(x, [0, 1]))
        assert np.abs(t.sum(1) - 1).max() < 1e-6
        assert abs(t[0, 0] - (1 - y[0].mean())) < 1e-5  # targets follow the pixels
        mixup = len(np.unique(y[0])) == 1 and 0 < y[0, 0, 0, 0] < 1
        kind = "mixup" if mixup else "cutmix" if 0 < y[0].mean() else "neither"
        counts[kind] += 1
    assert abs(counts["mixup"] - 400) < 90
    assert 400 < counts["neither"] < 900  # boxes without a pixel are among them


# ---- chance ----------------------------------------------------------------------------------------------------------

def test_flips_and_crops_are_as_likely_as_they_say():
    n = 6000
    x = np.broadcast_to(np.arange(16, dtype=np.uint8).reshape(4, 4, 1), (n, 4, 4, 1))
    y = Augment([RandomHorizontalFlip(0.3), RandomVerticalFlip(0.8)], seed=2)(x).numpy()[..., 0]
    flipped, turned = y[:, 0, 0] % 4 == 3, y[:, 0, 0] >= 12
    for hits, p in ((flipped, 0.3), (turned, 0.8), (flipped & turned, 0.24)):
        assert abs(hits.mean() - p) < 5 * math.sqrt(p * (1 - p) / n)
    corner = Augment([RandomCrop((2, 3))], seed=2)(x).numpy()[:, 0, 0, 0].astype(int)
    counts = np.bincount(corner, minlength=16).reshape(4, 4)
    assert counts[3].sum() == counts[:, 2:].sum() == 0  # places that there are not
    assert np.abs(counts[:3, :2] - n / 6).max() < 5 * math.sqrt(n / 6)


def test_erased_areas():
    x = np.ones((3000, 20, 20, 1), np.float32)
    y = Augment([RandomErasing(0.5, (0.1, 0.3), (0.5, 2))], seed=1)(x).numpy()
    erased = 1 - y.mean((1, 2, 3))
    hit = erased > 0
    assert abs(hit.mean() - 0.5) < 5 * 0.5 / math.sqrt(3000)
    assert erased[hit].min() > 0.07 and erased[hit].max() < 0.34 and abs(erased[hit].mean() - 0.2) < 0.01
    cut = Augment([Cutout(6)], seed=1)(x).numpy()
    erased = (cut == 0).sum((1, 2, 3))
    assert erased.max() == 36 and erased.min() == 9  # around a corner's pixel three of six rows are in the image
    middle = (cut == 0).mean(0)[10, 10, 0]
    assert abs(middle - 36 / 400) < 5 * math.sqrt(0.09 * 0.91 / 3000)


def test_brightness_is_uniform_between_its_limits():
    x = np.full((4000, 1, 1, 1), 0.4, np.float32)
    y = Augment([ColorJitter((0.5, 2.0), 0)], seed=4)(x).numpy().ravel() / 0.4
    assert y.min() >= 0.5 - 1e-6 and y.max() <= 2 + 1e-6
    assert np.abs(np.sort(y) - np.linspace(0.5, 2, 4000)).max() < 1.5 * 1.95 / math.sqrt(4000)


CIFAR = [RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))]


def batches(loader):
    return [np.concatenate([b.numpy() for b in part]) for part in zip(*loader)]


def test_a_seed_gives_the_same_images_for_any_batch_size_and_number_of_threads():
    x, y = images(101, (32, 32, 3), "u1"), np.arange(101) % 7
    steps = [*CIFAR[:2], ColorJitter(0.2, 0.2), *CIFAR[2:], RandomErasing()]

    def epochs(size, threads=1, more=(), seed=0):
        before = nncore.get_num_threads()
        nncore.set_num_threads(threads)
        try:
            loader = DataLoader(x, y, size, shuffle=True, seed=seed, augment=[*steps, *more])
            return [batches(loader) for _ in range(2)]
        finally:
            nncore.set_num_threads(before)

    first = epochs(101)
    for size, threads in ((101, 2), (101, 3), (101, 7), (1, 1), (10, 1), (64, 2)):
        for a, b in zip(first, epochs(size, threads)):
            assert all((p == q).all() for p, q in zip(a, b))
    assert (first[0][0] != first[1][0]).any() and (epochs(101, seed=1)[0][0] != first[0][0]).any()
    mixed = epochs(20, more=[CutMix()])
    for threads in (2, 7):
        assert all((p == q).all() for a, b in zip(mixed, epochs(20, threads, [CutMix()])) for p, q in zip(a, b))


def test_the_same_image_differs_from_place_to_place_and_from_epoch_to_epoch():
    x = np.broadcast_to(images(1, (8, 8, 3), "u1"), (50, 8, 8, 3))
    loader = DataLoader(x, batch_size=50, seed=0, augment=[RandomCrop(8, padding=4)])
    a, b = (next(iter(loader)).inputs.numpy() for _ in range(2))
    assert len(np.unique(a.reshape(50, -1), axis=0)) > 20 and (a != b).any()


def test_the_global_seed_and_iterators_side_by_side():
    x = images(20, (6, 6, 1), "u1")
    loader = DataLoader(x, batch_size=4, augment=[RandomCrop(4), *FLIPS])

    def two():
        nncore.manual_seed(1)
        return np.concatenate([np.stack([a.inputs.numpy(), b.inputs.numpy()]) for a, b in zip(loader, loader)], axis=1)
    first = two()
    assert (first == two()).all() and (first[0] != first[1]).any()
    nncore.manual_seed(1)
    assert (batches([(b.inputs,) for b in loader])[0] == first[0]).all()  # the first was not disturbed by the second


# ---- the loader ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i8", "?"])
def test_the_loader_gathers_shuffled_rows(dtype):
    x, y = images(30, (5, 4, 3), "u1").astype(dtype), np.arange(30)
    for rows in (None, y % 3 == 1):
        loader = DataLoader(x, y, 7, shuffle=True, seed=1, rows=rows, augment=[RandomHorizontalFlip(1)])
        got, order = batches(loader)
        assert (got == x[order][:, :, ::-1].astype("f4")).all() and len(order) == (30 if rows is None else 10)
        assert sorted(order) == list(y if rows is None else y[rows])


def test_scale_shift_and_standardizer_count_as_normalize():
    x = images(10, (5, 4, 3), "u1")
    flip = RandomHorizontalFlip(1)
    want = x[:, :, ::-1] * np.float32(0.5) - 3
    for more in (dict(scale=0.5, shift=-3), dict(scale=[0.5] * 3, shift=[[[-3]]])):
        assert np.abs(batches([(b.inputs,) for b in DataLoader(x, augment=[flip], **more)])[0] - want).max() < 1e-5
    standardizer = Standardizer(per_feature=False).fit(x)
    got = next(iter(DataLoader(x, augment=[flip], transform=standardizer))).inputs.numpy()
    assert np.abs(got - standardizer(x)[:, :, ::-1]).max() < 1e-6
    got = next(iter(DataLoader(x, augment=[flip], transform=lambda t: t * 2))).inputs.numpy()
    assert (got == 2 * x[:, :, ::-1].astype("f4")).all()
    for more in (dict(scale=2), dict(transform=standardizer)):
        with pytest.raises(ValueError, match="give Normalize, or scale and shift or a Standardizer, not both"):
            DataLoader(x, augment=[Normalize(0.5, 0.5)], **more)
    with pytest.raises(ValueError, match=r"scale of shape \(5, 4, 3\) is neither one number nor one for each channel"):
        DataLoader(x, augment=[flip], transform=Standardizer().fit(x))


def test_soft_targets_train_and_compiled_steps_see_new_images():
    x, y = images(64, (8, 8, 3), "u1"), np.arange(64) % 5
    loader = DataLoader(x, y, 16, shuffle=True, seed=0,
                        augment=[RandomCrop(8, padding=2), RandomHorizontalFlip(), Normalize(0.5, 0.25),
                                 Mixup(0.4, p=0.5), CutMix(p=0.5)])

    def train(compiled):
        nncore.manual_seed(0)
        nn = nncore.nn
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 32, activation="relu"), nn.Linear(32, 5))
        optimizer = optim.SGD(model.parameters(), lr=0.05)

        def step(inputs, targets):
            loss = losses.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss
        step = nncore.compile(step) if compiled else step
        again = DataLoader(x, y, 16, shuffle=True, seed=0, augment=loader._inputs.plan.steps)
        return [step(*batch).item() for _ in range(10) for batch in again], step
    eager, _ = train(False)
    compiled, step = train(True)
    assert eager == compiled and len(step.programs) == 1 and len(set(eager)) == len(eager)


def test_train_epoch_counts_the_likeliest_class_of_soft_targets():
    from nncore.train import train_epoch
    x, y = images(40, (4, 4, 1), "u1"), np.arange(40) % 2
    x[y == 1] = 255
    x[y == 0] = 0
    nncore.manual_seed(0)
    model = nncore.nn.Sequential(nncore.nn.Flatten(), nncore.nn.Linear(16, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    loader = DataLoader(x, y, 10, augment=[Normalize(0.5, 0.5), Mixup(0.01)], shuffle=True, seed=0)
    for _ in range(5):
        accuracy = train_epoch(model, loader, losses.cross_entropy, optimizer)[1]
    assert accuracy > 0.9


def test_a_recorded_augmentation_goes_on_with_its_stream():
    x = nncore.tensor(images(6, (5, 5, 2), "f4"))
    steps = [RandomCrop(5, padding=3), *FLIPS, CutMix(num_classes=6)]
    labels = nncore.tensor(np.arange(6))
    recorded, plain = Augment(steps, seed=3), Augment(steps, seed=3)
    step = nncore.compile(lambda x, t: recorded(x, t))
    for _ in range(5):
        assert all((a.numpy() == b.numpy()).all() for a, b in zip(step(x, labels), plain(x, labels)))


def test_an_empty_batch():
    x = np.zeros((0, 4, 5, 3), np.uint8)
    assert Augment([RandomCrop(3)])(x).shape == (0, 3, 3, 3)
    y, t = Augment([Mixup(num_classes=4)])(x.astype("f4"), np.zeros((0, 4), "f4"))
    assert y.shape == (0, 4, 5, 3) and t.shape == (0, 4)


# ---- wrong use -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("make, match", [
    (lambda: RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p = 1.5 is not within 0 and 1"),
    (lambda: RandomVerticalFlip(float("nan")), "RandomVerticalFlip: p = nan"),
    (lambda: RandomCrop(0), "RandomCrop: size 0 is not"), (lambda: RandomCrop((3, 3, 3)), "RandomCrop: size"),
    (lambda: RandomCrop(2.5), "RandomCrop: size 2.5"), (lambda: RandomCrop(4, -1), "RandomCrop: padding -1"),
    (lambda: RandomCrop(4, (1, 2, 3)), "padding .1, 2, 3. is not 1, 2 or 4"),
    (lambda: RandomCrop(4, padding_mode="wrap"), "one of constant, edge, reflect, symmetric, not 'wrap'"),
    (lambda: CenterCrop("a"), "CenterCrop: size"), (lambda: ColorJitter(-0.1), "ColorJitter: brightness -0.1"),
    (lambda: ColorJitter(0, (2, 1)), "ColorJitter: contrast .2, 1."), (lambda: Normalize(0, 0), "std above 0"),
    (lambda: Normalize([[1]], 1), "Normalize: mean"), (lambda: Cutout(3, 29), "n_holes is 29, not 1 to 28"),
    (lambda: Cutout(3, 0), "n_holes is 0"), (lambda: RandomErasing(scale=(0.5, 0.1)), "RandomErasing: scale"),
    (lambda: RandomErasing(ratio=(0, 1)), "RandomErasing: ratio"), (lambda: Mixup(0), "Mixup: alpha 0 is not above 0"),
    (lambda: CutMix(p=-1), "CutMix: p = -1"), (lambda: RandomCrop(4, 1.5), "RandomCrop: padding 1.5 is not"),
    (lambda: RandomCrop(4, "1"), "padding '1' is not"), (lambda: RandomCrop(4, 2**40), "padding 1099511627776 is not"),
    (lambda: Cutout(3, 2.5), "n_holes is 2.5"), (lambda: Mixup(num_classes=9.5), "Mixup: num_classes 9.5 is not"),
    (lambda: CutMix(num_classes=0), "CutMix: num_classes 0 is not"),
    (lambda: Augment([RandomCrop(3), CenterCrop(3)]), "more than one RandomCrop or CenterCrop"),
    (lambda: Augment([Cutout(3), Cutout(3)]), "more than one Cutout"),
    (lambda: Augment([Normalize(0, 1), RandomHorizontalFlip()]), "are not in the order crop and flips"),
    (lambda: Augment([Mixup(), CutMix()]), "add up to more than 1"),
])
def test_wrong_steps(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("steps, shape, match", [
    ([RandomCrop(9)], (8, 9, 3), r"a window of 9 x 9 pixels does not fit images \(8, 9, 3\) with padding \(0,\)"),
    ([CenterCrop((8, 10))], (8, 9, 3), "CenterCrop: a window of 8 x 10"),
    ([RandomCrop(8, 8, "reflect")], (8, 8), "more than images .8, 8. have to reflect"),
    ([RandomCrop(8, 9, "symmetric")], (8, 8), "have to symmetric"),
    ([RandomHorizontalFlip(), RandomCrop(4, (1, 0, 0, 0))], (8, 8, 3), "flips must come after it"),
    ([Normalize((1, 2), 1)], (8, 8, 3), "scale of shape|shift of shape"),
    ([Cutout(3, value=(1, 2))], (8, 8, 3), r"value of shape \(2,\)"),
    ([], (8,), r"got samples \(8,\)"), ([], (8, 0, 3), r"got samples \(8, 0, 3\)"), ([], (2, 2, 2, 2), "got samples"),
])
def test_steps_that_do_not_fit_the_images(steps, shape, match):
    with pytest.raises(ValueError, match=match):
        DataLoader(np.zeros((4, *shape), np.uint8), augment=steps)


def test_wrong_targets_and_images():
    x, y = np.zeros((4, 5, 5, 1), np.float32), np.array([0, 1, 2, 1])
    for steps, targets, match in (([Mixup()], None, "needs targets"), ([Mixup()], y - 1, "labels -1 to 1"),
                                  ([CutMix(num_classes=2)], y, "labels 0 to 2 are not those of 2 classes"),
                                  ([Mixup(p=0.5, num_classes=3), CutMix(p=0.5, num_classes=4)], y, "num_classes"),
                                  ([Mixup()], y.astype("f4"), r"targets float32 \(4,\) are neither")):
        with pytest.raises(ValueError, match=match):
            DataLoader(x, targets, augment=steps)
    with pytest.raises(ValueError, match="Augment: .*needs targets"):
        Augment([Mixup()])(x)
    with pytest.raises(ValueError, match="num_classes"):
        Augment([Mixup()])(x, y)
    with pytest.raises(ValueError, match="neither labels nor probabilities"):
        Augment([Mixup(num_classes=3)])(x, y[:3])
    with pytest.raises(TypeError, match="int64"):
        Augment([])(np.zeros((1, 2, 2, 1), int))
    with pytest.raises(ValueError, match="got \\(2, 2\\)"):
        Augment([])(np.zeros((2, 2)))
    for steps in ([lambda x: x], "ab", [RandomHorizontalFlip]):
        with pytest.raises(TypeError, match="steps of nncore.data.augment expected"):
            DataLoader(x, augment=steps)


def test_the_binding_checks_what_it_is_told():
    plan = augment.Plan([], (4, 4, 1), "float32")
    x, index = _core.zeros((3, 4, 4, 1)), nncore.tensor([0, 3]).array
    state = _core.zeros(3, "uint64")
    with pytest.raises(IndexError, match="augment: index 3"):
        _core.augment(x, index, 0, 2, state, 4, 4, plan.settings, plan.colours)
    assert state.numpy().tolist() == [0, 0, 0]
    with pytest.raises(IndexError, match="2 images from 1"):
        _core.augment(x, index, 1, 2, state, 4, 4, plan.settings, plan.colours)
    short = _core.zeros(2, "uint64")
    for wrong in ((state, 0, 4, plan.settings), (short, 4, 4, plan.settings), (state, 4, 4, plan.mix_settings)):
        with pytest.raises(ValueError, match="augment: "):
            _core.augment(x, index, 0, 1, *wrong, plan.colours)
    with pytest.raises(IndexError, match="mix: index 3"):
        _core.mix(x, nncore.tensor([0, 1, 3]).array, 3, state, plan.mix_settings)


def test_out_of_memory_leaves_the_stream_where_it_was():
    x = images(4, (8, 8, 3), "u1")
    chain, same = (Augment([RandomCrop(8, padding=2), Normalize(0.5, 0.5)], seed=1) for _ in range(2))
    chain(x), same(x)
    failures = 0
    for n in range(12):
        _core.memory_trim()
        _core.memory_fail_after(n)
        try:
            y = chain(x)
            break
        except MemoryError:
            failures += 1
        finally:
            _core.memory_fail_after(-1)
    assert failures == 4 and (y.numpy() == same(x).numpy()).all()


def test_steps_tell_what_they_are():
    text = repr(Augment([RandomCrop(32, padding=4), RandomHorizontalFlip()]))
    assert text == ("Augment([RandomCrop(size=(32, 32), padding=(4,), padding_mode='constant', fill=0), "
                    "RandomHorizontalFlip(p=0.5)])")
