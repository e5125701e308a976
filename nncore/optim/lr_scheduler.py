"""Learning rates that change while training goes on. Names, arguments and formulas are PyTorch's.

    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        ...
        scheduler.step()

A scheduler sets the learning rates of the optimizer's groups, from the rates they had when their first scheduler was
made (group["initial_lr"]) and the number of calls of `step` since: outside of a compiled step, which sees the new rate
when it is replayed. Each rate is computed from the formula anew, where PyTorch multiplies the one before: equal but for
roundings that add up there. So it is always the scheduler's own rate; for one schedule after another there is
SequentialLR.
"""
import math
from bisect import bisect_right

__all__ = ["LRScheduler", "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "LinearLR", "LambdaLR",
           "OneCycleLR", "SequentialLR", "ReduceLROnPlateau"]


class LRScheduler:
    """Base of the schedulers. A subclass gives `rates(epoch)`: the learning rate of every group after `epoch` steps.

    last_epoch: how many steps were done before, for going on with an optimizer whose groups know their "initial_lr".
    base_lrs: the groups' learning rates at the start. KeyError when last_epoch is given and they are not known.
    """

    def __init__(self, optimizer, last_epoch=-1):
        if last_epoch < -1:
            raise ValueError(f"{type(self).__name__}: last_epoch = {last_epoch}")
        self.optimizer = optimizer
        for i, group in enumerate(_groups(self, optimizer)):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: last_epoch = {last_epoch}, and group {i} has no initial_lr")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rates(self, epoch):
        """The learning rate of every group after `epoch` steps."""
        raise NotImplementedError

    def step(self):
        """Count one step and set the learning rates that are due. Call it after the optimizer's step."""
        self.move_to(self.last_epoch + 1)

    def move_to(self, epoch):
        """Set the learning rates that are due after `epoch` steps, and count on from there."""
        rates = self.rates(epoch)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.last_epoch = epoch

    def get_last_lr(self):
        """The learning rates of the groups, as they were set last."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """Everything but the optimizer: to go on from later, together with the optimizer's own state_dict."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Go on from what state_dict returned, with the learning rates that are due there: before or after the
        optimizer's load_state_dict. ValueError for the state of something else."""
        self._restore(state_dict)
        self.move_to(self.last_epoch)

    def _restore(self, state_dict):
        """Go on from what state_dict returned. Learning rates are the optimizer's state and not touched. ValueError for
        the state of something else."""
        expected = self.state_dict()
        if set(state_dict) != set(expected):
            wrong = sorted(set(state_dict) ^ set(expected))
            raise ValueError(f"{type(self).__name__}.load_state_dict: {wrong} do not fit")
        vars(self).update(state_dict)

    def __repr__(self):
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items()
                             if name not in ("optimizer", "base_lrs") and not name.startswith("_"))
        return f"{type(self).__name__}({settings})"


class StepLR(LRScheduler):
    """lr = base gamma^(epoch // step_size)"""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size, self.gamma = _count(self, "step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        return [base * self.gamma ** (epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr = base gamma^(number of milestones reached). milestones: epochs; one that is named twice counts twice."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        return [base * self.gamma ** bisect_right(self.milestones, epoch) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """lr = base gamma^epoch"""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        return [base * self.gamma ** epoch for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) (1 + cos(pi epoch / T_max)) / 2. Loshchilov and Hutter (2017), without restarts.

    From T_max on it rises again, as the cosine does.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max, self.eta_min = _count(self, "T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        share = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = base factor; the factor goes from start_factor to end_factor in total_iters equal steps: a warm-up."""

    def __init__(self, optimizer, start_factor=1 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: start_factor {start_factor} and end_factor {end_factor} not within 0 and 1")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _count(self, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        share = min(epoch, self.total_iters) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * share) for base in self.base_lrs]


class LambdaLR(LRScheduler):
    """lr = base lr_lambda(epoch). lr_lambda: a function, or one for each group. state_dict does not hold them."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = _groups(self, optimizer)
        self._lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * len(groups)
        if len(self._lambdas) != len(groups):
            raise ValueError(f"LambdaLR: {len(self._lambdas)} functions for {len(groups)} groups")
        super().__init__(optimizer, last_epoch)

    def rates(self, epoch):
        return [base * f(epoch) for base, f in zip(self.base_lrs, self._lambdas)]

    def state_dict(self):
        return {name: value for name, value in super().state_dict().items() if name != "_lambdas"}


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr and down to max_lr / (div_factor final_div_factor), once.

    Smith and Topin (2018). For every batch a step. total_steps: how many there will be, or epochs and steps_per_epoch,
    whose product it is. pct_start: the share of the steps that goes up. anneal_strategy: "cos" or "linear".
    cycle_momentum: the momentum of SGD and RMSprop, or Adam's first beta, goes from max_momentum to base_momentum and
    back. three_phase: down to where it began as fast as it went up, then to the end. max_lr, base_momentum,
    max_momentum: a number, or one for each group. A loop calls `step` behind every batch, the last one too: it stays
    at the end then. Raises ValueError for a step after that.
    """

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
                 final_div_factor=1e4, three_phase=False, last_epoch=-1):
        groups = _groups(self, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: total_steps, or epochs and steps_per_epoch, must say how long it is")
            total_steps = _count(self, "epochs", epochs) * _count(self, "steps_per_epoch", steps_per_epoch)
        self.total_steps = _count(self, "total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start = {pct_start} is not within 0 and 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}")
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError(f"OneCycleLR: {type(optimizer).__name__} has no momentum: cycle_momentum=False")
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        peak = _for_each(self, "max_lr", max_lr, groups)
        start = [lr / div_factor for lr in peak]
        end = [lr / final_div_factor for lr in start]
        low, high = (_for_each(self, name, value, groups) for name, value in (("base_momentum", base_momentum),
                                                                              ("max_momentum", max_momentum)))
        up = float(pct_start * self.total_steps) - 1
        # (its last step, learning rates at its ends, momenta at its ends) of each phase
        if three_phase:
            self._phases = [(up, start, peak, high, low), (2 * up, peak, start, low, high),
                            (self.total_steps - 1, start, end, high, high)]
        else:
            self._phases = [(up, start, peak, high, low), (self.total_steps - 1, peak, end, low, high)]
        if last_epoch == -1:
            for group, lr in zip(groups, start):
                dict.__setitem__(group, "initial_lr", lr)
        super().__init__(optimizer, last_epoch)

    def _at(self, epoch):
        """(learning rates, momenta) after `epoch` steps."""
        if epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {epoch} of {self.total_steps}: the cycle is over")
        epoch = min(epoch, self.total_steps - 1)
        begin = 0.0
        for phase in self._phases:
            if epoch <= phase[0] or phase is self._phases[-1]:
                break
            begin = phase[0]
        last, lr_begin, lr_end, momentum_begin, momentum_end = phase
        share = (epoch - begin) / (last - begin) if last > begin else 1.0
        if self.anneal_strategy == "cos":
            share = (1 - math.cos(math.pi * share)) / 2
        return tuple([a + (b - a) * share for a, b in zip(*ends)] for ends in ((lr_begin, lr_end),
                                                                               (momentum_begin, momentum_end)))

    def rates(self, epoch):
        return self._at(epoch)[0]

    def move_to(self, epoch):
        rates, momenta = self._at(epoch)
        for group, rate, momentum in zip(self.optimizer.param_groups, rates, momenta, strict=True):
            if not self.cycle_momentum:
                group["lr"] = rate
            elif "betas" in group:
                group.update(lr=rate, betas=(momentum, *group["betas"][1:]))
            else:
                group.update(lr=rate, momentum=momentum)
        self.last_epoch = epoch


class SequentialLR(LRScheduler):
    """One scheduler after another: the first until milestones[0] steps are done, then the second, and so forth.

    Each counts its own steps from 0 and starts from the optimizer's rates at its beginning. No ReduceLROnPlateau.
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        if len(self._schedulers) < 1 or len(self._milestones) != len(self._schedulers) - 1:
            raise ValueError(f"SequentialLR: {len(self._schedulers)} schedulers need one milestone less, not "
                             f"{self._milestones}")
        if any(b <= a for a, b in zip([0, *self._milestones], self._milestones)):
            raise ValueError(f"SequentialLR: milestones {self._milestones} must rise from above 0")
        for scheduler in self._schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"SequentialLR: schedulers expected, not {type(scheduler).__name__}")
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: {scheduler!r} has another optimizer")
        super().__init__(optimizer, last_epoch)

    def move_to(self, epoch):
        i = bisect_right(self._milestones, epoch)
        self._schedulers[i].move_to(epoch - (self._milestones[i - 1] if i else 0))
        self.last_epoch = epoch

    def state_dict(self):
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def _restore(self, state_dict):
        state, saved = dict(state_dict), state_dict.get("_schedulers", ())
        if len(saved) != len(self._schedulers):
            raise ValueError(f"SequentialLR.load_state_dict: {len(saved)} schedulers do not fit "
                             f"{len(self._schedulers)}")
        super()._restore({**state, "_schedulers": self._schedulers})
        for scheduler, part in zip(self._schedulers, saved):
            scheduler._restore(part)


class ReduceLROnPlateau:
    """lr = factor lr, when what is watched has not become better for more than `patience` steps.

    mode: "min" for a loss, "max" for an accuracy. threshold: what counts as better: by that share of the best value
    (threshold_mode "rel") or by that amount ("abs"). cooldown: steps after a reduction that do not count. min_lr: a
    number, or one for each group. eps: a smaller change is not made. NaN is never better.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0,
                 min_lr=0.0, eps=1e-8):
        groups = _groups(self, optimizer)
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor = {factor} is not below 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: mode {mode!r} is not 'min' or 'max', or threshold_mode "
                             f"{threshold_mode!r} not 'rel' or 'abs'")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lrs = _for_each(self, "min_lr", min_lr, groups)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics):
        """Look at the value of this epoch, a number or a tensor of one element."""
        value = float(metrics)
        best, bad, cooldown = self.best, self.num_bad_epochs + 1, self.cooldown_counter
        if self._better(value):
            best, bad = value, 0
        if cooldown > 0:
            cooldown, bad = cooldown - 1, 0
        if bad > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            cooldown, bad = self.cooldown, 0
        self.best, self.num_bad_epochs, self.cooldown_counter = best, bad, cooldown
        self.last_epoch += 1

    def _better(self, value):
        sign = 1 if self.mode == "max" else -1
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        return sign * value > sign * self.best + margin if math.isfinite(self.best) else sign * value > sign * self.best

    get_last_lr = LRScheduler.get_last_lr
    state_dict = LRScheduler.state_dict
    load_state_dict = LRScheduler._restore   # there is no formula for the learning rates
    __repr__ = LRScheduler.__repr__


def _groups(scheduler, optimizer):
    from .optimizer import Optimizer
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(scheduler).__name__}: an optimizer expected, not {type(optimizer).__name__}")
    return optimizer.param_groups


def _count(scheduler, name, value):
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(f"{type(scheduler).__name__}: {name} = {value!r} is not an integer from 1 on")
    return int(value)


def _for_each(scheduler, name, value, groups):
    values = list(value) if isinstance(value, (list, tuple)) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(f"{type(scheduler).__name__}: {len(values)} values of {name} for {len(groups)} groups")
    return values
