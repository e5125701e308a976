"""The judge: what every op means, in pure Python loops over floats. Nothing of the engine is used here.

In reading order: scalar.py (numbers that can be differentiated), array.py (shapes), then one file per family of ops:
elementwise.py, reduce.py, move.py, matmul.py, conv.py, softmax.py, norm.py, pool.py, loss.py, random.py; optim.py and
augment.py stand apart. Run a function with floats for its value, or through `gradients` for its value and its
gradients.
"""
from nncore.reference import conv, elementwise, loss, matmul, move, norm, pool, random, reduce, softmax
from nncore.reference.array import Array, array, gradients
from nncore.reference.scalar import Value

__all__ = ["Array", "REFERENCE", "Value", "array", "gradients"]

NAMES = {
    elementwise: " ".join(elementwise.FUNCTIONS),
    reduce: "sum mean max min var argmax argmin",
    move: "reshape permute transpose concat stack slice split pad take",
    matmul: "matmul linear",
    conv: "conv1d conv2d conv_transpose1d conv_transpose2d",
    softmax: "softmax log_softmax",
    norm: "batch_norm group_norm instance_norm layer_norm rms_norm",
    loss: """mse_loss l1_loss huber_loss smooth_l1_loss binary_cross_entropy binary_cross_entropy_with_logits
             cross_entropy nll_loss""",
    random: "dropout dropout1d dropout2d",
    pool: """max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_avg_pool1d
             adaptive_avg_pool2d interpolate""",
}
REFERENCE = {name: getattr(module, name) for module, names in NAMES.items() for name in names.split()}
