"""The judging of an answer: the exercise, the comparison of tensors, and the recogniser of known mistakes.

Values are judged, not types: an array, a list of numbers or a tensor of another floating-point type with the right
values is right.
"""

import dis
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
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
    function that returns one of these or raises NotImplementedError. The verdict does not depend on torch's global
    settings: autograd, default type and device, random state.

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
            with usual_settings():
                self.judge(answer)
        except NotAttempted:
            print(f"{self.name}: not attempted")
        except WrongAnswer as error:
            if error.figure is not None:
                _show(error.figure)
            raise WrongAnswer(f"{self.name}: {error}", error.figure) from error.__cause__
        except Exception as error:  # an answer of a kind that no check expected
            message = f"the check cannot read this answer: {_first_line(error)}"
            raise WrongAnswer(f"{self.name}: {message}") from error
        else:
            print(f"{self.name}: passed")

    def __repr__(self) -> str:
        return f"<Exercise {self.name}: call it with your answer>"


@contextmanager
def usual_settings() -> Iterator[None]:
    """Torch's usual settings, while the block lasts: autograd on, float32, the CPU, a random state of its own.

    Raises:
        WrongAnswer: what ran in the block has changed one of them for everything that follows.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.device("cpu"),
            torch.random.fork_rng(devices=[]),
        ):
            yield
            if torch.get_default_dtype() != torch.float32:
                raise WrongAnswer("your code changes torch's default type for everything that follows.")
    finally:
        torch.set_default_dtype(dtype)


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
    autograd = torch.is_grad_enabled()
    try:
        result = function(*args, **kwargs)
        if torch.is_grad_enabled() != autograd:
            raise WrongAnswer(
                "your code disables or enables autograd for everything that follows: use `with torch.no_grad():` around"
                " the lines."
            )
    except (NotAttempted, WrongAnswer):
        raise
    except Exception as error:
        # Torch raises NotImplementedError too, where an operation has no code for a type: that is no stub.
        if isinstance(error, NotImplementedError) and "not implemented for" not in str(error):
            raise NotAttempted from None
        raise WrongAnswer(f"it fails with {_first_line(error)}. {hint}".strip()) from error
    finally:
        torch.set_grad_enabled(autograd)
    if result is None and _does_something(function):
        raise WrongAnswer("your function returns nothing: is a `return` missing?")
    return attempted(result)


def to_tensor(name: str, value: Any) -> Tensor:
    """A result as a dense tensor on the CPU: of a tensor, an array, or nested lists of numbers.

    Raises:
        WrongAnswer: it is none of these, or a tensor without values or with complex ones.
    """
    if isinstance(value, Tensor):
        tensor = value
    elif isinstance(value, np.ndarray | np.generic | list | tuple):
        try:
            numbers = [to_tensor(name, entry) for entry in value] if isinstance(value, list | tuple) else None
            tensor = torch.from_numpy(np.array(value)) if numbers is None else torch.stack(numbers)
        except (TypeError, ValueError, RuntimeError) as error:
            message = f"{name}: expected a tensor, got {type(value).__name__} that is no table of numbers."
            raise WrongAnswer(message) from error
    elif isinstance(value, bool | int | float):
        tensor = torch.tensor(value)
    else:
        raise WrongAnswer(f"{name}: expected a tensor, got {type(value).__name__}.")
    if tensor.is_meta:
        raise WrongAnswer(f"{name}: this tensor is on the meta device, where there are no values.")
    if tensor.is_complex():
        raise WrongAnswer(f"{name}: expected real numbers, got {tensor.dtype}.")
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    return (tensor if tensor.layout == torch.strided else tensor.to_dense()).cpu()


def check_tensor_shape(name: str, yours: Any, target: Tensor, axes: str, hint: Callable[[Any], str]) -> Tensor:
    """Check that a result is a tensor of the target's shape.

    Args:
        name: the name of the tensor, for the message.
        yours: the result of the learner's function.
        target: the right result.
        axes: the names of the axes.
        hint: from the wrong result to a hint; "" if none fits.

    Returns:
        the result as a tensor.

    Raises:
        WrongAnswer: the result is not a tensor, or has another shape.
    """
    if isinstance(yours, bool | int | float):
        raise WrongAnswer(f"{name}: expected a tensor, got {type(yours).__name__}.")
    tensor = to_tensor(name, yours)
    if tensor.shape != target.shape:
        message = f"{name}: expected shape {tuple(target.shape)}, which is ({axes}), got {tuple(tensor.shape)}."
        raise WrongAnswer(f"{message} {hint(tensor)}".strip())
    return tensor


def same(yours: Any, target: Tensor) -> bool:
    """Whether two tensors have the same shape and, up to rounding, the same values.

    A result of half precision may differ by the rounding to its type.
    """
    try:
        yours = to_tensor("", yours).detach()
    except WrongAnswer:
        return False
    if yours.shape != target.shape:
        return False
    rounding = torch.finfo(yours.dtype).eps if yours.is_floating_point() else 0.0
    wide, target = yours.double(), target.detach().double()
    tolerance = TOLERANCE * max(1.0, _largest(target)) + (target.abs() * rounding if rounding > TOLERANCE else 0.0)
    return bool(torch.isfinite(wide).all()) and bool(((wide - target).abs() <= tolerance).all())


def rounded_like(x: Tensor, result: Tensor) -> Tensor:
    """A tensor, rounded to the type of a result: what an answer of half precision can know of it."""
    return x.to(result.dtype).to(x.dtype) if result.is_floating_point() else x


def check_values(name: str, yours: Any, target: Tensor, hint: Callable[[Tensor], str]) -> None:
    """Check that a tensor has the target's values.

    Args:
        name: the name of the tensor, for the message.
        yours: a result of the target's shape.
        target: the right tensor.
        hint: from the wrong tensor to a hint.

    Raises:
        WrongAnswer: the values differ; with a figure of both tensors.
    """
    yours, target = to_tensor(name, yours).detach(), target.detach()
    if yours.shape != target.shape:
        message = f"expected shape {tuple(target.shape)}, got {tuple(yours.shape)}; another call gave the right shape."
        raise WrongAnswer(f"{name}: {message}")
    if same(yours, target):
        return
    if yours.dtype == torch.bool and target.dtype != torch.bool:
        raise WrongAnswer(f"{name}: expected {target.dtype}, got True and False. {hint(yours)}".strip())
    wide = yours.to(target.dtype)
    if not torch.isfinite(wide).all():
        message = f"{name}: the shape is right, but there are values that are not finite."
    else:
        message = f"{name}: the shape is right, the values differ by up to {_largest(wide - target):.2g}."
    figure = target_and_yours(target, wide, title=f"{name}: target, yours, difference")
    raise WrongAnswer(f"{message} {hint(wide)}".strip(), figure)


def check_all_values(
    names: Sequence[str], yours: Sequence[Any], targets: Sequence[Tensor], hint: Callable[[Sequence[Tensor]], str]
) -> None:
    """Check the values of several outputs: `check_values` for each, with one hint from all outputs together."""
    for name, output, target in zip(names, yours, targets, strict=True):
        check_values(name, output, target, lambda _: hint(yours))


def check_gradients(
    outputs: Mapping[str, tuple[Any, Tensor]],
    inputs: Mapping[str, tuple[Tensor, Tensor]],
) -> None:
    """Check that gradients flow through the result as through the target.

    Values may be right where nothing can be trained: under `torch.no_grad`, or with a tensor detached.

    Args:
        outputs: by name, the learner's and the right result; both with their graphs.
        inputs: by name, what each was computed from; None of the learner's where it has no such tensor.

    Raises:
        WrongAnswer: a result has no gradient, or one of the gradients differs.
    """
    for name, (yours, _) in outputs.items():
        if not isinstance(yours, Tensor):
            raise WrongAnswer(
                f"{name}: the values are right, but {type(yours).__name__} carries no gradient: return a tensor."
            )
        if not yours.requires_grad:
            raise WrongAnswer(
                f"{name}: the values are right, but no gradient flows through it: it was computed under"
                " torch.no_grad(), or detached. Nothing could be trained through it."
            )
    gradients = []
    for which in (0, 1):
        total = torch.stack([_weighted_sum(pair[which]).double() for pair in outputs.values()]).sum()
        leaves = [pair[which] for pair in inputs.values()]
        try:
            found = torch.autograd.grad(total, leaves, allow_unused=True)
        except RuntimeError as error:
            raise WrongAnswer(f"the values are right, but backward fails with {_first_line(error)}.") from error
        gradients.append([torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)])
    for name, yours, target in zip(inputs, *gradients, strict=True):
        if not same(yours, target):
            raise WrongAnswer(
                f"the values are right, but the gradient with respect to {name} is not: is a tensor detached on the"
                " way (.detach(), .data, .item(), .numpy(), torch.no_grad())?"
            )


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


_OF_A_STUB = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "POP_TOP", "COPY_FREE_VARS", "LOAD_DEREF"}
"""The instructions of a function that only returns a value, by the names that `dis` gives them."""


def _does_something(function: Any) -> bool:
    """Whether a function's code is more than that of a stub."""
    code = getattr(getattr(function, "forward", function), "__code__", None)
    return code is not None and any(step.opname not in _OF_A_STUB for step in dis.get_instructions(code))


def _weighted_sum(output: Tensor) -> Tensor:
    """A sum in which each number of an output has its own weight, so that no two gradients cancel."""
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    return (output.cpu() * weights.to(output.dtype)).sum()


def _largest(values: Tensor) -> float:
    """The largest absolute value; 0 where there are none."""
    return float(values.abs().max()) if values.numel() else 0.0


def _first_line(error: Exception) -> str:
    """An exception's type and the first line of its message."""
    line = next(iter(str(error).strip().splitlines()), "").rstrip(".")
    return f"{type(error).__name__}: {line}"


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
