"""The judging of an answer: the exercise, the comparison of tensors, and the recogniser of known mistakes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sam_edu.figures import Figure, target_and_yours

TOLERANCE = 1e-4  # relative to the largest value of the target: above rounding, below the effect of a mistake


class WrongAnswer(AssertionError):
    """A wrong answer, with a hint. `figure` shows the target, the answer and their difference where there is one."""

    def __init__(self, hint: str, figure: Figure | None = None) -> None:
        super().__init__(hint)
        self.figure = figure


class NotAttempted(Exception):
    """Raised where the answer is still the stub."""


class Exercise:
    """An exercise: a callable that judges an answer.

    It prints "passed" for a right answer, and "not attempted" for an untouched stub. A stub is None, `...`, or a
    function that returns one of these or raises NotImplementedError.

    Args:
        name: its name in messages, for example "02.1 predict the shape".
        judge: takes the answer; raises `NotAttempted` or `WrongAnswer`.
        solution: an answer that passes.
    """

    def __init__(self, name: str, judge: Callable[[Any], None], solution: Any) -> None:
        self.name, self.judge, self.solution = name, judge, solution

    def __call__(self, answer: Any) -> None:
        """Judge an answer.

        Raises:
            WrongAnswer: the answer is wrong; with a hint. In a notebook its figure is shown first.
        """
        try:
            attempted(answer)
            self.judge(answer)
        except NotAttempted:
            print(f"{self.name}: not attempted")
        except WrongAnswer as error:
            if error.figure is not None:
                _show(error.figure)
            raise WrongAnswer(f"{self.name}: {error}", error.figure) from error.__cause__
        else:
            print(f"{self.name}: passed")

    def __repr__(self) -> str:
        return f"<Exercise {self.name}: call it with your answer>"


def attempted(value: Any) -> Any:
    """The value, if it is not that of a stub.

    Raises:
        NotAttempted: the value is None or `...`.
    """
    if value is None or value is ...:
        raise NotAttempted
    return value


def result_of(function: Any, *args: Any, hint: str = "", **kwargs: Any) -> Any:
    """The result of the learner's function.

    Args:
        function: the learner's function.
        args: its arguments.
        hint: the last sentence of the message where the function fails.
        kwargs: its keyword arguments.

    Raises:
        NotAttempted: the function is a stub.
        WrongAnswer: it is not a function, or it raises an exception.
    """
    if not callable(function):
        raise WrongAnswer(f"expected your function, not yet called, got {type(function).__name__}.")
    try:
        return attempted(function(*args, **kwargs))
    except NotImplementedError:
        raise NotAttempted from None
    except (NotAttempted, WrongAnswer):
        raise
    except Exception as error:
        first_line = next(iter(str(error).strip().splitlines()), "")
        message = f"it fails with {type(error).__name__}: {first_line.rstrip('.')}"
        raise WrongAnswer(f"{message}. {hint}".strip()) from error


def check_tensor_shape(name: str, yours: Any, target: Tensor, axes: str, hint: Callable[[Any], str]) -> None:
    """Check that a result is a tensor of the target's shape.

    Args:
        name: the name of the tensor, for the message.
        yours: the result of the learner's function.
        target: the right result.
        axes: the names of the axes.
        hint: from the wrong result to a hint; "" if none fits.

    Raises:
        WrongAnswer: the result is not a tensor, or has another shape.
    """
    if not isinstance(yours, Tensor):
        raise WrongAnswer(f"{name}: expected a tensor, got {type(yours).__name__}.")
    if yours.shape != target.shape:
        message = f"{name}: expected shape {tuple(target.shape)}, which is ({axes}), got {tuple(yours.shape)}."
        raise WrongAnswer(f"{message} {hint(yours)}".strip())


def same(yours: Tensor, target: Tensor) -> bool:
    """Whether two tensors have the same shape and, up to rounding, the same values."""
    if yours.shape != target.shape:
        return False
    tolerance = TOLERANCE * max(1.0, float(target.abs().max()))
    return bool(torch.isfinite(yours).all()) and float((yours - target).abs().max()) <= tolerance


def check_values(name: str, yours: Tensor, target: Tensor, hint: Callable[[Tensor], str]) -> None:
    """Check that a tensor has the target's values.

    Args:
        name: the name of the tensor, for the message.
        yours: a tensor of the target's shape.
        target: the right tensor.
        hint: from the wrong tensor to a hint.

    Raises:
        WrongAnswer: the values differ; with a figure of both tensors.
    """
    yours = yours.detach()
    if same(yours, target):
        return
    if not torch.isfinite(yours).all():
        message = f"{name}: the shape is right, but there are values that are not finite."
    else:
        message = f"{name}: the shape is right, the values differ by up to {float((yours - target).abs().max()):.2g}."
    figure = target_and_yours(target, yours, title=f"{name}: target, yours, difference")
    raise WrongAnswer(f"{message} {hint(yours)}".strip(), figure)


def check_all_values(
    names: Sequence[str], yours: Sequence[Tensor], targets: Sequence[Tensor], hint: Callable[[Sequence[Tensor]], str]
) -> None:
    """Check the values of several outputs: `check_values` for each, with one hint from all outputs together."""
    for name, output, target in zip(names, yours, targets, strict=True):
        check_values(name, output, target, lambda _: hint(yours))


def recogniser(
    mistakes: Mapping[str, str], variant: Callable[[str], Tensor | Sequence[Tensor]], otherwise: str
) -> Callable[[Tensor | Sequence[Tensor]], str]:
    """A function from a wrong answer to the hint of the known mistake that has the same result.

    `check_values` takes it for one tensor, `check_all_values` for several.

    Args:
        mistakes: the usual mistakes, each with its hint.
        variant: from a mistake to its result. It may raise a RuntimeError or an IndexError where the mistake does not
            run on these shapes.
        otherwise: the hint where no mistake has this result.
    """

    def hint(yours: Tensor | Sequence[Tensor]) -> str:
        for mistake, text in mistakes.items():
            try:
                result = variant(mistake)
            except (RuntimeError, IndexError):
                continue
            if all(same(a, b) for a, b in zip(_as_tuple(yours), _as_tuple(result), strict=True)):
                return text
        return otherwise

    return hint


def _as_tuple(tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _show(figure: Figure) -> None:
    """Show a figure, if this runs in a notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is not None:
        display(figure)
