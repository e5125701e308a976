"""Pooling and upsampling."""
import math

from nncore.reference.array import Array, size

from .case import INF, NAN, case, integers, uniform

# Windows that fit, overlap, leave gaps, and reach over borders, in maps that hurt; channels around the vector lengths.
POOLED1 = [((1, 1, 1), {"kernel_size": 1}), ((2, 7, 3), {"kernel_size": 2}),
           ((1, 13, 17), {"kernel_size": 3, "stride": 2}),
           ((2, 5, 5), {"kernel_size": 3, "stride": 1, "padding": 1}), ((1, 7, 48),
                                                                        {"kernel_size": 2, "ceil_mode": True}),
           ((2, 6, 1), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
           ((0, 4, 3), {"kernel_size": 2}),
           ((1, 9, 2), {"kernel_size": 2, "stride": 5}), ((1, 3, 16), {"kernel_size": (5,), "stride": 1,
                                                                       "padding": (2,)})]
POOLED2 = [((1, 1, 1, 1), {"kernel_size": 1}), ((2, 7, 7, 3), {"kernel_size": 2}),
           ((1, 13, 13, 5), {"kernel_size": 3, "stride": 2}),
           ((1, 7, 5, 17), {"kernel_size": 3, "stride": 2, "padding": 1}), ((1, 4, 6, 48), {"kernel_size": 2}),
           ((1, 5, 7, 16), {"kernel_size": 3, "stride": 1, "padding": 1}),
           ((1, 5, 3, 33), {"kernel_size": (2, 3), "stride": 1}),
           ((1, 5, 8, 3), {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "ceil_mode": True}),
           ((1, 6, 6, 1), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
           ((1, 9, 4, 2), {"kernel_size": 2, "stride": (5, 1)}), ((0, 4, 4, 3), {"kernel_size": 2}),
           ((2, 4, 4, 0), {"kernel_size": 2}), ((1, 2, 3, 31), {"kernel_size": 5, "stride": 1, "padding": 2})]


def places(attributes, dims):
    """The positions of a window: terms of its sum, and at most of its gradient's."""
    kernel = attributes["kernel_size"]
    return math.prod(kernel) if isinstance(kernel, tuple) else kernel ** dims


for dims, pooled in ((1, POOLED1), (2, POOLED2)):
    for shape, attributes in pooled:
        terms = 2 * places(attributes, dims)
        case(f"max_pool{dims}d", uniform(shape), attributes=attributes, gradient_terms=terms)
        case(f"max_pool{dims}d", Array(shape, map(float, integers(shape, 0, 3).flat)), attributes=attributes,
             gradient_terms=terms, note="ties")
        for inside in ({}, {"count_include_pad": False}):
            case(f"avg_pool{dims}d", uniform(shape), attributes=attributes | inside, terms=terms,
                 gradient_terms=4 + terms)
for shape, attributes in (((1, 8, 3), {"kernel_size": 3, "stride": 1, "dilation": 2}),
                          ((2, 7, 17), {"kernel_size": 2, "dilation": 3}),
                          ((1, 1, 2), {"kernel_size": 2, "padding": 1, "dilation": 2}),  # no window sees anything
                          ((1, 9, 5), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 3, "ceil_mode": True})):
    case("max_pool1d", uniform(shape), attributes=attributes)
for shape, attributes in (((1, 7, 8, 3), {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2}),
                          ((1, 5, 9, 17), {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1), "dilation": (3, 2)})):
    case("max_pool2d", uniform(shape), attributes=attributes, gradient_terms=18)
case("max_pool2d", uniform((2, 17, 16, 3)), attributes={"kernel_size": (17, 16)}, note="272 places")
case("max_pool2d", uniform((1, 18, 19, 17)), attributes={"kernel_size": 17, "stride": 1}, gradient_terms=12,
     note="overlapping 289")
case("max_pool2d", uniform((1, 16, 16, 5)), attributes={"kernel_size": 16}, note="256 places")
case("avg_pool2d", uniform((1, 5, 4, 17)), attributes={"kernel_size": 2, "divisor_override": 3}, terms=8)
case("avg_pool2d", uniform((1, 5, 5, 3)), attributes={"kernel_size": 3, "padding": 1, "divisor_override": -1}, terms=18)
for x in (NAN, INF, -INF):
    for kernel, stride in ((2, 2), (3, 1)):
        values = Array((1, 5, 6, 3), (x if i in (4, 40, 50, 51, 52, 53) else 0.25 * (i % 5) for i in range(90)))
        case("max_pool2d", values, attributes={"kernel_size": kernel, "stride": stride}, note=str(x))
        case("avg_pool2d", values, attributes={"kernel_size": kernel, "stride": stride}, wanted=(), terms=18,
             note=str(x))
        case("max_pool1d", Array((3, 10, 3), values.flat), attributes={"kernel_size": kernel}, note=str(x))
case("max_pool2d", Array((1, 2, 2, 3), [-INF] * 12), attributes={"kernel_size": 2}, note="all -inf")
for shape, sizes in (((2, 7, 3), (1, 3, 7, 9)), ((1, 13, 17), (4, None)), ((1, 1, 5), (3,)), ((0, 4, 3), (2,))):
    for o in sizes:
        for name in ("adaptive_avg_pool1d", "adaptive_max_pool1d"):
            case(name, uniform(shape), attributes={"output_size": o}, terms=0 if "max" in name else 2 * shape[1],
                 gradient_terms=24)
for shape, sizes in (((2, 7, 7, 3), (1, 3, 7, (2, 5), (None, 4))), ((1, 13, 5, 17), (4, (1, 5))),
                     ((1, 1, 1, 5), (1, 3)),
                     ((1, 17, 33, 2), (1, (2, 2))), ((0, 4, 3, 3), (2,))):
    for o in sizes:
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            case(name, uniform(shape), attributes={"output_size": o},
                 terms=0 if "max" in name else 2 * shape[1] * shape[2],
                 gradient_terms=40)
# Two weights are off by one rounding each, and there are four products; as many terms meet in the gradient as there are
# positions made of one.
for shape, options in (((2, 5, 3), ({"size": 5}, {"size": 13}, {"size": 2}, {"size": 1}, {"scale_factor": 2},
                                    {"scale_factor": 1.3})),
                       ((1, 1, 17), ({"size": 4},)), ((1, 13, 1), ({"scale_factor": 0.3}, {"size": (29,)})),
                       ((0, 2, 3), ({"size": 3},)),
                       ((1, 41, 2), ({"size": 123},))):
    for attributes in options:
        for more in ({}, {"mode": "linear"}, {"mode": "linear", "align_corners": True}):
            case("interpolate", uniform(shape), attributes=attributes | more, terms=0 if more == {} else 8,
                 gradient_terms=2 * 30 if "scale" in str(attributes) else 40)
for shape, options in (((1, 7, 7, 3), ({"size": 7}, {"size": (13, 3)}, {"scale_factor": 2},
                                       {"scale_factor": (1.5, 0.4)})),
                       ((2, 3, 2, 17), ({"scale_factor": 2}, {"size": (2, 9)}, {"size": 1})),
                       ((1, 1, 1, 5), ({"size": (3, 2)},)),
                       ((1, 4, 5, 48), ({"size": (5, 4)},)), ((0, 2, 3, 3), ({"size": 3},))):
    for attributes in options:
        for more in ({}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}):
            case("interpolate", uniform(shape), attributes=attributes | more, terms=0 if more == {} else 12,
                 gradient_terms=60)
for factor in (1.2, 1.3):  # sizes that stay as they are under a factor that is not 1
    for mode in ("nearest", "linear"):
        case("interpolate", uniform((1, 3, 5)), attributes={"scale_factor": factor, "mode": mode}, terms=8,
             gradient_terms=40)
    for mode in ("nearest", "bilinear"):
        case("interpolate", uniform((1, 3, 7, 5)), attributes={"scale_factor": factor, "mode": mode}, terms=12,
             gradient_terms=60)
