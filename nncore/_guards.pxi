# Looking at what a recorded step has read from Python, before each replay: nncore/guards.py finds it.

COUNT = object()              # in a guard, in place of a key: the number of items


# Whether what a recording has read from Python is still there: see nncore.guards.
cdef bint holds(tuple guard) except -1:
    cdef PyObject *p
    where, name = <object>PyTuple_GET_ITEM(guard, 0), <object>PyTuple_GET_ITEM(guard, 1)
    value, twin = <object>PyTuple_GET_ITEM(guard, 2), <object>PyTuple_GET_ITEM(guard, 3)
    if where is None:
        found = value
    elif name is COUNT:
        found = len(where)
    elif isinstance(where, list):
        if <Py_ssize_t>name >= len(<list>where):
            return False
        found = (<list>where)[<Py_ssize_t>name]
    elif name is None or isinstance(where, dict):
        p = PyCell_GET(where) if name is None else PyDict_GetItem(where, name)
        if p == NULL:
            return False
        found = <object>p
    else:
        found = getattr(where, name, MISSING)
    if found is not value:
        return same_value(found, value)
    if twin is None:
        return True
    try:
        return found.tobytes() == twin if type(twin) is bytes else found == twin
    except Exception:   # what was plain holds a tensor or the like now
        return False


# Whether two values are one for everything that can be computed from them: the same object, or equal plain ones.
cdef bint same_value(x, y) except -1:
    cdef double a, b
    if x is y:
        return True
    if type(x) is not type(y):
        return False
    if type(x) is float:   # not 0.0 for -0.0; NaN for NaN
        a, b = x, y
        return memcmp(&a, &b, sizeof(double)) == 0
    if type(x) is tuple:
        return len(x) == len(y) and all([same_value(v, w) for v, w in zip(x, y)])
    return type(x) in (int, str, bytes, bool, complex) and x == y
