"""The table that Module.summary() gives."""
from .. import _core
from ..autograd import no_grad

__all__ = ["summarize"]


def summarize(model, input_shape=None):
    """Layers in the order in which they run (with input_shape) or are held, as an aligned text table."""
    names = {id(module): name for name, module in model.named_modules()}
    rows = []
    if input_shape is None:
        rows = [(names[id(m)], m, "") for m in model.modules() if not list(m.children())]
    else:
        rows = _run(model, tuple(input_shape), names)
    table = [("layer", "kind", "output shape", "parameters")]
    seen = set()
    for name, module, shape in rows:
        own = [p for p in module.parameters() if id(p) not in seen]
        seen.update(id(p) for p in own)
        table.append((name, type(module).__name__, str(shape), f"{sum(p.size for p in own):,}"))
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    lines = ["  ".join((row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].ljust(widths[2]),
                        row[3].rjust(widths[3]))).rstrip() for row in table]
    lines.insert(1, "-" * (sum(widths) + 6))
    parameters = list(model.parameters())
    total, trained = sum(p.size for p in parameters), sum(p.size for p in parameters if p.requires_grad)
    lines.append("-" * (sum(widths) + 6))
    lines.append(f"{total:,} parameters, {trained:,} of them trained, {total * 4 / 1e6:.2f} MB")
    return "\n".join(lines)


def _run(model, shape, names):
    """(name, module, output shape) of every layer without children, as it runs on zeros."""
    rows = []
    leaves = [m for m in model.modules() if not list(m.children())]
    training = {id(m): m.training for m in model.modules()}
    replaced = {id(m): m.__dict__["forward"] for m in leaves if "forward" in m.__dict__}  # by the user

    def traced(module):
        forward = module.forward

        def call(*args, **kwargs):
            y = forward(*args, **kwargs)
            rows.append((names[id(module)], module, getattr(y, "shape", "")))
            return y
        module.__dict__["forward"] = call

    try:
        model.eval()
        for module in leaves:
            traced(module)
        with no_grad():
            model(_core.make_tensor(_core.zeros(shape)))
    finally:
        for module in leaves:
            module.__dict__.pop("forward", None)
            if id(module) in replaced:
                module.__dict__["forward"] = replaced[id(module)]
        for module in model.modules():
            module.training = training[id(module)]
    return rows
