"""What happens to an image, step by step on nested lists x[row][column][channel], from the 64 words that random.py
gives for it: words[64 i : 64 i + 64] of a stream for image i of that stream.
"""
import math


def fraction(word):
    return (word >> 8) / 2**24


def below(word, n):
    return word * n >> 32


def between(word, low, high):
    return low + (high - low) * fraction(word)


def padded(x, left, top, right, bottom, mode="constant", fill=(0,)):
    """x with pixels added on its four sides: the fill colour, the edge's pixels, or x in a mirror on its edge."""
    def place(i, n):
        if 0 <= i < n:
            return i
        return {"constant": None, "edge": min(max(i, 0), n - 1), "reflect": -i if i < 0 else 2 * (n - 1) - i,
                "symmetric": -1 - i if i < 0 else 2 * n - 1 - i}[mode]

    def pixel(i, j):
        r, c = place(i, len(x)), place(j, len(x[0]))
        return list(fill) if r is None or c is None else x[r][c]
    return [[pixel(i, j) for j in range(-left, len(x[0]) + right)] for i in range(-top, len(x) + bottom)]


def window(x, top, left, height, width):
    return [row[left:left + width] for row in x[top:top + height]]


def each(x, f):
    """f(value, channel) of every number of x."""
    return [[[f(v, k) for k, v in enumerate(pixel)] for pixel in row] for row in x]


def grey(x):
    """The mean over the image of its grey values (ITU-R BT.601 for three channels, else the channels' mean)."""
    channels = len(x[0][0])
    weights = (0.2989, 0.587, 0.114) if channels == 3 else [1 / channels] * channels
    values = [sum(w * v for w, v in zip(weights, pixel)) for row in x for pixel in row]
    return sum(values) / len(values)


def boxes(words, height, width, cutout=None, erasing=None):
    """The (top, left, bottom, right) that are erased; words from the eighth on.

    cutout: (holes, height, width). erasing: (least area, most, least height / width, most), as shares of the image.
    """
    if cutout:
        holes, tall, wide = cutout
        found = []
        for i in range(holes):
            top = below(words[2 * i], height) - tall // 2
            left = below(words[2 * i + 1], width) - wide // 2
            found.append((top, left, top + tall, left + wide))
        return found
    for i in range(0, 40, 4):
        area = height * width * between(words[i], *erasing[:2])
        ratio = math.exp(between(words[i + 1], math.log(erasing[2]), math.log(erasing[3])))
        tall, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if tall < height and wide < width:
            top, left = below(words[i + 2], height - tall + 1), below(words[i + 3], width - wide + 1)
            return [(top, left, top + tall, left + wide)]
    return []


def augment(x, words, flip=0.0, turn=0.0, size=None, padding=(0, 0, 0, 0), mode="constant", fill=(0,),
            brightness=(1, 1), contrast=(1, 1), white=1.0, scale=(1,), shift=(0,), p_erase=0.0, cutout=None,
            erasing=None, value=(0,)):
    """Crop of the padded image, flips, brightness, contrast, x scale + shift, erasing. Colours: one per channel."""
    x = padded(x, *padding, mode, fill)
    height, width = size or (len(x), len(x[0]))
    x = window(x, below(words[2], len(x) - height + 1), below(words[3], len(x[0]) - width + 1), height, width)
    if words[0] < flip * 2**32:
        x = [row[::-1] for row in x]
    if words[1] < turn * 2**32:
        x = x[::-1]
    if brightness != (1, 1):
        factor = between(words[4], *brightness)
        x = each(x, lambda v, k: min(max(v * factor, 0.0), white))
    if contrast != (1, 1):
        factor, mean = between(words[5], *contrast), grey(x)
        x = each(x, lambda v, k: min(max(factor * v + (1 - factor) * mean, 0.0), white))
    x = each(x, lambda v, k: v * scale[k] + shift[k])
    if words[7] < p_erase * 2**32:
        for top, left, bottom, right in boxes(words[8:], height, width, cutout, erasing):
            x = [[list(value) if top <= i < bottom and left <= j < right else pixel for j, pixel in enumerate(row)]
                 for i, row in enumerate(x)]
    return x


def gamma(alpha, words):
    """The logarithm of a gamma-distributed number (Marsaglia and Tsang, 2000): at most nine tries of three words."""
    u = [(w + 0.5) / 2**32 for w in words]
    boost = 0.0
    if alpha < 1:
        alpha, boost = alpha + 1, math.log(u[27]) / alpha
    d = alpha - 1 / 3
    for a, b, c in zip(u[0:27:3], u[1:27:3], u[2:27:3]):
        x = math.sqrt(-2 * math.log(a)) * math.cos(2 * math.pi * b)
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(c) < x * x / 2 + d - d * v + d * math.log(v):
            return math.log(d * v) + boost
    return math.log(d) + boost


def beta(alpha, words):
    """A number with the distribution Beta(alpha, alpha): a / (a + b) of two gamma-distributed ones."""
    return 1 / (1 + math.exp(gamma(alpha, words[34:]) - gamma(alpha, words[4:])))


def mix(images, targets, words, p_mixup=0.0, mixup_alpha=1.0, p_cutmix=0.0, cutmix_alpha=1.0):
    """Images and targets (probabilities) of a batch, each mixed with the one before it."""
    u = (words[0] + 0.5) / 2**32
    height, width = len(images[0]), len(images[0][0])
    pairs = [(x, images[i - 1]) for i, x in enumerate(images)]
    if u < p_mixup:
        share = beta(mixup_alpha, words)
        mixed = [[[[share * a + (1 - share) * b for a, b in zip(p, q)] for p, q in zip(r, s)] for r, s in zip(x, z)]
                 for x, z in pairs]
    elif u < p_mixup + p_cutmix:
        reach = 0.5 * math.sqrt(1 - beta(cutmix_alpha, words))
        column, row = below(words[1], width), below(words[2], height)
        columns = range(max(column - int(reach * width), 0), min(column + int(reach * width), width))
        rows = range(max(row - int(reach * height), 0), min(row + int(reach * height), height))
        share = 1 - len(columns) * len(rows) / (height * width)
        mixed = [[[z[i][j] if i in rows and j in columns else p for j, p in enumerate(r)] for i, r in enumerate(x)]
                 for x, z in pairs]
    else:
        return images, targets
    return mixed, [[share * a + (1 - share) * b for a, b in zip(t, targets[i - 1])] for i, t in enumerate(targets)]
