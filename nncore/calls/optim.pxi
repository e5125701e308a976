# Steps of optimizers over flat arrays.

OPTIMIZERS = {"sgd": NN_OP_sgd, "adam": NN_OP_adam, "rmsprop": NN_OP_rmsprop, "adagrad": NN_OP_adagrad,
              "adadelta": NN_OP_adadelta}
NESTEROV = NN_NESTEROV
DECOUPLED = NN_DECOUPLED
MAXIMIZE = NN_MAXIMIZE


def optimizer_step(int op, int flags, Array w, tuple states, Array hyper, Array g):
    """One step of flat arrays of one length. states: as csrc/ops.inc lists them for the op, None for those not in
    use."""
    cdef nn_call c
    cdef Array s
    begin(&c, op, 2 + len(states))
    operand(&c, w)
    for x in states:
        if x is None:
            no_operand(&c)
        else:
            s = <Array>x
            operand(&c, s)
    operand(&c, hyper)
    operand(&c, g)
    c.flags = flags
    run(&c, nn_count(&w.v) * 4)
    touch(w)


def grads_present(list parameters, list homes):
    """1: all parameters have a gradient, 0: none has, -1: some have, -2: one no longer lives where it was put."""
    cdef TensorBase p
    cdef Py_ssize_t i, n = len(parameters), present = 0
    for i in range(n):
        p = <TensorBase>parameters[i]
        if nn_recording:
            recorder.leaf(p)
        if p.array is not homes[i]:
            return -2
        present += p.has_grad
    return 1 if present == n else 0 if present == 0 else -1


def clear_grads(list parameters):
    """Forget the gradients; their memory stays with those in an arena."""
    cdef TensorBase p
    for p in parameters:
        if nn_recording:
            recorder.leaf(p)
        p.has_grad = False
        if not p.in_arena:
            p.gradient = None
            p.grad_owned = False


def scale_to_norm(Array g, Array norm, double largest):
    """g *= min(1, largest / (norm + 1e-6)), in place."""
    cdef nn_call c
    begin(&c, NN_OP_scale_to_norm, 1)
    operand(&c, g)
    operand(&c, norm)
    c.a.d[0] = largest
    run(&c, nn_count(&g.v))
    touch(g)


def clip_in_place(Array x, float low, float high):
    """x = clip(x, low, high)."""
    cdef nn_call c
    begin(&c, NN_OP_unary, 1)
    operand(&c, x)
    operand(&c, x)
    c.a.i[0] = UNARY_CODES["clip"]
    c.a.f[2] = low
    c.a.f[3] = high
    run(&c, nn_count(&x.v))
    touch(x)
