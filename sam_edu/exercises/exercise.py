"""What all exercises share: an answer goes in; "not attempted", a hint, or "passed" comes out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sam_edu.figures import Picture, target_and_yours

TOLERANCE = 1e-4  # relative to the largest value wanted: wide for another order of summing, narrow for a mistake


class WrongAnswer(AssertionError):
    """An answer that is not right, with a hint; `picture` shows target, yours and the difference where there is one."""

    def __init__(self, hint: str, picture: Picture | None = None) -> None:
        super().__init__(hint)
        self.picture = picture


class NotAttempted(Exception):
    """The answer is still the stub."""


class Exercise:
    """One exercise: call it with an answer.

    Prints "not attempted" for an untouched stub, which is None, `...`, or what raises NotImplementedError, and
    "passed" for a right answer.

    Args:
        name: how it is announced, for example "02.1 predict the shape".
        judge: takes the answer; raises `NotAttempted` or `WrongAnswer`.
        solution: an answer that passes.
    """

    def __init__(self, name: str, judge: Callable[[Any], None], solution: Any) -> None:
        self.name, self.judge, self.solution = name, judge, solution

    def __call__(self, answer: Any) -> None:
        """Judge an answer.

        Raises:
            WrongAnswer: with a hint. In a notebook its picture is shown first.
        """
        try:
            wanted(answer)
            self.judge(answer)
        except NotAttempted:
            print(f"{self.name}: not attempted")
        except WrongAnswer as wrong:
            if wrong.picture is not None:
                _show(wrong.picture)
            raise WrongAnswer(f"{self.name}: {wrong}", wrong.picture) from wrong.__cause__
        else:
            print(f"{self.name}: passed")

    def __repr__(self) -> str:
        return f"<Exercise {self.name}: call it with your answer>"


def wanted(value: Any) -> Any:
    """The value itself.

    Raises:
        NotAttempted: it is what a stub gives, None or `...`.
    """
    if value is None or value is ...:
        raise NotAttempted
    return value


def result_of(function: Any, *args: Any, hint: str = "", **kwargs: Any) -> Any:
    """What the learner's function returns.

    Raises:
        NotAttempted: it is a stub.
        WrongAnswer: it is no function, or it fails with an error of its own; `hint` follows.
    """
    if not callable(function):
        raise WrongAnswer(f"expected your function, not yet called, got {type(function).__name__}.")
    try:
        return wanted(function(*args, **kwargs))
    except NotImplementedError:
        raise NotAttempted from None
    except (NotAttempted, WrongAnswer):
        raise
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        told = f"it fails with {type(error).__name__}: {first.rstrip('.')}"
        raise WrongAnswer(f"{told}. {hint}".strip()) from error


def check_tensor_shape(what: str, yours: Any, target: Tensor, axes: str, hint: Callable[[Any], str]) -> None:
    """The first look: a tensor, of the right shape.

    Args:
        what: what the tensor is, for the message.
        yours: what the learner's function returned.
        target: what it should have returned.
        axes: the names of the axes.
        hint: from the wrong shape to what it looks like; "" if nothing is known.

    Raises:
        WrongAnswer: something else.
    """
    if not isinstance(yours, Tensor):
        raise WrongAnswer(f"{what}: expected a tensor, got {type(yours).__name__}.")
    if yours.shape != target.shape:
        told = f"{what}: expected shape {tuple(target.shape)}, which is ({axes}), got {tuple(yours.shape)}."
        raise WrongAnswer(f"{told} {hint(yours)}".strip())


def same(yours: Tensor, target: Tensor) -> bool:
    """Whether two tensors agree, in shape and, up to rounding, in values."""
    if yours.shape != target.shape:
        return False
    allowed = TOLERANCE * max(1.0, float(target.abs().max()))
    return bool(torch.isfinite(yours).all()) and float((yours - target).abs().max()) <= allowed


def check_values(what: str, yours: Tensor, target: Tensor, hint: Callable[[Tensor], str]) -> None:
    """The second look: the right numbers.

    Args:
        what: what the tensor is, for the message.
        yours: a tensor of the target's shape.
        target: what it should be.
        hint: from the wrong tensor to what it looks like.

    Raises:
        WrongAnswer: other numbers; with a picture of both.
    """
    yours = yours.detach()
    if same(yours, target):
        return
    if not torch.isfinite(yours).all():
        told = f"{what}: the shape is right, but there are values that are not finite."
    else:
        told = f"{what}: the shape is right, the values differ by up to {float((yours - target).abs().max()):.2g}."
    picture = target_and_yours(target, yours, title=f"{what}: target, yours, difference")
    raise WrongAnswer(f"{told} {hint(yours)}".strip(), picture)


def check_all_values(
    what: Sequence[str], yours: Sequence[Tensor], targets: Sequence[Tensor], hint: Callable[[Sequence[Tensor]], str]
) -> None:
    """The second look at several outputs: `check_values` for each, with a hint that sees them all."""
    for name, one, target in zip(what, yours, targets, strict=True):
        check_values(name, one, target, lambda _: hint(yours))


def recogniser(
    mistakes: Mapping[str, str], variant: Callable[[str], Tensor | Sequence[Tensor]], otherwise: str
) -> Callable[[Tensor | Sequence[Tensor]], str]:
    """What a wrong answer looks like, as `check_values` and `check_all_values` want it.

    Args:
        mistakes: the usual mistakes, each with its hint.
        variant: from a mistake to what comes out with it. It may fail with a RuntimeError or an IndexError, where a
            mistake does not even run on these shapes.
        otherwise: what to say where it is none of these.
    """

    def hint(yours: Tensor | Sequence[Tensor]) -> str:
        for mistake, told in mistakes.items():
            try:
                other = variant(mistake)
            except (RuntimeError, IndexError):
                continue
            if all(same(a, b) for a, b in zip(_as_tuple(yours), _as_tuple(other), strict=True)):
                return told
        return otherwise

    return hint


def _as_tuple(tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _show(picture: Picture) -> None:
    """Show a picture where there is a notebook to show it in."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        display(picture)
