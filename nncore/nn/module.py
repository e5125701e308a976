"""Module: what holds parameters and other modules. A layer assigns them in __init__ and computes in forward."""
from collections import OrderedDict


from .. import _core
from ..convert import to_array
from ..tensor import Parameter

__all__ = ["Module"]


class Module:
    """Base of all layers and models.

    Parameters and modules assigned as attributes are found by parameters(), state_dict() and so on; tensors that are no
    parameters but belong to the state (running statistics) are registered with register_buffer.
    """
    training = True

    def __init__(self):
        pass  # subclasses call super().__init__() as they do elsewhere; nothing depends on it

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def __setattr__(self, name, value):
        if name == "training":
            if value != self.training:
                _core.mode_changed(id(self))
        else:
            _core.structure_changed()  # compiled steps are recorded anew
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        _core.structure_changed()
        object.__delattr__(self, name)

    def forward(self, *inputs):
        """What the module computes; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    # ---- what it holds ---------------------------------------------------------------------------------------------

    def register_buffer(self, name, value):
        """Make a tensor that is not trained part of the state."""
        self.__dict__.setdefault("_buffer_names", []).append(name)
        setattr(self, name, value)

    def register_parameter(self, name, value):
        """The same as assigning: self.name = value; None: no such parameter."""
        setattr(self, name, value)

    def register_module(self, name, module):
        """The same as assigning: self.name = module."""
        setattr(self, name, module)

    add_module = register_module

    def children(self):
        """The modules held directly."""
        return (module for _, module in self.named_children())

    def named_children(self):
        """(name, module) for the modules held directly, in the order of assignment."""
        for name, value in self.__dict__.items():
            if isinstance(value, Module):
                yield name, value

    def modules(self):
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self, prefix="", _seen=None):
        """(dotted name, module) for this module and all below it, each once."""
        seen = set() if _seen is None else _seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def _named(self, kind, prefix=""):
        seen = set()
        for path, module in self.named_modules(prefix):
            buffers = module.__dict__.get("_buffer_names", ())
            for name, value in module.__dict__.items():
                wanted = isinstance(value, Parameter) if kind == "parameter" else name in buffers and value is not None
                if wanted and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix=""):
        """(dotted name, parameter), each once, in the order of assignment."""
        return self._named("parameter", prefix)

    def parameters(self):
        """All parameters, each once, in the order of assignment."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix=""):
        """(dotted name, tensor) for the state that is not trained."""
        return self._named("buffer", prefix)

    def buffers(self):
        """The state that is not trained."""
        return (buffer for _, buffer in self.named_buffers())

    # ---- modes -----------------------------------------------------------------------------------------------------

    def train(self, mode=True):
        """Switch this module and all below it to training (dropout acts), and return it."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        """Switch to evaluation: train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Freeze (False) or thaw all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self):
        """Forget the gradients of all parameters: they are None until the next backward."""
        for parameter in self.parameters():
            parameter.set_grad_array(None)

    def apply(self, function):
        """Call function(module) for all modules below and for this one last; returns this module."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- state -----------------------------------------------------------------------------------------------------

    def state_dict(self):
        """{dotted name: NumPy array}, copies of all parameters and buffers."""
        state = OrderedDict()
        for kind in ("parameter", "buffer"):
            for name, value in self._named(kind):
                state[name] = value.numpy().copy()
        return state

    def load_state_dict(self, state_dict, strict=True):
        """Overwrite parameters and buffers with the arrays of a state_dict.

        Nothing is changed unless everything fits: KeyError for missing or unknown names (if strict), ValueError for
        shapes, TypeError for what is no array of numbers.
        """
        call = f"{type(self).__name__}.load_state_dict"
        if not hasattr(state_dict, "items"):
            raise TypeError(f"{call}: a dict of names and arrays expected, not {type(state_dict).__name__}")
        own = dict(self.named_parameters()) | dict(self.named_buffers())
        missing = [name for name in own if name not in state_dict]
        unknown = [name for name in state_dict if name not in own]
        if strict and (missing or unknown):
            raise KeyError(f"{call}: missing {missing}, unknown {unknown}")
        arrays = {}
        for name, value in state_dict.items():
            if name in own:
                try:
                    arrays[name] = to_array(value, own[name].dtype)
                except (TypeError, ValueError) as error:
                    kind = TypeError if isinstance(error, TypeError) else ValueError
                    raise kind(f"{call}: {name}: {error}") from None
                if arrays[name].shape != own[name].shape:
                    raise ValueError(f"{call}: {name} has shape {own[name].shape}, the state {arrays[name].shape}")
        for name, array in arrays.items():
            _core.assign(own[name].array, array)

    # ---- text ------------------------------------------------------------------------------------------------------

    def extra_repr(self):
        """What stands in the brackets of repr for a module without children."""
        return ""

    def __repr__(self):
        children = [f"({name}): {module!r}" for name, module in self.named_children()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "\n".join(children).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {body}\n)"

    def summary(self, input_shape=None):
        """A table of layers, output shapes and numbers of parameters, as text.

        input_shape: shape of an input with its batch axis; given, the model is run on zeros of that shape to find the
        output shapes.
        """
        from .summary import summarize
        return summarize(self, input_shape)
