"""Images changed at random while a batch is gathered.

    from nncore.data import DataLoader
    from nncore.data.augment import Normalize, RandomCrop, RandomHorizontalFlip
    steps = [RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize(mean, std)]
    DataLoader(images, labels, batch_size=128, shuffle=True, augment=steps)

The steps of a list are one pass in C from the data set's bytes to the floats of the batch (csrc/augment.c); Mixup and
CutMix, which need two images each, are a second one (csrc/mix.c). Names, arguments and meaning are torchvision's, but
for what the classes say. Images are [n, height, width, channels], or [n, height, width] with one channel; bytes, or
floats between 0 and 1.

Chance is counter-based: what happens to an image is decided by the seed, the epoch and the image's place in the epoch,
whatever the batch size and the number of threads; for Mixup and CutMix, by the place of the batch's first image.
"""
import math

import numpy as np

from .. import _core
from ..convert import to_array
from ..random import Generator, default_generator
from ..tensor import Tensor

__all__ = ["Augment", "CenterCrop", "ColorJitter", "CutMix", "Cutout", "Mixup", "Normalize", "RandomCrop",
           "RandomErasing", "RandomHorizontalFlip", "RandomVerticalFlip"]

PADDING = ("constant", "edge", "reflect", "symmetric")
HOLES = 28  # an image's words of the random stream give no more


class Step:
    """A step of a list. rank: lists are in this order."""
    rank = 0

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class RandomHorizontalFlip(Step):
    """Left and right change places, with probability p."""

    def __init__(self, p=0.5):
        self.p = _probability(self, p)


class RandomVerticalFlip(Step):
    """Top and bottom change places, with probability p."""

    def __init__(self, p=0.5):
        self.p = _probability(self, p)


class RandomCrop(Step):
    """A window of `size` (a number, or height and width) anywhere in the image, which is padded first.

    padding: pixels on every side, or (left and right, top and bottom), or (left, top, right, bottom).
    padding_mode: "constant" (fill: a number, or one per channel, as the pixels are: 0 to 255 for bytes), "edge",
        "reflect" (without the edge pixel) or "symmetric" (with it).
    """

    def __init__(self, size, padding=0, padding_mode="constant", fill=0):
        if padding_mode not in PADDING:
            raise ValueError(f"RandomCrop: padding_mode is one of {', '.join(PADDING)}, not {padding_mode!r}")
        self.size = _size(self, size)
        self.padding = (padding,) if np.ndim(padding) == 0 else tuple(padding)
        if len(self.padding) not in (1, 2, 4) or not all(_whole(n, 0) for n in self.padding):
            raise ValueError(f"RandomCrop: padding {padding!r} is not 1, 2 or 4 numbers of pixels from 0 on")
        self.padding = tuple(int(n) for n in self.padding)
        self.padding_mode, self.fill = padding_mode, fill


class CenterCrop(Step):
    """The window of `size` in the middle of the image: for testing what was trained with RandomCrop."""

    def __init__(self, size):
        self.size = _size(self, size)


class ColorJitter(Step):
    """Brightness, then contrast, each by a random factor: a number x is short for max(0, 1 - x) to 1 + x.

    Brightness multiplies; contrast moves away from, or towards, the image's mean grey. Both limit pixels to 0 and
    white: 255 for bytes, 1 for floats. Grey is 0.2989 R + 0.587 G + 0.114 B, or the mean of any other number of
    channels. torchvision's has the two in random order, and saturation and hue as well.
    """
    rank = 1

    def __init__(self, brightness=0, contrast=0):
        self.brightness, self.contrast = _factors("brightness", brightness), _factors("contrast", contrast)


class Normalize(Step):
    """(x - mean) / std with a mean and a deviation for all channels or for each. Bytes count as fractions: x / 255.

    Without it bytes become floats from 0 to 255, or what the loader's scale, shift or Standardizer makes of them.
    """
    rank = 2

    def __init__(self, mean, std):
        self.mean, self.std = (np.asarray(a, np.float64) for a in (mean, std))
        if self.mean.ndim > 1 or self.std.ndim > 1 or not (np.isfinite(self.mean).all() and (self.std > 0).all()):
            raise ValueError(f"Normalize: mean {mean!r} and std {std!r}: numbers, or one per channel, std above 0")


class Cutout(Step):
    """Squares of `size` pixels (or height and width) around random pixels are set to `value`.

    DeVries and Taylor (2017). They may reach beyond the image. value: a number, or one per channel, after
    normalisation: 0 is then the mean. n_holes: 1 to 28. p: the probability that an image has holes.
    """
    rank = 3

    def __init__(self, size, n_holes=1, value=0, p=1.0):
        if not _whole(n_holes, 1) or n_holes > HOLES:
            raise ValueError(f"Cutout: n_holes is {n_holes!r}, not 1 to {HOLES}")
        self.size, self.n_holes, self.value, self.p = _size(self, size), int(n_holes), value, _probability(self, p)


class RandomErasing(Step):
    """With probability p, a random rectangle within the image is set to `value`.

    Zhong, Zheng, Kang, Li and Yang (2017). scale: its share of the area, least and most. ratio: height / width, least
    and most. Ten tries are made to find one that is smaller than the image both ways. value: as in Cutout.
    """
    rank = 3

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0):
        self.p, self.value = _probability(self, p), value
        self.scale, self.ratio = tuple(map(float, scale)), tuple(map(float, ratio))
        if len(self.scale) != 2 or not 0 <= self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale {scale!r} is not two numbers from 0 to 1, the smaller first")
        if len(self.ratio) != 2 or not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"RandomErasing: ratio {ratio!r} is not two numbers above 0, the smaller first")


class _Mix(Step):
    rank = 4

    def __init__(self, alpha=1.0, p=1.0, num_classes=None):
        if not 0 < alpha < math.inf:
            raise ValueError(f"{type(self).__name__}: alpha {alpha!r} is not above 0")
        if num_classes is not None and not _whole(num_classes, 1):
            raise ValueError(f"{type(self).__name__}: num_classes {num_classes!r} is not a number of classes")
        self.alpha, self.p, self.num_classes = float(alpha), _probability(self, p), num_classes


class Mixup(_Mix):
    """With probability p, all images of a batch become share * image + (1 - share) * the image before.

    Zhang, Cisse, Dauphin and Lopez-Paz (2018). share: from Beta(alpha, alpha), one for the batch; the first image's
    partner is the last. Targets become probabilities [b, classes] in the same way, which cross_entropy takes.
    num_classes: of labels; the loader counts them itself if it is None.
    """


class CutMix(_Mix):
    """With probability p, a box of the image before is put into every image of a batch; targets are mixed by its area.

    Yun, Han, Oh, Chun, Choe and Yoo (2019). The box has sqrt(1 - share) of height and width, share from Beta(alpha,
    alpha), around a random pixel, one for the batch. With Mixup in the same list, one of the two happens: their p must
    not add up to more than 1.
    """


class Augment:
    """A list of steps as a function: `images = augment(images)`, `images, targets = augment(images, targets)`.

    steps: crop and flips, ColorJitter, Normalize, Cutout or RandomErasing, Mixup and CutMix, in this order, each at
    most once. seed: None for one that depends on nncore.manual_seed. Images and targets are arrays or tensors; what
    comes out are tensors without a graph. Mixup and CutMix need targets: labels [b] with num_classes, or floats [b, k].

    Raises ValueError for steps in another order, and, when the images are known, for what does not fit them.
    """

    def __init__(self, steps, seed=None):
        self.steps = checked(steps)
        self._streams = streams((default_generator if seed is None else Generator(seed)).state)
        self._plan = self._fits = self._order = None

    def __call__(self, images, targets=None):
        x = _images(images)
        if self._fits != (x.shape, x.dtype):
            self._plan, self._fits = Plan(self.steps, x.shape[1:], x.dtype), (x.shape, x.dtype)
            self._order = _core.from_buffer(np.arange(x.shape[0]))
        plan = self._plan
        if plan.mixing is None:
            y = plan.images(x, self._order, 0, x.shape[0], self._streams)
            return y if targets is None else (y, targets)
        if targets is None:
            raise ValueError(f"Augment: {plan.mixing[0]} needs targets")
        t = targets.detach().array if isinstance(targets, Tensor) else to_array(targets)
        classes = plan.classes(t)
        return plan.mixed(plan.images(x, self._order, 0, x.shape[0], self._streams), t, classes, self._streams)

    def __repr__(self):
        return f"Augment({self.steps})"


class Plan:
    """A list of steps for images of one shape and dtype: what csrc/augment.c and csrc/mix.c are told.

    scale, shift: in place of a Normalize, one number or one per channel, or None.
    """

    def __init__(self, steps, shape, dtype, scale=None, shift=None):
        self.steps = steps
        if len(shape) not in (2, 3) or 0 in shape:
            raise ValueError("augment: images (n, height, width, channels) or (n, height, width) expected, got samples "
                             f"{shape}")
        height, width, channels = (*shape, 1)[:3]
        by_kind = {type(step): step for step in steps}
        get = by_kind.get
        white = 255.0 if dtype == "uint8" else 1.0
        crop = get(RandomCrop) or get(CenterCrop)
        self.window = (height, width) if crop is None else crop.size
        erased = get(Cutout) or get(RandomErasing)
        jitter = get(ColorJitter)
        settings = [
            *(0.0 if step is None else step.p for step in (get(RandomHorizontalFlip), get(RandomVerticalFlip))),
            *_window(crop, steps, shape, height, width),
            *((1, 1, 1, 1) if jitter is None else jitter.brightness + jitter.contrast), white, *_erasing(erased)]
        self.settings = _doubles(settings + [0.0] * (18 - len(settings)))
        scale, shift = _affine(get(Normalize), white, scale, shift)
        colours = dict(fill=getattr(crop, "fill", 0), scale=scale, shift=shift, value=getattr(erased, "value", 0))
        self.colours = _core.from_buffer(np.stack([_per_channel(*item, channels, shape) for item in colours.items()]))
        mixup, cutmix = get(Mixup), get(CutMix)
        self.mixing = [step for step in (mixup, cutmix) if step] or None
        self.mix_settings = _doubles([x for step in (mixup, cutmix)
                                      for x in ((step.p, step.alpha) if step else (0, 1))])

    def images(self, x, order, start, count, streams):
        """The images order[start : start + count] of x, changed, as a tensor."""
        return _core.make_tensor(_core.augment(x, order, start, count, streams[0], *self.window, self.settings,
                                               self.colours))

    def mixed(self, x, target, classes, streams):
        """(images, targets) after Mixup and CutMix: two tensors from a tensor and an Array."""
        y, t = _core.mix(x.array, target, classes, streams[1], self.mix_settings)
        return _core.make_tensor(y), _core.make_tensor(t)

    def classes(self, targets, labels=None):
        """How many classes targets have, by their shape and num_classes; or by `labels`, the same in NumPy."""
        name, shape = type(self.mixing[0]).__name__, targets.shape
        if targets.dtype == "float32" and len(shape) == 2:
            return shape[1]
        if targets.dtype != "int64" or len(shape) != 1:
            raise ValueError(f"{name}: targets {targets.dtype} {shape} are neither labels (n,) nor floats (n, k)")
        given = {step.num_classes for step in self.mixing} - {None}
        if len(given) > 1 or not given and labels is None:
            raise ValueError(f"{name}: num_classes in {self.mixing} must say how many classes labels have")
        classes = given.pop() if given else int(labels.max()) + 1
        if labels is not None and (labels.min() < 0 or labels.max() >= classes):
            raise ValueError(f"{name}: labels {labels.min()} to {labels.max()} are not those of {classes} classes")
        return classes


def streams(state):
    """Two streams of random numbers, for images and for mixtures: a call of the generator each, and images so far."""
    words = state.numpy()
    both = []
    for _ in range(2):
        stream = _core.zeros(3, "uint64")
        stream.numpy()[:2] = words
        words[1] += np.uint64(1)
        both.append(stream)
    return both


# ---- what steps are told, checked ------------------------------------------------------------------------------------

def checked(steps):
    steps = [steps] if isinstance(steps, Step) else list(steps)
    for step in steps:
        if not isinstance(step, Step):
            raise TypeError(f"augment: steps of nncore.data.augment expected, got {step!r}")
    kinds = [type(step) for step in steps]
    for group in ((RandomCrop, CenterCrop), (Cutout, RandomErasing), *((kind,) for kind in set(kinds))):
        if sum(kind in group for kind in kinds) > 1:
            raise ValueError(f"augment: more than one {' or '.join(kind.__name__ for kind in group)} in {steps}")
    if any(a.rank > b.rank for a, b in zip(steps, steps[1:])):
        raise ValueError(f"augment: {steps} are not in the order crop and flips, ColorJitter, Normalize, Cutout or "
                         "RandomErasing, Mixup and CutMix")
    if sum(step.p for step in steps if isinstance(step, _Mix)) > 1 + 1e-9:
        raise ValueError("augment: the probabilities of Mixup and CutMix add up to more than 1; give each p=0.5")
    return steps


def need_white(steps):
    """Whether steps depend on what white is: 255 for bytes, 1 for floats, and for other numbers nobody knows."""
    return any(isinstance(step, (ColorJitter, Normalize)) for step in checked(steps))


def _images(data):
    x = data.detach().array if isinstance(data, Tensor) else to_array(data)
    if x.dtype not in ("float32", "uint8"):
        raise TypeError(f"augment: images of dtype {x.dtype}: floats or bytes expected")
    if x.ndim not in (3, 4):
        raise ValueError(f"augment: images (n, height, width, channels) or (n, height, width) expected, got {x.shape}")
    return x


def _probability(step, p):
    if not 0 <= p <= 1:
        raise ValueError(f"{type(step).__name__}: p = {p!r} is not within 0 and 1")
    return float(p)


def _whole(n, least):
    return hasattr(n, "__index__") and least <= n < 2**31


def _size(step, size):
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(pair) != 2 or not all(_whole(n, 1) for n in pair):
        raise ValueError(f"{type(step).__name__}: size {size!r} is not a number of pixels, or two, from 1 on")
    return tuple(int(n) for n in pair)


def _factors(name, value):
    low, high = (max(0.0, 1.0 - value), 1.0 + value) if np.ndim(value) == 0 else map(float, value)
    if not 0 <= low <= high < math.inf or (np.ndim(value) == 0 and value < 0):
        raise ValueError(f"ColorJitter: {name} {value!r} is neither a number from 0 on nor two, the smaller first")
    return float(low), float(high)


def _window(crop, steps, shape, height, width):
    """Padding above and to the left, places of the window down and across, padding mode."""
    if crop is None:
        return 0, 0, 1, 1, 0
    p, q = crop.size
    if isinstance(crop, CenterCrop):
        if p > height or q > width:
            raise ValueError(f"CenterCrop: a window of {p} x {q} pixels does not fit images {shape}")
        return -round((height - p) / 2), -round((width - q) / 2), 1, 1, 0
    left, top, right, bottom = (crop.padding * (4 // len(crop.padding)))
    down, across = height + top + bottom - p + 1, width + left + right - q + 1
    if down < 1 or across < 1:
        raise ValueError(f"RandomCrop: a window of {p} x {q} pixels does not fit images {shape} with padding "
                         f"{crop.padding}")
    room = {"reflect": 1, "symmetric": 0}.get(crop.padding_mode)
    if room is not None and (max(top, bottom) > height - room or max(left, right) > width - room):
        raise ValueError(f"RandomCrop: padding {crop.padding} is more than images {shape} have to {crop.padding_mode}")
    flips = [type(step) for step in steps[:steps.index(crop)]]
    if (RandomHorizontalFlip in flips and left != right) or (RandomVerticalFlip in flips and top != bottom):
        raise ValueError(f"RandomCrop: with padding {crop.padding} that differs from side to side, flips must come "
                         "after it")
    return top, left, down, across, PADDING.index(crop.padding_mode)


def _erasing(step):
    if step is None:
        return (0,)
    if isinstance(step, Cutout):
        return 1, step.p, step.n_holes, *step.size
    return 2, step.p, *step.scale, *(math.log(r) for r in step.ratio)


def _affine(normalize, white, scale, shift):
    if normalize is None:
        return 1 if scale is None else scale, 0 if shift is None else shift
    if scale is not None or shift is not None:
        raise ValueError("augment: give Normalize, or scale and shift or a Standardizer, not both")
    return 1 / (white * normalize.std), -normalize.mean / normalize.std


def _per_channel(name, value, channels, shape):
    value = np.asarray(value, np.float64)
    if value.ndim and value.shape[-1] == value.size and value.size in (1, channels):
        value = value.reshape(-1)
    if value.shape not in ((), (1,), (channels,)):
        raise ValueError(f"augment: {name} of shape {value.shape} is neither one number nor one for each channel of "
                         f"images {shape}")
    return np.broadcast_to(value, channels).astype(np.float32)


def _doubles(values):
    array = _core.zeros(len(values), "float64")
    array.numpy()[:] = values
    return array
