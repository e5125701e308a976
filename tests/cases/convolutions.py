"""Convolutions of images and series, and their transposes."""
from .case import FACTORS, case, uniform

CONVOLUTIONS = [  # x, window r s c/groups o, settings
    ((1, 1, 1, 1), (1, 1, 1, 1), {}), ((2, 4, 5, 3), (1, 1, 3, 5), {}), ((1, 7, 7, 1), (3, 3, 1, 5), {"padding": 1}),
    ((2, 5, 6, 3), (3, 2, 3, 17), {}), ((1, 13, 13, 1), (5, 5, 1, 3), {"padding": 2, "stride": 2}),
    ((1, 7, 7, 5), (3, 3, 5, 3), {"padding": "same", "stride": 2}), ((1, 3, 3, 48), (3, 3, 48, 1), {"padding": 1}),
    ((2, 3, 3, 1), (3, 3, 1, 48), {"padding": "same"}), ((2, 4, 4, 17), (2, 2, 17, 3), {"padding": ((0, 1), (1, 0))}),
    ((9, 2, 2, 3), (3, 3, 3, 4), {"padding": 1}), ((8, 1, 1, 3), (3, 3, 3, 2), {"padding": 1}),
    ((9, 2, 2, 4), (3, 3, 2, 6), {"padding": 1, "groups": 2}),
    ((8, 4, 4, 2), (3, 3, 2, 2), {"padding": 1, "stride": 2}),
    ((1, 7, 6, 4), (3, 3, 2, 6), {"groups": 2, "padding": (2, 1), "stride": (1, 2), "dilation": (2, 1)}),
    ((2, 5, 5, 3), (3, 3, 1, 3), {"groups": 3, "padding": 1}),
    ((1, 6, 6, 17), (3, 3, 1, 17), {"groups": 17, "stride": 2}),
    ((1, 9, 7, 17), (3, 3, 1, 17), {"groups": 17, "padding": 1}),
    ((2, 7, 9, 5), (3, 3, 1, 5), {"groups": 5, "padding": 1, "stride": 2}),
    ((1, 2, 1, 3), (3, 3, 1, 3), {"groups": 3, "padding": (3, 4)}),
    ((1, 1, 6, 3), (3, 3, 1, 3), {"groups": 3, "padding": ((3, 0), (0, 2)), "stride": 2}),
    ((1, 6, 1, 2), (3, 3, 1, 2), {"groups": 2, "padding": ((0, 2), (4, 3)), "stride": 2}),
    ((0, 4, 4, 2), (3, 3, 1, 2), {"groups": 2}),
    ((1, 5, 4, 2), (3, 2, 1, 6), {"groups": 2, "padding": 1}),
    ((1, 9, 9, 2), (3, 3, 2, 2), {"dilation": 3, "stride": 3, "padding": 3}),
    ((0, 4, 4, 2), (3, 3, 2, 3), {}), ((2, 4, 4, 0), (3, 3, 0, 3), {}), ((2, 4, 4, 2), (3, 3, 2, 0), {}),
    ((1, 2, 2, 2), (5, 5, 2, 2), {"padding": 2}), ((1, 8, 3, 2), (1, 3, 2, 33), {"stride": (3, 1)}),
]
for x, w, settings in CONVOLUTIONS:
    depth, pixels = w[0] * w[1] * w[2], x[0] * x[1] * x[2]
    for bias in (True, False):
        case("conv2d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), *([uniform(w[-1:], seed=2)] if bias else []),
             attributes=settings, wanted=(0, 1, 2)[:2 + bias], terms=depth + 2,
             gradient_terms=FACTORS + 2 * max(pixels, w[0] * w[1] * w[3]))
for activation in ("relu", "gelu", "tanh"):
    case("conv2d", uniform((2, 4, 4, 3), -1, 1), uniform((3, 3, 3, 5), -1, 1, seed=1), uniform((5,), seed=2),
         wanted=(0, 1, 2), attributes={"padding": 1, "activation": activation}, terms=64, gradient_terms=256)
case("conv2d", uniform((1, 5, 6, 3), -1, 1), uniform((3, 3, 1, 3), -1, 1, seed=1), uniform((3,), seed=2),
     wanted=(0, 1, 2), attributes={"padding": 1, "groups": 3, "activation": "gelu"}, terms=64, gradient_terms=256)
for x, w, settings in (((2, 7, 3), (3, 3, 5), {"padding": 1}),
                       ((1, 13, 1), (5, 1, 17), {"stride": 2, "padding": (4, 0)}),
                       ((2, 6, 4), (3, 2, 4), {"groups": 2, "dilation": 2, "padding": "same"}),
                       ((9, 3, 2), (3, 2, 3), {"padding": 1}),
                       ((1, 5, 3), (2, 1, 3), {"groups": 3, "padding": "valid"})):
    case("conv1d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), uniform(w[-1:], seed=2), attributes=settings,
         wanted=(0, 1, 2), terms=w[0] * w[1] + 2, gradient_terms=FACTORS + 2 * max(x[0] * x[1], w[0] * w[2]))
for x, w, settings in (((1, 1, 1, 1), (1, 1, 1, 1), {}), ((2, 3, 4, 5), (3, 3, 3, 5), {}),
                       ((1, 4, 4, 3), (2, 2, 17, 3), {"stride": 2}),
                       ((2, 3, 3, 4), (3, 3, 2, 4), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
                       ((1, 3, 2, 2), (3, 2, 2, 2), {"stride": (3, 1), "dilation": (1, 2)}),
                       ((9, 1, 1, 3), (2, 2, 2, 3), {}),
                       ((1, 3, 3, 5), (3, 3, 1, 5), {"groups": 5, "stride": 2, "padding": 1}),
                       ((2, 5, 7, 3), (3, 3, 1, 3), {"groups": 3, "stride": 2, "padding": 1, "output_padding": 1}),
                       ((1, 5, 4, 3), (3, 3, 1, 3), {"groups": 3, "padding": 1}),
                       ((0, 3, 3, 2), (3, 3, 2, 2), {}),
                       ((1, 3, 3, 2), (2, 2, 2, 2), {"stride": 2, "activation": "relu"}),
                       ((1, 3, 3, 2), (2, 2, 2, 2), {"stride": 2, "activation": "gelu"})):
    case("conv_transpose2d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1),
         uniform((w[2] * settings.get("groups", 1),), seed=2), attributes=settings, wanted=(0, 1, 2),
         terms=2 * w[0] * w[1] * w[3] + 8,
         gradient_terms=2 * FACTORS + 8 * max(x[0] * x[1] * x[2] * w[0] * w[1], w[2] * w[0] * w[1]))
for x, w, settings in (((2, 5, 3), (3, 2, 3), {"stride": 2}), ((1, 4, 2), (4, 3, 2), {"padding": 1, "dilation": 2})):
    case("conv_transpose1d", uniform(x, -1, 1), uniform(w, -1, 1, seed=1), uniform(w[1:2], seed=2), attributes=settings,
         wanted=(0, 1, 2), terms=w[0] * w[2] + 2, gradient_terms=FACTORS + 8 * x[0] * x[1] * w[0])
