# csrc/nn.h, for Cython. Declarations only.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "nn.h" nogil:
    enum: NN_MAX_DIMS, NN_MAX_VIEWS
    enum: NN_F32, NN_I64, NN_U8, NN_BOOL, NN_U64, NN_F64, NN_DTYPES
    ctypedef struct nn_view:
        char *p
        int32_t n[5]
        uint8_t nd, dtype
        uint16_t buf
    ctypedef union nn_attributes:
        double d[4]
        int64_t i[4]
        float f[8]
    ctypedef struct nn_call:
        uint16_t op
        uint8_t nv, nout
        uint32_t flags
        nn_view v[9]
        nn_attributes a
    enum: NN_ACC, NN_TA, NN_TB, NN_NESTEROV, NN_DECOUPLED, NN_MAXIMIZE, NN_RELU, NN_FIXED, NN_MOMENTS, NN_EXACT
    enum: NN_NORM, NN_MASK, NN_ACC_DW
    enum: NN_OK, NN_NOMEM, NN_BADINDEX, NN_BADRANGE
    enum: NN_SUM, NN_MEAN, NN_MAX, NN_MIN
    enum: NN_WINDOW, NN_AVERAGE, NN_AVERAGE_INSIDE, NN_ADAPTIVE, NN_NEAREST, NN_LINEAR, NN_LINEAR_CORNERS, NN_REFLECT
    enum: NN_REPLICATE, NN_CIRCULAR
    enum: NN_UNARIES, NN_BINARIES, NN_LOSSES, NN_OPS
    enum: NN_neg, NN_add, NN_mul, NN_eq
    enum: NN_OP_copy, NN_OP_fill, NN_OP_unary, NN_OP_unary_grad, NN_OP_binary, NN_OP_where, NN_OP_add_to
    enum: NN_OP_reduce, NN_OP_var, NN_OP_argmax, NN_OP_norm
    enum: NN_OP_permute, NN_OP_slice, NN_OP_unslice, NN_OP_take, NN_OP_take_grad, NN_OP_flat_index, NN_OP_gather_rows
    enum: NN_OP_augment, NN_OP_mix
    enum: NN_OP_gemm, NN_OP_conv, NN_OP_conv_moments, NN_OP_conv_dx, NN_OP_conv_dw
    enum: NN_OP_conv_grads, NN_OP_norm_columns, NN_OP_norm_grad_sums, NN_OP_norm_grad_columns
    enum: NN_OP_max_pool, NN_OP_max_pool_grad, NN_OP_resample, NN_OP_resample_grad
    enum: NN_OP_softmax, NN_OP_softmax_grad, NN_OP_log_softmax, NN_OP_log_softmax_grad
    enum: NN_OP_cross_entropy, NN_OP_cross_entropy_grad, NN_OP_nll, NN_OP_nll_grad
    enum: NN_OP_group_norm, NN_OP_group_norm_grad, NN_OP_running_stats
    enum: NN_OP_layer_norm, NN_OP_layer_norm_grad, NN_OP_rms_norm, NN_OP_rms_norm_grad
    enum: NN_OP_loss, NN_OP_loss_grad
    enum: NN_OP_dropout, NN_OP_dropout_grad, NN_OP_uniform, NN_OP_normal, NN_OP_permutation
    enum: NN_OP_sgd, NN_OP_adam, NN_OP_rmsprop, NN_OP_adagrad, NN_OP_adadelta, NN_OP_scale_to_norm
    const char *nn_op_names[]
    const char *nn_unary_names[]
    const char nn_unary_saved[]
    const int nn_unary_nattr[]
    const char *nn_binary_names[]
    const char *nn_loss_names[]
    const size_t nn_dtype_size[]
    int nn_run(const nn_call *c)
    int nn_replay(const nn_call *calls, Py_ssize_t n, int team, Py_ssize_t *failed)
    int64_t nn_bad_index
    int nn_bad_operand
    float nn_bad_range[2]
    ctypedef struct nn_log:
        pass
    ctypedef struct nn_log_info:
        int64_t start, end, calls, dropped
    ctypedef struct nn_timed:
        int64_t start, ns
        uint64_t thread
        const char *what
        size_t bytes
        nn_call call
    int nn_profile_start(int64_t most)
    nn_log *nn_profile_stop()
    void nn_log_free(nn_log *log)
    void nn_log_about(const nn_log *log, nn_log_info *about)
    int nn_log_next(const nn_log *log, size_t *at, nn_timed *timed)
    void *nn_alloc(size_t bytes)
    void nn_free(void *p, size_t bytes)
    size_t nn_memory_live()
    size_t nn_memory_peak()
    size_t nn_memory_cached()
    void nn_memory_trim()
    void nn_memory_reset_peak()
    void nn_memory_thrift(int on)
    void nn_memory_fail_after(int64_t n)
    const char *nn_build
    int nn_isa_count()
    const char *nn_isa_name(int i)
    int nn_isa_supported(int i)
    int nn_isa_select(const char *name)
    const char *nn_isa_current()
    void nn_conv_algorithm_set(int algorithm)
    int nn_conv_algorithm_get()
    enum: NN_LOADS_NORM, NN_BOTH_GRADS, NN_CHOSEN, NN_CHOSEN_DX
    int nn_conv_fusion(const nn_call *call, const nn_view *x, const nn_view *y, const nn_view *w)
    int nn_threads_get()
    void nn_threads_set(int n)
    int nn_has_openmp()
    int nn_wished()
    int64_t nn_count(const nn_view *v)
