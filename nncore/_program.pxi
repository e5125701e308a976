# Programs: the calls of a step, recorded while it runs once, then run again without Python.
#
# While a thread records, `run` appends every call to its Program. Memory that the step allocates is a numbered buffer,
# live from the call that writes it first to the one that uses it last; all other memory (parameters, state, inputs)
# keeps its address, and the program keeps its Arrays alive. What the host writes into new memory (a number, a NumPy
# array) is a constant of the program. `plan_memory` packs the buffers into one arena by their lifetimes and puts the
# final addresses into the calls; `replay` hands them to nn_replay.
#
# What is not a call must come out the same after a replay: which leaves have a gradient, and where. The first and the
# last state of every leaf that was touched are kept; a program runs only where the first state holds, and leaves the
# last one.

cdef extern from *:
    """
    static _Thread_local int nn_recording;
    """
    int nn_recording          # whether this thread records

cdef Program recorder = None  # where to; one thread at a time
cdef uint64_t structure = 0   # changes whenever a module, a parameter or a group of an optimizer does
cdef uint64_t modes = 0       # a hash of which modules are in which mode: the same again when they are switched back

MISSING = object()            # what Program.attempt returns when the program does not fit

cdef struct buffer:
    char *base                # while recording
    size_t bytes, offset      # offset: in the arena
    int32_t first, last       # calls; first is -1 for what holds a constant from the start
    int32_t writers
    int32_t constant          # 1 + its number, or 0
    int32_t heir_of           # the buffer whose memory it takes over in place, or 0
    bint freed                # died while recording
    bint pinned               # a gradient that lives on: it keeps its own memory

cdef struct entry:            # where an input is read: operand k of a call, at a place of the input
    int32_t input, k
    Py_ssize_t call, at

cdef enum:
    READ_IN_PLACE = 4096      # bytes from which on an argument is read where it lies

@cython.final
cdef class LeafState:
    """What a step does to a leaf: its gradient before and after."""
    cdef TensorBase leaf
    cdef Array array, gradient0, gradient1
    cdef bint has0, has1, owned1


def structure_changed():
    """Programs recorded so far no longer hold: a module, a parameter or an optimizer's group has changed."""
    global structure
    if nn_recording:
        raise RuntimeError("a compiled step must not change modules, parameters or groups of an optimizer (it assigned "
                           "an attribute of a Module, or set a parameter): that would happen once, while recording, "
                           "and never again. Do it outside of the step")
    structure += 1


def mode_changed(uint64_t key):
    """A module was switched between training and evaluation; key: its identity."""
    global modes
    if nn_recording:
        raise RuntimeError("a compiled step must not call train() or eval(): do it outside of the step")
    key = (key ^ (key >> 29)) * <uint64_t>0xBF58476D1CE4E5B9
    modes ^= key ^ (key >> 32)


def recording():
    """Whether this thread is recording a program."""
    return bool(nn_recording)


def pause_recording(bint pause):
    """Stop (True) or go on (False) recording in this thread; returns whether it was recording."""
    global nn_recording
    cdef bint was = nn_recording
    if recorder is not None:
        nn_recording = not pause
    return was


cdef int host_reads(Array a) except -1:
    cdef int b = recorder.internal(&a.v)
    if b and recorder.buffers[b].writers == 0:
        return 0   # the host wrote it
    raise RuntimeError("a compiled step must not read values on the host (item, float, bool, numpy, print of a tensor "
                       f"of shape {a.shape}): they are not known when it is replayed. Return the tensor and read it "
                       "outside, or use where() instead of if")


@cython.final
cdef class Program:
    """A recorded step. Made by nncore.compile."""
    cdef nn_call *calls
    cdef Py_ssize_t n, calls_room
    cdef buffer *buffers      # from 1 on
    cdef Py_ssize_t count, buffers_room
    cdef dict outside         # address -> Array: memory that is not the program's
    cdef dict written         # those of them that it writes
    cdef list constants, inputs, results
    cdef list references      # of each input, before the step
    cdef list kept            # of each input: whether the step has kept a tensor of it outside
    cdef dict about           # number of a call -> what its error tells; see run_checked
    cdef entry *entries       # of the inputs that may be read where an argument lies
    cdef Py_ssize_t entry_count
    cdef bint away            # calls read arguments where they lie
    cdef list touched         # the Arrays of `written`
    cdef dict leaf_states     # id -> LeafState, of what was recorded so far
    cdef list leaves          # those of them that are there before and after each replay
    cdef Py_ssize_t copies    # how many of the first calls give a buffer its constant
    cdef tuple statics
    cdef readonly tuple guards
    cdef Array arena
    cdef uint64_t structure, modes
    cdef bint grad_off, busy
    cdef readonly int in_place   # inputs that may be read where an argument lies
    cdef readonly int team    # threads that its largest call is worth; 0: one, for all of them
    cdef readonly size_t naive_bytes, live_bytes, arena_bytes
    cdef readonly object rebuild

    def __cinit__(self):
        self.outside, self.written, self.leaf_states, self.about = {}, {}, {}, {}
        self.constants = []
        self.more_buffers()
        self.count = 1

    def __dealloc__(self):
        PyMem_Free(self.calls)
        PyMem_Free(self.buffers)
        PyMem_Free(self.entries)

    cdef int more_buffers(self) except -1:
        cdef Py_ssize_t room = 2 * self.buffers_room + 64
        cdef void *p = PyMem_Realloc(self.buffers, room * sizeof(buffer))
        if p == NULL:
            raise MemoryError("compile: no memory to record")
        self.buffers = <buffer *>p
        self.buffers_room = room
        return 0

    # ---- recording -------------------------------------------------------------------------------------------------

    cdef int internal(self, const nn_view *v) noexcept:
        """The number of the buffer that v lies in, or 0."""
        cdef buffer *b
        if v.buf == 0 or v.buf >= self.count or v.p == NULL:
            return 0
        b = &self.buffers[v.buf]
        # An Array of an earlier recording has a number too, and may lie right behind: only an empty view may end there.
        if v.p < b.base or v.p > b.base + b.bytes or (v.p == b.base + b.bytes and nn_count(v)):
            return 0
        return v.buf

    cdef int new_buffer(self, Array a) except -1:
        cdef buffer *b
        if self.count == 65535:
            raise RuntimeError("compile: a step with more than 65534 arrays; compile smaller pieces")
        if self.count == self.buffers_room:
            self.more_buffers()
        b = &self.buffers[self.count]
        memset(b, 0, sizeof(buffer))
        b.base = a.v.p
        b.bytes = a.bytes
        b.first = b.last = -2
        a.v.buf = <uint16_t>self.count
        self.count += 1
        return 0

    cdef int use(self, Array x, bint writes) except -1:
        cdef Array r
        if self.internal(&x.v) == 0:
            r = root(x)
            self.outside[<size_t>r.v.p] = r
            if writes:
                self.written[<size_t>r.v.p] = r
        return 0

    cdef int before(self, const nn_call *c) except -1:
        """Before a call runs: what the host wrote into its operands is a constant."""
        cdef int k, b
        cdef Array value
        for k in range(c.nv):
            b = self.internal(&c.v[k]) if reads(c, k) else 0
            if b == 0 or self.buffers[b].writers:
                continue
            if self.buffers[b].constant:
                value = self.constants[self.buffers[b].constant - 1]
                if memcmp(value.v.p, self.buffers[b].base, self.buffers[b].bytes):
                    raise RuntimeError("a compiled step must not change values on the host (through numpy()) of a "
                                       "tensor that it has used; make another tensor")
            else:
                pause_recording(True)
                try:
                    value = allocate1(NN_U8, self.buffers[b].bytes)
                finally:
                    pause_recording(False)
                memcpy(value.v.p, self.buffers[b].base, self.buffers[b].bytes)
                self.constants.append(value)
                self.buffers[b].constant = <int32_t>len(self.constants)
                self.buffers[b].first = -1
        return 0

    cdef int append(self, const nn_call *c) except -1:
        cdef Py_ssize_t room
        cdef void *p
        cdef int k, b
        cdef nn_call *to
        if self.n == self.calls_room:
            room = 2 * self.calls_room + 64
            p = PyMem_Realloc(self.calls, room * sizeof(nn_call))
            if p == NULL:
                raise MemoryError("compile: no memory to record")
            self.calls = <nn_call *>p
            self.calls_room = room
        to = &self.calls[self.n]
        to[0] = c[0]
        for k in range(c.nv):
            b = self.internal(&c.v[k])
            to.v[k].buf = <uint16_t>b
            if b:
                if writes(c, k):
                    self.buffers[b].writers += 1
                if self.buffers[b].first == -2:
                    self.buffers[b].first = <int32_t>self.n
                self.buffers[b].last = <int32_t>self.n
        self.n += 1
        return 0

    cdef int leaf(self, TensorBase leaf) except -1:
        """A leaf's gradient is about to be read or changed."""
        cdef LeafState s
        if id(leaf) in self.leaf_states:
            return 0
        s = LeafState.__new__(LeafState)
        s.leaf = leaf
        s.array = leaf.array
        s.has0 = leaf.has_grad
        s.gradient0 = leaf.gradient
        self.leaf_states[id(leaf)] = s
        return 0

    def start(self, list inputs, tuple statics, tuple guards):
        """Record what this thread computes from here on. inputs: Arrays that are filled before each replay, None where
        the argument is one of `statics` instead; guards: of nncore.guards, what must still be there."""
        global recorder, nn_recording
        if recorder is not None:
            raise RuntimeError("compile: another thread is recording")
        self.inputs, self.statics, self.guards = inputs, statics, guards
        self.structure, self.modes, self.grad_off = structure, modes, nn_grad_off
        nn_wished()   # forget what ran before
        self.references = references(inputs)
        recorder = self
        nn_recording = 1
        nn_memory_thrift(True)

    def stop(self):
        """Record no further."""
        global recorder, nn_recording
        nn_recording = 0
        recorder = None
        nn_memory_thrift(False)

    # ---- planning --------------------------------------------------------------------------------------------------

    def finish(self, list results, rebuild):
        """Look at what the step has left. results: the Arrays that it returns; rebuild(list of tensors): its result.
        Then the program may be compared with another; before it runs, plan_memory."""
        cdef LeafState s
        cdef Array a
        cdef int b
        self.rebuild = rebuild
        self.team = nn_wished()
        # Of an input that nobody kept, the tensor is gone, and `outside` has come.
        self.kept = [a is not None and after > before - 1 + (<size_t>(<Array>a).v.p in self.outside)
                     for a, before, after in zip(self.inputs, self.references, references(self.inputs))]
        self.touched = list(self.written.values())
        # Leaves made by the step, or of its arguments, are others in each call: they die here, if the step did not keep
        # them.
        self.leaves = [s for s in self.leaf_states.values() if not self.local((<LeafState>s).array)]
        self.leaf_states.clear()
        s = None
        for s in self.leaves:
            s.has1, s.gradient1, s.owned1 = s.leaf.has_grad, s.leaf.gradient, s.leaf.grad_owned
            if s.gradient1 is not None:
                b = self.internal(&s.gradient1.v)
                if b:
                    self.buffers[b].pinned = True
                    s.owned1 = s.leaf.grad_owned = False   # the next replay overwrites it: others get a copy
                    a = root(s.gradient1)
                    self.outside[<size_t>a.v.p] = a
        self.results = []
        cdef set returned = set()
        for a in results:
            b = self.internal(&a.v)
            if b:
                returned.add(b)
                if self.buffers[b].writers == 0 and self.buffers[b].constant == 0:   # made by the host, and returned
                    a = self.keep_constant(a)
                else:
                    self.buffers[b].last = <int32_t>self.n
            self.results.append(a)
        cdef list kept = [b for b in range(1, self.count)
                          if self.buffers[b].writers and not (self.buffers[b].freed or self.buffers[b].pinned)
                          and b not in returned]
        if kept:
            raise RuntimeError(f"compile: {len(kept)} of the arrays that the step computed live on after it (a tensor "
                               "kept in an attribute, a list or a variable outside): they would never change again. "
                               "Return them instead")
        self.initial_copies()
        for s in self.leaves:
            if s.gradient1 is not None:
                s.gradient1.v.buf = 0   # of this recording alone
                a = root(s.gradient1)
                a.v.buf = 0

    def plan_memory(self):
        """Put the buffers into one arena. Once, and only where the recording was confirmed: it is half of its cost."""
        self.inherit()
        self.plan()
        self.settle()
        self.find_entries()

    cdef bint local(self, Array a):
        cdef Array r = root(a)
        if self.internal(&r.v):
            return True
        for x in self.inputs:
            if x is r:
                return True
        return False

    cdef Array keep_constant(self, Array a):
        cdef Array copy
        copy = allocate(&a.v)
        memcpy(copy.v.p, a.v.p, nn_count(&a.v) * nn_dtype_size[a.v.dtype])
        return copy

    cdef int initial_copies(self) except -1:
        """Calls, at the start, that give written buffers the values the host had given them."""
        cdef int b
        cdef nn_call c
        cdef Array value
        cdef list todo = [b for b in range(1, self.count) if self.buffers[b].constant and self.buffers[b].writers]
        cdef Py_ssize_t extra = len(todo), i
        cdef void *p
        if not extra:
            return 0
        p = PyMem_Realloc(self.calls, (self.n + extra) * sizeof(nn_call))
        if p == NULL:
            raise MemoryError("compile: no memory to record")
        self.calls = <nn_call *>p
        self.calls_room = self.n + extra
        for i in range(self.n - 1, -1, -1):
            self.calls[i + extra] = self.calls[i]
        for b in range(1, self.count):
            if self.buffers[b].first >= 0:
                self.buffers[b].first += <int32_t>extra
            if self.buffers[b].last >= 0:
                self.buffers[b].last += <int32_t>extra
        for i, b in enumerate(todo):
            value = self.constants[self.buffers[b].constant - 1]
            begin(&c, NN_OP_copy, 1)
            c.nv = 2
            c.v[0] = value.v
            c.v[0].p = self.buffers[b].base
            c.v[0].buf = <uint16_t>b
            c.v[1] = value.v
            c.v[1].buf = 0
            self.calls[i] = c
            self.buffers[b].first = <int32_t>i
        self.n += extra
        self.copies = extra
        return 0

    cdef void inherit(self) noexcept:
        """Where a kernel allows it and its input dies there, let the output take over the input's memory."""
        cdef Py_ssize_t i
        cdef int k, out, b
        cdef nn_call *c
        for i in range(self.n):
            c = &self.calls[i]
            out = c.v[0].buf
            if (not out or self.buffers[out].first != i or self.buffers[out].pinned
                    or not whole(&self.buffers[out], &c.v[0])):
                continue
            for k in range(c.nout, c.nv):
                b = c.v[k].buf
                if (b and b != out and in_place(c, k) and c.v[k].dtype == c.v[0].dtype and self.buffers[b].last == i
                        and self.buffers[b].writers and not self.buffers[b].pinned
                        and self.buffers[b].bytes == self.buffers[out].bytes and whole(&self.buffers[b], &c.v[k])):
                    while self.buffers[b].heir_of:
                        b = self.buffers[b].heir_of
                    self.buffers[out].heir_of = b
                    break

    cdef int plan(self) except -1:
        """Offsets: the largest buffer first, each as low as it fits beside those that live at the same time (greedy by
        size, as in Pisarchyk and Lee, 2020). O(buffers^2)."""
        cdef Py_ssize_t i, k, m = 0
        cdef int b, a
        cdef buffer *x
        cdef buffer *y
        cdef size_t size, at, end, top = 0, live, most = 0
        cdef list order = []
        self.naive_bytes = 0
        for b in range(1, self.count):     # an heir's life is part of the life of the first one
            x = &self.buffers[b]
            if x.first < -1 or x.pinned or (x.constant and not x.writers):
                continue
            self.naive_bytes += aligned(x.bytes)
            if x.heir_of:
                if x.last > self.buffers[x.heir_of].last:
                    self.buffers[x.heir_of].last = x.last
            else:
                order.append(b)
        cdef list change = [0] * (self.n + 2)
        for a in order:
            change[max(0, self.buffers[a].first)] += aligned(self.buffers[a].bytes)
            change[self.buffers[a].last + 1] -= aligned(self.buffers[a].bytes)
        live = 0
        for delta in change:
            live += <size_t><Py_ssize_t>delta
            most = live if live > most else most
        order.sort(key=lambda b: (-<Py_ssize_t>self.buffers[<int>b].bytes, self.buffers[<int>b].first))
        cdef int *placed = <int *>PyMem_Malloc((len(order) + 1) * sizeof(int))   # by offset
        if placed == NULL:
            raise MemoryError("compile: no memory to plan")
        for b in order:
            x = &self.buffers[b]
            size = aligned(x.bytes)
            at = 0
            for i in range(m):
                y = &self.buffers[placed[i]]
                if y.first > x.last or y.last < x.first:
                    continue
                if y.offset >= at + size:
                    break
                end = y.offset + aligned(y.bytes)
                if end > at:
                    at = end
            x.offset = at
            k = m
            while k > 0 and self.buffers[placed[k - 1]].offset > at:
                placed[k] = placed[k - 1]
                k -= 1
            placed[k] = b
            m += 1
            top = at + size if at + size > top else top
        PyMem_Free(placed)
        self.arena_bytes, self.live_bytes = top, most
        if top > 1 << 20:
            nn_memory_trim()   # the arena takes the place of what the eager steps have left in the cache
        self.arena = allocate1(NN_U8, top if top else 1)
        return 0

    cdef int settle(self) except -1:
        """Final addresses into calls and results."""
        cdef Py_ssize_t i
        cdef int k
        cdef Array a, fixed
        for i in range(self.n):
            for k in range(self.calls[i].nv):
                self.place(&self.calls[i].v[k])
        for i in range(len(self.results)):
            a = self.results[i]
            if self.internal(&a.v):
                fixed = Array.__new__(Array)
                fixed.v = a.v
                self.place(&fixed.v)
                fixed.owner = self.arena
                self.results[i] = fixed
        return 0

    cdef int find_entries(self) except -1:
        """Which calls read the larger inputs, if no call writes to them, no result lies in them, and the step has not
        kept a tensor of theirs outside."""
        cdef Py_ssize_t i, j, count = 0
        cdef int k
        cdef Array a
        cdef nn_view *v
        cdef list inputs = []
        for j, a in enumerate(self.inputs):
            if (a is not None and a.bytes >= READ_IN_PLACE and <size_t>a.v.p not in self.written
                    and not self.kept[j] and not any([root(r) is a for r in self.results])):
                inputs.append((j, a))
        for i in range(self.n if inputs else 0):
            count += self.calls[i].nv
        if count == 0:
            return 0
        self.in_place = len(inputs)
        self.entries = <entry *>PyMem_Malloc(len(inputs) * count * sizeof(entry))
        if self.entries == NULL:
            raise MemoryError("compile: no memory to plan")
        for j, a in inputs:
            for i in range(self.n):
                for k in range(self.calls[i].nv):
                    v = &self.calls[i].v[k]
                    if v.buf == 0 and a.v.p <= v.p < a.v.p + a.bytes:
                        self.entries[self.entry_count] = entry(<int32_t>j, k, i, v.p - a.v.p)
                        self.entry_count += 1
        return 0

    cdef void place(self, nn_view *v) noexcept:
        if v.buf:
            v.p = self.home(v.buf) + (v.p - self.buffers[v.buf].base)

    cdef char *home(self, int b) noexcept:
        """Where a buffer lies once its memory is planned."""
        cdef buffer *x = &self.buffers[b]
        if x.pinned:
            return x.base
        if x.constant and not x.writers:
            return (<Array>self.constants[x.constant - 1]).v.p
        return self.arena.v.p + self.buffers[x.heir_of if x.heir_of else b].offset

    # ---- running ---------------------------------------------------------------------------------------------------

    cpdef attempt(self, tuple args):
        """The result for these arguments: a tensor, or what `rebuild` makes of several; MISSING where the program was
        recorded for something else. Arguments: tensors and NumPy arrays are copied in, large tensors read where they
        lie; others must be what they were.
        """
        if self.busy or nn_recording:   # in another thread, or within a step that is recorded
            return MISSING
        self.busy = True
        try:
            return self.attempt_alone(args)
        finally:
            if self.away:
                self.come_home()
            self.busy = False

    cdef object attempt_alone(self, tuple args):
        cdef Py_ssize_t i
        cdef LeafState s
        cdef Array a
        if (self.structure != structure or self.modes != modes or self.grad_off != nn_grad_off
                or PyTuple_GET_SIZE(args) != len(self.inputs)):
            return MISSING
        for i in range(PyTuple_GET_SIZE(self.guards)):
            if not holds(<tuple>PyTuple_GET_ITEM(self.guards, i)):
                return MISSING
        for s in self.leaves:
            if (s.leaf.has_grad != s.has0 or s.leaf.array is not s.array
                    or (s.has0 and s.leaf.gradient is not s.gradient0)):
                return MISSING
        for i in range(PyTuple_GET_SIZE(args)):
            a = <Array>self.inputs[i]
            x = <object>PyTuple_GET_ITEM(args, i)
            if a is None:
                y = self.statics[i]
                if x is not y and (type(x) is not type(y) or x != y):
                    return MISSING
            elif not (self.read_in_place(i, a, x) or copy_in(a, x)):
                return MISSING
        for a in self.touched:   # a replay that fails has written to some of them too
            a.written += 1
        self.replay()
        for s in self.leaves:
            s.leaf.has_grad = s.has1
            s.leaf.gradient = s.gradient1
            s.leaf.grad_owned = s.owned1
        if self.rebuild is None:
            return self.result(<Array>self.results[0])
        return self.rebuild([self.result(<Array>a) for a in self.results])

    cdef bint read_in_place(self, Py_ssize_t input, Array a, object x) except -1:
        """Let the calls read an argument where it lies; False where it has to be copied: a small one, one that is not
        nncore's own memory, and one that the program may write to, a parameter or a gradient."""
        cdef Py_ssize_t i
        cdef bint found = False
        cdef Array y, r
        cdef entry *e
        if self.entry_count == 0 or a.bytes < READ_IN_PLACE or not isinstance(x, TensorBase):
            return False
        y = (<TensorBase>x).array
        r = root(y)
        if not fits(a, <TensorBase>x) or r.bytes == 0 or <size_t>r.v.p in self.outside:
            return False
        for i in range(self.entry_count):
            e = &self.entries[i]
            if e.input == input:
                self.calls[e.call].v[e.k].p = y.v.p + e.at
                self.away = found = True
        return found

    cdef void come_home(self) noexcept:
        """Back to the program's own inputs: an argument may be freed after this."""
        cdef Py_ssize_t i
        cdef entry *e
        for i in range(self.entry_count):
            e = &self.entries[i]
            self.calls[e.call].v[e.k].p = (<Array>self.inputs[e.input]).v.p + e.at
        self.away = False

    cdef TensorBase result(self, Array a):
        cdef Array y = allocate(&a.v)
        memcpy(y.v.p, a.v.p, nn_count(&a.v) * nn_dtype_size[a.v.dtype])
        return wrap(y)

    cdef int replay(self) except -1:
        cdef Py_ssize_t failed = 0
        cdef int status
        with nogil:
            status = nn_replay(self.calls, self.n, self.team, &failed)
        if status != NN_OK:
            fail(&self.calls[failed], status, self.about.get(failed - self.copies))
        return 0

    # ---- what it is ------------------------------------------------------------------------------------------------

    def starts_as(self, Program other):
        """Whether both were recorded from the same state: of modules, of gradients, of variables."""
        cdef LeafState s, t
        if (self.structure != other.structure or self.modes != other.modes or self.grad_off != other.grad_off
                or len(self.leaves) != len(other.leaves) or len(self.guards) != len(other.guards)):
            return False
        if self.guard_that_differs(other) is not None:
            return False
        for s, t in zip(self.leaves, other.leaves):
            if (s.leaf is not t.leaf or s.array is not t.array or s.has0 != t.has0
                    or (s.has0 and s.gradient0 is not t.gradient0)):
                return False
        return True

    def guards_hold(self):
        """Whether all that the recording has read from Python is still there, and nothing else can be read: the modules
        are the same."""
        return self.structure == structure and all([holds(guard) for guard in self.guards])

    def guard_that_differs(self, Program other):
        """The name of something that the step reads and that changed between the two recordings; None if nothing."""
        for (where, name, v, twin, label), (where2, name2, w, twin2, _) in zip(self.guards, other.guards):
            if where is not where2 or name != name2 or not same_value(v, w) or twin != twin2:
                return label
        return None

    cdef bint same_place(self, const nn_view *v, Program other, const nn_view *w):
        """Whether an operand lies at the same place of a buffer or of an input, or else at one address."""
        cdef Array a, b
        if v.buf or w.buf:
            return v.buf == w.buf and v.p - self.buffers[v.buf].base == w.p - other.buffers[w.buf].base
        if v.p == w.p:
            return True
        for x, y in zip(self.inputs, other.inputs):
            if x is not None:
                a, b = x, y
                if a.v.p <= v.p <= a.v.p + a.bytes:
                    return w.p - b.v.p == v.p - a.v.p
        return False

    def difference(self, Program other):
        """Why two recordings of the same step are not the same program, in words; None if they are. Both as recorded,
        without a plan of their memory."""
        cdef Py_ssize_t i
        cdef int k
        cdef nn_call *x
        cdef nn_call *y
        cdef nn_view *v
        cdef nn_view *w
        if self.n != other.n or self.copies != other.copies:
            return f"{self.n} calls became {other.n}"
        for i in range(self.n):
            x = &self.calls[i]
            y = &other.calls[i]
            if x.op != y.op or x.nv != y.nv or x.nout != y.nout or x.flags != y.flags:
                return f"{call_name(i, x)} became {nn_op_names[y.op].decode()}"
            if memcmp(&x.a, &y.a, sizeof(x.a)):
                return (f"{call_name(i, x)}: its constants {[x.a.f[k] for k in range(4)]} became "
                        f"{[y.a.f[k] for k in range(4)]}")
            for k in range(x.nv):
                v = &x.v[k]
                w = &y.v[k]
                if v.dtype != w.dtype or not same_shape(v, w):
                    return f"{call_name(i, x)}: shape {shape_of(v)} became {shape_of(w)}"
                if i < self.copies and k == 1:   # a constant: those are compared below
                    continue
                if not self.same_place(v, other, w):
                    return f"{call_name(i, x)}: operand {k} lies elsewhere"
        if len(self.constants) != len(other.constants):
            return f"{len(self.constants)} constants of the step became {len(other.constants)}"
        for i in range(len(self.constants)):
            if bytes(self.constants[i]) != bytes(other.constants[i]):
                return f"constant {i} of the step ({(<Array>self.constants[i]).v.n[0]} bytes) has changed"
        return None

    def calls_made(self):
        """[(op, shapes of its operands, number of outputs, bytes of its operands, flops of a product or 0)]."""
        return [describe(&self.calls[i]) for i in range(self.n)]

    def lifetimes(self):
        """[(offset, bytes, first call, last call)] of what lies in the arena, heirs with those they inherit from."""
        return [(self.buffers[b].offset, self.buffers[b].bytes, self.buffers[b].first, self.buffers[b].last)
                for b in range(1, self.count)
                if self.buffers[b].first >= -1 and not self.buffers[b].pinned and not self.buffers[b].heir_of
                and not (self.buffers[b].constant and not self.buffers[b].writers)]


# How many references each of them has; 0 for None.
cdef list references(list arrays):
    return [0 if a is None else Py_REFCNT(a) for a in arrays]


cdef str call_name(Py_ssize_t i, const nn_call *c):
    return f"call {i}, {nn_op_names[c.op].decode()}"


cdef inline size_t aligned(size_t bytes) noexcept:
    return (bytes + 63) & ~<size_t>63


cdef inline bint whole(const buffer *b, const nn_view *v) noexcept:
    return v.p == b.base and nn_count(v) * nn_dtype_size[v.dtype] == b.bytes


# Whether a tensor can be what input a was.
cdef inline bint fits(Array a, TensorBase x):
    return x.array.v.dtype == a.v.dtype and same_shape(&x.array.v, &a.v) and not x.wanted and x.node is None


# Fill input a from an argument; False where that has another dtype or shape.
cdef bint copy_in(Array a, object x) except -1:
    cdef Py_buffer b
    cdef int d
    if isinstance(x, TensorBase):
        if not fits(a, <TensorBase>x):
            return False
        memcpy(a.v.p, (<TensorBase>x).array.v.p, nn_count(&a.v) * nn_dtype_size[a.v.dtype])
        return True
    if type(x) is float:
        if a.v.nd or a.v.dtype != NN_F32:
            return False
        (<float *>a.v.p)[0] = <float>(<double>x)
        return True
    try:
        PyObject_GetBuffer(x, &b, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    except (TypeError, BufferError, ValueError):
        return False
    try:
        if format_code(b.format, b.itemsize) != a.v.dtype or b.ndim != a.v.nd:
            return False
        for d in range(b.ndim):
            if b.shape[d] != a.v.n[d]:
                return False
        memcpy(a.v.p, b.buf, b.len)
        return True
    finally:
        PyBuffer_Release(&b)


cdef class CompiledBase:
    """The short way from a call to a replay. nncore.compiled has the rest."""
    cdef Program last     # the program used last, if its arguments are not nested

    def __call__(self, *args, **kwargs):
        if self.last is not None and not kwargs:
            result = self.last.attempt(args)
            if result is not MISSING:
                return result
        return self.call(args, kwargs)

    def set_last(self, Program program or None):
        """The program to try first."""
        self.last = program
