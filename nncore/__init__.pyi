from nncore import autograd as autograd, data as data, init as init, losses as losses, nn as nn
from nncore import models as models, ops as ops, optim as optim, random as random
from nncore._core import get_num_threads as get_num_threads, isa_current as isa_current, isa_names as isa_names
from nncore._core import memory_stats as memory_stats, set_conv_algorithm as set_conv_algorithm
from nncore._core import set_num_threads as set_num_threads
from nncore.compiled import compile as compile
from nncore.autograd import enable_grad as enable_grad, is_grad_enabled as is_grad_enabled, no_grad as no_grad
from nncore.ops import *
from nncore.profiler import profile as profile
from nncore.random import Generator as Generator, manual_seed as manual_seed
from nncore.tensor import *

__version__: str
