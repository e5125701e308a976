"""Random numbers, one for every element of every call: Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011).

A block cipher turns a counter into four words of 32 bits; the key is the seed, the counter the number of the block and
the number of the call. What follows draws from the words of one call: element e has the word of that number.
"""
import math

from nncore.reference.array import Array, array, broadcast

MASK = 2**32 - 1


def philox(counter, key):
    """Four words from four words of counter and two of key: ten rounds of multiply, cross over, add the round's key."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def words(n, seed, call):
    """The first n words of a call. Element 64 g + 16 j + i is word j of block 16 g + i, j < 4, i < 16."""
    blocks = [philox((b & MASK, b >> 32, call & MASK, call >> 32), (seed & MASK, seed >> 32))
              for b in range(-(-n // 64) * 16)]
    return [blocks[e // 64 * 16 + e % 16][e % 64 // 16] for e in range(n)]


def uniform(n, seed, call, low=0.0, high=1.0):
    """low + (high - low) u, u the upper 24 bits of a word as a fraction."""
    return [low + (high - low) * (w >> 8) / 2**24 for w in words(n, seed, call)]


def normal(n, seed, call, mean=0.0, deviation=1.0):
    """Elements e and e + 16 from their words u and v (Box and Muller, 1958): radius sqrt(-2 log u), angle v."""
    w = words(-(-n // 64) * 64, seed, call)
    y = [0.0] * len(w)
    for e in range(len(w)):
        if e % 32 < 16:
            radius = deviation * math.sqrt(-2 * math.log(((w[e] >> 1) + 0.5) / 2**31))
            angle = 2 * math.pi * w[e + 16] / 2**32
            y[e], y[e + 16] = mean + radius * math.sin(angle), mean + radius * math.cos(angle)
    return y[:n]


def kept(n, p, seed, call):
    """Which elements dropout keeps: those whose word is at least p 2^32."""
    return [float(w >= int(p * 2**32)) for w in words(n, seed, call)]


def dropout(x, p, kept):
    """y[...] = x[...] / (1 - p) where kept[...], else 0. Srivastava et al. 2014."""
    x, kept = array(x), array(kept)
    return Array(x.shape, (a / (1 - p) if k else 0.0 for a, k in zip(x.flat, kept.flat)))


def dropout_channels(x, p, kept):
    """The same with one kept[b, 1, c] or kept[b, 1, 1, c] for a whole channel. Tompson et al. 2015."""
    x = array(x)
    return dropout(x, p, broadcast(kept, x.shape))


dropout1d = dropout2d = dropout_channels
