"""Convolutions. Axes: b batch, h w image, p q output, r s window, c channels in, o channels out; features are last."""
from nncore.reference.array import Array, array
from nncore.reference.elementwise import FUNCTIONS, gelu


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """y[b,p,q,o] = f(sum over r s c of x[b, p stride + r dilation - top, q stride + s dilation - left, c] w[r,s,c,o]
    + b[o])

    Pixels beyond the image are 0. Output channels of group g see input channels of group g.
    """
    x, w = array(x), array(w)
    (stride_h, stride_w), (dilation_h, dilation_w) = both(stride), both(dilation)
    batch, h, width, channels = x.shape
    r, s, inputs, outputs = w.shape
    (top, bottom), (left, right) = sides(padding, x.shape[1:3], (r, s), both(stride), both(dilation))
    p = (h + top + bottom - dilation_h * (r - 1) - 1) // stride_h + 1
    q = (width + left + right - dilation_w * (s - 1) - 1) // stride_w + 1
    flat = []
    for n, i, j, o in ((n, i, j, o) for n in range(batch) for i in range(p) for j in range(q) for o in range(outputs)):
        first = o // (outputs // groups) * inputs
        y = 0.0
        for k in range(r):
            for m in range(s):
                row, column = i * stride_h + k * dilation_h - top, j * stride_w + m * dilation_w - left
                if 0 <= row < h and 0 <= column < width:
                    for c in range(inputs):
                        y = y + x[n, row, column, first + c] * w[k, m, c, o]
        flat.append(y if b is None else y + array(b)[(o,)])
    return active(Array((batch, p, q, outputs), flat), activation)


def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    """y[b,q,o] = f(sum over s c of x[b, q stride + s dilation - left, c] w[s,c,o] + b[o])"""
    if not isinstance(padding, (int, str)):
        padding = ((0, 0), tuple(padding))
    elif padding != "same":
        padding = (0, 0 if padding == "valid" else padding)
    return flat_image(conv2d(image(x, 1), image(w, 0), b, (1, stride), padding, (1, dilation), groups, activation))


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, activation=None):
    """Every x[b,p,q,o] adds x w[r,s,c,o] to y[b, p stride + r dilation - padding, q stride + s dilation - padding, c];
    + b[c]"""
    x, w = array(x), array(w)
    (stride_h, stride_w), (dilation_h, dilation_w) = both(stride), both(dilation)
    (top, left), (below, beside) = both(padding), both(output_padding)
    batch, p, q, outputs = x.shape
    r, s, inputs, _ = w.shape
    h = (p - 1) * stride_h - 2 * top + dilation_h * (r - 1) + below + 1
    width = (q - 1) * stride_w - 2 * left + dilation_w * (s - 1) + beside + 1
    channels = inputs * groups
    y = [0.0 if b is None else array(b)[(c,)] for _ in range(batch * h * width) for c in range(channels)]
    for n, i, j, o in ((n, i, j, o) for n in range(batch) for i in range(p) for j in range(q) for o in range(outputs)):
        first = o // (outputs // groups) * inputs
        for k in range(r):
            for m in range(s):
                row, column = i * stride_h + k * dilation_h - top, j * stride_w + m * dilation_w - left
                if 0 <= row < h and 0 <= column < width:
                    for c in range(inputs):
                        at = ((n * h + row) * width + column) * channels + first + c
                        y[at] = y[at] + x[n, i, j, o] * w[k, m, c, o]
    return active(Array((batch, h, width, channels), y), activation)


def conv_transpose1d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, activation=None):
    """Every x[b,q,o] adds x w[s,c,o] to y[b, q stride + s dilation - padding, c]; + b[c]"""
    return flat_image(conv_transpose2d(image(x, 1), image(w, 0), b, (1, stride), (0, padding), (0, output_padding),
                                       groups, (1, dilation), activation))


def both(setting):
    return (setting, setting) if isinstance(setting, int) else tuple(setting)


def sides(padding, sizes, window, stride, dilation):
    """((top, bottom), (left, right)); "same" makes the output sizes / stride, rounded up."""
    if padding == "same":
        missing = [max(0, ((n + s - 1) // s - 1) * s + d * (k - 1) + 1 - n)
                   for n, k, s, d in zip(sizes, window, stride, dilation)]
        return [(m // 2, m - m // 2) for m in missing]
    pairs = (0, 0) if padding == "valid" else both(padding)
    return [(p, p) if isinstance(p, int) else tuple(p) for p in pairs]


def image(x, axis):
    """x with an axis of size 1 more."""
    x = array(x)
    return type(x)(x.shape[:axis] + (1,) + x.shape[axis:], x.flat)


def flat_image(y):
    return Array((y.shape[0],) + y.shape[2:], y.flat)


def active(y, activation):
    if activation == "gelu_tanh":
        return gelu(y, approximate="tanh")
    return y if activation is None else FUNCTIONS[activation](y)
