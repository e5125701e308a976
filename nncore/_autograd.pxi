# The graph. A tensor knows the Node that made it; a Node knows its gradient function, what that function needs, and its
# parents: Nodes, or leaf tensors that want a gradient, or None. Nothing points the other way and nothing is global, so
# a graph dies by reference count when its result does. Nodes hold Arrays and never intermediate tensors.
#
# `backward` takes nodes in descending order of creation, from a heap: all uses of a value are younger than the value.
# A gradient function is a plain Python function `grad(node, dy)`: it reads node.saved and hands each parent its share
# with node.give(i, array), or lets a kernel add into the parent's buffer (give_product, give_sum), which saves a pass.

cdef extern from *:
    """
    static _Thread_local int nn_grad_off;
    """
    int nn_grad_off

cdef uint64_t created = 0       # number of nodes ever made
cdef list graveyard = []        # parents of deep graphs that are dying; see Node.__dealloc__
cdef int dying = 0
cdef object tensor_class = None
cdef Array nothing = Array.__new__(Array)   # what a tensor holds that was made by no function of ours
nothing.v.nd = 1


def grad_mode():
    """True where operations are recorded for backward, in this thread."""
    return not nn_grad_off


def set_grad_mode(bint on):
    """Switch recording on or off in this thread; returns what it was."""
    global nn_grad_off
    cdef bint was = not nn_grad_off
    nn_grad_off = not on
    return was


def set_tensor_class(cls):
    """The Python class that results are made of: nncore.tensor.Tensor."""
    global tensor_class
    tensor_class = cls


@cython.freelist(512)
@cython.no_gc
cdef class TensorBase:
    """What a tensor holds: its array, its gradient, and the node that made it. Operators are in nncore.tensor."""
    cdef readonly Array array
    cdef readonly Node node
    cdef Array gradient      # the gradient's memory; of a parameter it stays and is part of the optimizer's arena
    cdef bint has_grad       # whether that memory holds one
    cdef bint grad_owned     # whether it may be added to in place
    cdef bint in_arena       # whether the gradient's memory is an optimizer's
    cdef bint wanted

    def __cinit__(self):
        self.array = nothing

    @property
    def requires_grad(self):
        """Whether backward computes a gradient for this tensor, or for one it was made of."""
        return self.wanted or self.node is not None

    @requires_grad.setter
    def requires_grad(self, bint on):
        if self.node is not None:
            if not on:
                raise RuntimeError("requires_grad: only leaf tensors can be changed; use detach()")
            return
        if on and self.array.v.dtype != NN_F32:
            raise TypeError(f"requires_grad: only float32 tensors have gradients, this one is {self.array.dtype}")
        if self.wanted != on and not nn_recording:
            structure_changed()
        self.wanted = on

    @property
    def is_leaf(self):
        """True for tensors that no recorded operation made."""
        return self.node is None

    def numpy(self):
        """A NumPy array that shares this tensor's memory."""
        return self.array.numpy()

    def grad_array(self):
        """The gradient as an Array, or None. Its memory is this tensor's alone: it may be written in place."""
        if self.node is not None:
            return self.node.kept
        if nn_recording:
            recorder.leaf(self)
        if not self.has_grad:
            return None
        if not self.grad_owned:   # backward may have handed one array to several tensors
            self.gradient = copy_of(self.gradient)
            self.grad_owned = True
        return self.gradient

    def set_grad_array(self, Array g or None):
        """Replace the gradient; None: there is none."""
        if nn_recording:
            recorder.leaf(self)
        if g is None:
            self.has_grad = False
            if self.node is not None:
                self.node.kept = None
            if not self.in_arena:
                self.gradient = None
                self.grad_owned = False
            return
        if not same_shape(&g.v, &self.array.v):
            raise ValueError(f"grad: shape {g.shape} does not fit the tensor's {self.array.shape}")
        if self.node is not None:
            self.node.kept = g
            return
        if self.gradient is not None and self.grad_owned:
            assign(self.gradient, g)
        else:
            self.gradient = g
            self.grad_owned = False
        self.has_grad = True

    def move_to(self, Array data, Array grad):
        """Make `data` and `grad` (views of an optimizer's arenas) the memory of this leaf, with the values it has."""
        structure_changed()
        assign(data, self.array)
        if self.has_grad:
            assign(grad, self.gradient)
        self.array = data
        self.gradient = grad
        self.grad_owned = True
        self.in_arena = True

    def replace_array(self, Array data):
        structure_changed()
        self.array = data

    def keep_grad(self):
        """Keep the gradient of a tensor that is not a leaf."""
        if self.node is not None:
            self.node.keep = True

    def drop_graph(self):
        """Forget how this tensor was made."""
        self.node = None

    def backward_from(self, Array seed or None, bint retain):
        """Walk back from this tensor with its gradient; None: 1, for a single element."""
        if seed is None:
            if nn_count(&self.array.v) != 1:
                raise RuntimeError(f"backward: a gradient is needed for a tensor of shape {self.array.shape}")
            seed = view(scalar(1), &self.array.v, 0)
        elif not same_shape(&seed.v, &self.array.v):
            raise ValueError(f"backward: gradient {seed.shape} does not fit the tensor's shape {self.array.shape}")
        if self.node is None:
            if not self.wanted:
                raise RuntimeError("backward: this tensor does not require a gradient; nothing it was made of does")
            leaf_give(self, seed, False)
            return
        walk(self.node, seed, retain)


cdef inline TensorBase wrap(Array a):
    cdef TensorBase t = <TensorBase>TensorBase.__new__(tensor_class)
    t.array = a
    return t


def make_tensor(Array a, bint requires_grad=False, cls=None):
    """A leaf tensor over an Array."""
    cdef TensorBase t = <TensorBase>TensorBase.__new__(tensor_class if cls is None else cls)
    t.array = a
    if requires_grad:
        if a.v.dtype != NN_F32:
            t.requires_grad = True   # says why not
        t.wanted = True
    return t


cdef object convert = None


def set_converter(function):
    """The Python function that makes a float32 tensor of anything else than one: nncore.convert.float_tensor."""
    global convert
    convert = function


def as_float(x):
    """x as a float32 tensor: itself if it is one; numbers become tensors of shape ()."""
    if isinstance(x, TensorBase):
        if (<TensorBase>x).array.v.dtype == NN_F32:
            return x
    elif type(x) is float or type(x) is int:
        try:
            return wrap(scalar(x))
        except OverflowError:
            raise ValueError("an integer is too large for float32") from None
    return convert(x)


def record(Array y, grad, tuple inputs, tuple saved):
    """The tensor of y. If one of the inputs (tensors, or None) wants a gradient, it remembers grad(node, dy) and what
    that needs: saved, a tuple whose Arrays must not be overwritten before backward."""
    cdef TensorBase t = wrap(y)
    cdef Py_ssize_t i, n
    if nn_grad_off:
        return t
    n = PyTuple_GET_SIZE(inputs)
    for i in range(n):
        if parent_of(<object>PyTuple_GET_ITEM(inputs, i)) != NULL:
            t.node = make_node(y, grad, inputs, saved)
            break
    return t


# What hands an input its gradient: the Node that made it, the input itself if it is a leaf that wants one, or NULL.
cdef inline PyObject *parent_of(object x) noexcept:
    if x is None:
        return NULL
    if (<TensorBase>x).node is not None:
        return <PyObject *>(<TensorBase>x).node
    return <PyObject *>x if (<TensorBase>x).wanted else NULL


cdef Node make_node(Array y, object grad, tuple inputs, tuple saved):
    global created
    cdef Node node = Node.__new__(Node)
    cdef Py_ssize_t i, n = PyTuple_GET_SIZE(inputs)
    cdef PyObject *parent
    cdef tuple parents = PyTuple_New(n)
    for i in range(n):
        parent = parent_of(<object>PyTuple_GET_ITEM(inputs, i))
        if parent == NULL:
            parent = <PyObject *>None
        Py_INCREF(<object>parent)
        PyTuple_SET_ITEM(parents, i, <object>parent)
    created += 1
    node.number = created
    node.grad = grad
    node.saved = saved
    node.parents = parents
    node.shape = y.v
    node.shape.p = NULL
    node.written = written_sum(saved)
    return node


def wants_grad(*inputs):
    """Whether an operation on these (tensors or None) will be recorded."""
    cdef TensorBase x
    if nn_grad_off:
        return False
    for t in inputs:
        if t is not None:
            x = <TensorBase>t
            if x.wanted or x.node is not None:
                return True
    return False


# How often the memory behind the saved Arrays has been overwritten so far.
cdef uint64_t written_sum(tuple saved):
    cdef uint64_t sum = 0
    cdef Array r
    for x in saved:
        if type(x) is Array:
            r = root(<Array>x)
            sum += r.written
    return sum


@cython.final
@cython.freelist(512)
@cython.no_gc
cdef class Node:
    """One recorded operation. Gradient functions use `saved`, `needs`, `shape_of`, `give`, `give_product`,
    `give_sum`."""
    cdef object grad
    cdef readonly tuple saved
    cdef tuple parents
    cdef uint64_t number, written
    cdef nn_view shape        # of the result
    cdef Array pending        # the gradient that has arrived so far
    cdef bint pending_owned   # whether it may be added to in place
    cdef bint keep
    cdef Array kept
    cdef public tuple norm    # (y, x, columns), for norm_of_input
    cdef list queue           # the heap of the running backward, while this node is in it

    # A chain of nodes would die by recursion; from some depth on, the outermost call takes over.
    def __dealloc__(self):
        global dying
        if self.parents is None:
            return
        if dying > 50:
            graveyard.append(self.parents)
            self.parents = None
            return
        dying += 1
        self.parents = None
        self.saved = None
        self.norm = None
        dying -= 1
        if dying == 0:
            while graveyard:
                dying += 1
                graveyard.pop()
                dying -= 1

    @property
    def name(self):
        return getattr(self.grad, "__name__", "backward").strip("_").removesuffix("_grad")

    @property
    def dy_shape(self):
        return shape_of(&self.shape)

    def parent_nodes(self):
        """The parents: Nodes, leaf tensors, or None."""
        return self.parents

    @cython.boundscheck(True)
    def needs(self, Py_ssize_t i):
        """Whether input i wants a gradient."""
        return self.parents[i] is not None

    @cython.boundscheck(True)
    def shape_of(self, Py_ssize_t i):
        """The shape of input i, which wants a gradient."""
        return shape_of(parent_shape(self.parents[i]))

    @cython.boundscheck(True)
    def give(self, Py_ssize_t i, Array g, bint own=False):
        """Hand input i its gradient. It is summed over axes that were broadcast. own: nobody else holds g, so that what
        arrives later may be added into it."""
        cdef object p = self.parents[i]
        if p is None:
            return
        if g.v.dtype != NN_F32:
            need_float(g, "backward")
        if not same_shape(&g.v, parent_shape(p)):
            g = sum_to(g, parent_shape(p))
        if type(p) is Node:
            node_give(<Node>p, g, self.queue, own)
        else:
            leaf_give(<TensorBase>p, g, own)

    @cython.boundscheck(True)
    def give_product(self, Py_ssize_t i, Array a, Array b, bint ta=False, bint tb=False):
        """give(i, op(a) @ op(b)), added where it is wanted by the product itself. Leading axes count as rows."""
        cdef object p = self.parents[i]
        cdef bint accumulate = False
        if p is None:
            return
        cdef Array to = target(p, self.queue, &accumulate)
        try:
            product(to, a, b, ta, tb, accumulate)
        except:
            take_back(p, accumulate)
            raise

    @cython.boundscheck(True)
    def give_sum(self, Py_ssize_t i, Array g):
        """give(i, g summed over all axes but the last), added where it is wanted by the sum itself."""
        cdef object p = self.parents[i]
        cdef bint accumulate = False
        if p is None:
            return
        cdef Array to = target(p, self.queue, &accumulate)
        try:
            sum_rows(to, g, accumulate)
        except:
            take_back(p, accumulate)
            raise

    @cython.boundscheck(True)
    def give_conv_dx(self, Py_ssize_t i, Array dy, Array w, tuple geometry):
        """give(i, the gradient of a convolution's input), added where it is wanted by the kernel itself."""
        cdef object p = self.parents[i]
        cdef bint accumulate = False
        if p is None:
            return
        cdef Array to = target(p, self.queue, &accumulate)
        try:
            conv_dx_to(to, dy, w, None, geometry, accumulate)
        except:
            take_back(p, accumulate)
            raise

    @cython.boundscheck(True)
    def give_conv_grads(self, Py_ssize_t i, Py_ssize_t j, Array x, Array dy, Array w, Array z, Array columns,
                        tuple geometry, bint mask, bint normed, bint relu, Array front=None):
        """Both gradients of a convolution whose result z is normalised: of its weights to input j; of x to input i, or
        where x is normalised itself, (that, the sums for the gradient of its norm) is returned. front: what x is the
        normalised of, with a residual and ReLU; the gradient of x is given behind its mask, and has the sums."""
        cdef object p = self.parents[j], q = None if normed else self.parents[i]
        cdef bint acc_dw = False, acc_dx = False
        cdef Array sums = sums_of(x.v.n[3]) if normed or front is not None else None
        cdef Array dw = allocate(&w.v) if p is None else target(p, self.queue, &acc_dw)
        cdef Array dx
        try:
            dx = allocate(&x.v) if q is None else target(q, self.queue, &acc_dx)
            conv_grads_to(dx, dw, sums, x, dy, w, z, columns, front, geometry, acc_dx, acc_dw, mask, normed, relu)
        except:
            if p is not None:
                take_back(p, acc_dw)
            if q is not None:
                take_back(q, acc_dx)
            raise
        if front is not None:
            dx.sums = (front, sums)   # node_give and target take it off when something is added
        return dx, sums

    @cython.boundscheck(True)
    def norm_of_input(self, Py_ssize_t i, Array y):
        """(x, columns) where input i is y, the result of a batch norm of x with a residual and ReLU, that can do with
        its gradient behind the mask, with the sums for it; else (None, None)."""
        cdef object p = self.parents[i]
        if type(p) is not Node or (<Node>p).keep or (<Node>p).norm is None or (<Node>p).norm[0] is not y:
            return None, None
        return (<Node>p).norm[1:]

    @cython.boundscheck(True)
    def give_conv_dw(self, Py_ssize_t i, Array x, Array dy, tuple geometry, Array columns=None, bint relu=False):
        """give the gradient of a convolution's weights, computed in its place; columns: x is normalised as it is
        loaded."""
        cdef object p = self.parents[i]
        cdef bint accumulate = False
        if p is None:
            return
        cdef Array to = target(p, self.queue, &accumulate)
        try:
            conv_dw_to(to, x, dy, geometry, accumulate, columns, relu)
        except:
            take_back(p, accumulate)
            raise

    @cython.boundscheck(True)
    def give_slice(self, Py_ssize_t i, Array g, dim, int64_t start, int64_t step):
        """give(i, zeros with g at start + j * step of an axis), added in that place: slices one after another of one
        tensor cost as much as their elements, and not each as much as the tensor."""
        cdef object p = self.parents[i]
        cdef bint accumulate = False
        if p is None:
            return
        cdef Array to = target(p, self.queue, &accumulate)
        try:
            if not accumulate:
                fill(to, 0)
            unslice(to, g, dim, start, step, accumulate)
        except:
            take_back(p, accumulate)
            raise


cdef inline const nn_view *parent_shape(object p):
    if type(p) is Node:
        return &(<Node>p).shape
    return &(<TensorBase>p).array.v


# Where parent p's gradient may be written: its buffer if it has one (accumulate tells whether it holds something), else
# a new one, which becomes its gradient.
cdef Array target(object p, list queue, bint *accumulate):
    cdef Node node
    cdef TensorBase leaf
    cdef Array buffer
    if type(p) is Node:
        node = <Node>p
        if node.pending is None:
            buffer = allocate(&node.shape)
            push(queue, node)
            node.pending = buffer
            node.pending_owned = True
            accumulate[0] = False
        else:
            if node.queue is not queue:
                entangled()
            if not node.pending_owned:
                node.pending = copy_of(node.pending)
                node.pending_owned = True
            accumulate[0] = True
            node.pending.sums = None
        return node.pending
    leaf = <TensorBase>p
    if nn_recording:
        recorder.leaf(leaf)
    accumulate[0] = leaf.has_grad
    if leaf.gradient is None:
        leaf.gradient = allocate(&leaf.array.v)
        leaf.grad_owned = True
    elif not leaf.grad_owned:
        leaf.gradient = copy_of(leaf.gradient) if leaf.has_grad else allocate(&leaf.array.v)
        leaf.grad_owned = True
    touch(leaf.gradient)
    leaf.has_grad = True
    return leaf.gradient


# After an error: what was to be written to p's buffer is no gradient.
cdef take_back(object p, bint accumulate):
    if type(p) is not Node and not accumulate:
        (<TensorBase>p).has_grad = False


cdef entangled():
    raise RuntimeError("backward: part of this graph is in the backward of another thread, or of a gradient function")


cdef node_give(Node node, Array g, list queue, bint own):
    if node.pending is None:
        push(queue, node)
        node.pending = g
        node.pending_owned = own
    elif node.queue is not queue:
        entangled()
    elif node.pending_owned:
        node.pending.sums = None
        add_to(node.pending, g)
    else:
        node.pending = call_binary(NN_add, node.pending, g)
        node.pending_owned = True


cdef leaf_give(TensorBase leaf, Array g, bint own):
    if nn_recording:
        recorder.leaf(leaf)
    if leaf.has_grad:
        if leaf.grad_owned:
            add_to(leaf.gradient, g)
            touch(leaf.gradient)
        else:
            leaf.gradient = call_binary(NN_add, leaf.gradient, g)
            leaf.grad_owned = True
    elif leaf.gradient is not None and leaf.grad_owned:
        assign(leaf.gradient, g)
    else:
        leaf.gradient = g
        leaf.grad_owned = own
    leaf.has_grad = True


# ---- the walk --------------------------------------------------------------------------------------------------------

# A binary heap of nodes, youngest first.
cdef push(list heap, Node node):
    cdef Py_ssize_t i = len(heap), up
    if node.queue is not None:
        entangled()
    heap.append(node)
    node.queue = heap
    while i > 0:
        up = (i - 1) >> 1
        if (<Node>heap[up]).number >= node.number:
            break
        heap[i] = heap[up]
        i = up
    heap[i] = node


cdef Node pop(list heap):
    cdef Node top = <Node>heap[0], last = <Node>heap.pop()
    cdef Py_ssize_t n = len(heap), i = 0, child
    if n == 0:
        return last
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and (<Node>heap[child + 1]).number > (<Node>heap[child]).number:
            child += 1
        if (<Node>heap[child]).number <= last.number:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = last
    return top


cdef walk(Node start, Array seed, bint retain):
    cdef list heap = []
    cdef Node node = None, left
    cdef Array dy
    push(heap, start)
    start.pending = seed
    start.pending_owned = False
    try:
        while heap:
            node = pop(heap)
            if node.grad is None:
                raise RuntimeError("backward: a second time through the same graph, whose saved values have been "
                                   "freed; use backward(retain_graph=True) the first time")
            if written_sum(node.saved) != node.written:
                raise RuntimeError(f"backward: a value saved by {node.name} was overwritten in place after the forward "
                                   "pass (an optimizer step between forward and backward?)")
            dy = node.pending
            node.pending = None
            if node.keep:
                node.kept = copy_of(dy) if node.kept is None else call_binary(NN_add, node.kept, dy)
            node.grad(node, dy)
            node.queue = None
            if not retain:
                node.grad = None
                node.saved = None
                node.norm = None
                node.parents = None
    finally:
        if node is not None:
            node.queue = None
        while heap:  # after an error
            left = pop(heap)
            left.pending = None
            left.queue = None
