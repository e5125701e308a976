# What a call does, as a recording has to know it: which operands it reads and writes, what it may overwrite, and its
# cost.

# Whether a call writes operand k: an output, or an input with ! in ops.inc.
cdef bint writes(const nn_call *c, int k) noexcept:
    return k < c.nout or (c.op == NN_OP_dropout and k == 3)


# Whether a call reads operand k as it was before: the inputs, and the outputs with ! in ops.inc or with NN_ACC. Not
# what unslice leaves as it is: that was written by a kernel, or is written by the next unslice (concat).
cdef bint reads(const nn_call *c, int k) noexcept:
    if c.op == NN_OP_conv_grads and k < c.nout:
        return (k == 0 and c.flags & NN_ACC != 0) or (k == 1 and c.flags & NN_ACC_DW != 0)
    return (k >= c.nout or c.flags & NN_ACC or c.op == NN_OP_add_to or c.op == NN_OP_running_stats or c.op >= NN_OP_sgd
            or (k == 1 and (c.op == NN_OP_uniform or c.op == NN_OP_normal or c.op == NN_OP_permutation))
            or (k == 1 and c.op == NN_OP_augment) or (k == 2 and c.op == NN_OP_mix))


# Whether the first output may be the memory of input k, of the same size: the op goes through both element by element,
# or has read all it needs of a row before it writes there.
cdef bint in_place(const nn_call *c, int k) noexcept:
    if c.op == NN_OP_binary:
        return same_shape(&c.v[0], &c.v[1]) and same_shape(&c.v[0], &c.v[2])
    if c.op == NN_OP_group_norm:
        return k == 2 or k == 5   # x, residual
    if c.op == NN_OP_group_norm_grad:
        return k == 3 or k == 4   # dy, x
    if c.op == NN_OP_layer_norm or c.op == NN_OP_rms_norm:
        return k == 2
    if c.op == NN_OP_layer_norm_grad or c.op == NN_OP_rms_norm_grad:
        return k == 2 or k == 3
    return (c.op == NN_OP_unary or c.op == NN_OP_unary_grad or c.op == NN_OP_dropout or c.op == NN_OP_dropout_grad
            or c.op == NN_OP_loss_grad)


cdef tuple describe(const nn_call *c):
    cdef int k, y, w
    cdef int64_t bytes = 0, flops = 0
    for k in range(c.nv):
        bytes += nn_count(&c.v[k]) * <int64_t>nn_dtype_size[c.v[k].dtype]
    if NN_OP_conv <= c.op <= NN_OP_conv_dw:   # of the direct method: a window for each of y's values
        y = 2 if c.op == NN_OP_conv_dw else 1 if c.op == NN_OP_conv_dx else 0
        w = window_at(c)
        flops = 2 * nn_count(&c.v[y]) * c.v[w].n[0] * c.v[w].n[1] * c.v[w].n[2]
    if c.op == NN_OP_conv_grads:
        flops = 4 * nn_count(&c.v[4]) * c.v[5].n[0] * c.v[5].n[1] * c.v[5].n[2]
    if c.op == NN_OP_gemm:
        flops = 2 * nn_count(&c.v[0]) * c.v[1].n[c.v[1].nd - (2 if c.flags & NN_TA else 1)]
    return (nn_op_names[c.op].decode(), tuple([shape_of(&c.v[k]) for k in range(c.nv)]), c.nout, bytes, flops)
