"""Losses, element by element and of classes."""
from nncore.reference.array import Array, size

from .case import FACTORS, NAN, Integers, case, integers, probabilities, rounded, uniform

for reduction in ("mean", "sum", "none"):
    for name, low, high, options in (
            ("mse_loss", -2, 2, ({},)), ("l1_loss", -2, 2, ({},)), ("huber_loss", -2, 2, ({}, {"delta": 0.5})),
            ("smooth_l1_loss", -2, 2, ({}, {"beta": 0.5}, {"beta": 0.0})), ("binary_cross_entropy", 0.05, 0.95, ({},)),
            ("binary_cross_entropy_with_logits", -4, 4, ({},))):
        binary = name.startswith("binary")
        for shape in ((), (1,), (17,), (4, 33), (2, 3, 5), (0,), (0, 3)):
            for attributes in options:
                # both arguments of the differences have gradients; those of probabilities need another formula
                target = uniform(shape, 0, 1, seed=1) if binary else uniform(shape, seed=1)
                case(name, uniform(shape, low, high), target, attributes={"reduction": reduction, **attributes},
                     wanted=(0, 1), terms=8 + 2 * size(shape))
        case(name, Array((4,), (0.5, NAN, 0.25, 0.125)), Array((4,), (0.5, 0.0, 1.0, 0.0)), wanted=(), terms=20,
             attributes={"reduction": reduction}, note="nan")
for name, attributes in (("l1_loss", {}), ("huber_loss", {}), ("smooth_l1_loss", {}),
                         ("smooth_l1_loss", {"beta": 0.0})):
    case(name, Array((5,), (1.0, 1.0, 1.0, -3.0, 3.5)), Array((5,), (1.0, 0.0, 2.0, 0.0, 0.0)), wanted=(0, 1), terms=8,
         attributes={"reduction": "none", **attributes}, note="kink")
case("binary_cross_entropy", Array((6,), (0.0, 1.0, 0.0, 1.0, rounded(1e-20), 0.5)),
     Array((6,), (0.0, 1.0, 1.0, 0.0, 1.0, 0.25)), terms=8, attributes={"reduction": "none"}, note="edge")
case("binary_cross_entropy_with_logits", Array((6,), (1e4, -1e4, 1e4, -1e4, 30.0, -30.0)),
     Array((6,), (1.0, 0.0, 0.0, 1.0, 0.25, 0.75)), terms=8, attributes={"reduction": "none"}, note="large")

for shape in ((1, 2), (3, 5), (17, 10), (2, 3, 7), (4, 1), (5, 33), (3, 16), (5,)):
    rows, c = shape[:-1], shape[-1]
    labels, weight = integers(rows, 0, c, seed=1), uniform((c,), 0.2, 2, seed=2)
    terms = {"terms": 8 + 2 * size(shape), "gradient_terms": FACTORS + 4 * c + 2 * size(rows)}
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for w in (None, weight):
                for target in (labels, probabilities(shape, seed=3)):
                    case("cross_entropy", uniform(shape, -3, 3), target, w, **terms,
                         wanted=(0,) if target is labels else (0, 1),
                         attributes={"reduction": reduction, "label_smoothing": smoothing})
        for w in (None, weight):
            case("nll_loss", uniform(shape, -3, 0), labels, w, attributes={"reduction": reduction}, **terms)
    for ignored in (labels.flat[0], -100):
        some = Integers(rows, (ignored if i % 3 == 0 else t for i, t in enumerate(labels.flat)))
        for name in ("cross_entropy", "nll_loss"):
            smooth = {"label_smoothing": 0.1} if name == "cross_entropy" else {}
            for reduction in ("mean", "none"):
                case(name, uniform(shape, -3, 3), some, weight, **terms, note="ignored",
                     attributes={"reduction": reduction, "ignore_index": ignored, **smooth})
for name in ("cross_entropy", "nll_loss"):
    for reduction in ("mean", "sum", "none"):
        for n in (0, 3):
            case(name, uniform((n, 4)), Integers((n,), [-100] * n), None, attributes={"reduction": reduction},
                 wanted=() if reduction == "mean" else (0,), note="all-ignored")
    case(name, Array((3, 2), (1.0, NAN, 2.0, 0.5, 1.0, 0.0)), Integers((3,), (1, 0, 1)), None, wanted=(), terms=12,
         attributes={"reduction": "none"}, note="nan")
for row in ((1e4, -1e4, 0.0), (-1e4, -1e4, -1e4), (1e4, 9999.0, 1e4)):
    for label in range(3):
        case("cross_entropy", Array((1, 3), row), Integers((1,), (label,)), None, terms=12, note="large")
        case("cross_entropy", Array((1, 3), row), Integers((1,), (label,)), None, terms=12, note="large",
             attributes={"label_smoothing": 0.1})
