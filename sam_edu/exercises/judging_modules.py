"""The judging of a module besides its values: gradients, training mode, and what it must leave unchanged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.exercises.judging import WrongAnswer, check_gradients, result_of, same

Call = Callable[..., Any]


def check_module(
    module: nn.Module,
    yours: nn.Module,
    inputs: Mapping[str, Tensor],
    names: Sequence[str],
    call: Call = lambda module, *inputs: module(*inputs),
) -> None:
    """Check that a module trains as the verified one does: with the same gradients, and without dropout.

    Args:
        module: the verified module.
        yours: the learner's, with the same weights.
        inputs: the inputs, by name.
        names: the names of the outputs.
        call: calls a module with the inputs.

    Raises:
        WrongAnswer: a gradient differs, training mode gives other values, or a call changes the parameters.
    """
    before = {name: tensor.clone() for name, tensor in yours.state_dict().items()}
    pairs = {name: (_leaf(x), _leaf(x)) for name, x in inputs.items()}
    results = as_tuple(result_of(call, yours, *(pair[0] for pair in pairs.values())))
    targets = as_tuple(call(module, *(pair[1] for pair in pairs.values())))
    own = dict(yours.named_parameters())
    parameters = {name: (own[name].requires_grad_(), tensor) for name, tensor in module.named_parameters()}
    check_gradients(dict(zip(names, zip(results, targets, strict=True), strict=True)), {**pairs, **parameters})
    _check_training_mode(yours, list(inputs.values()), targets, call)
    if any(not torch.equal(before[name], tensor) for name, tensor in yours.state_dict().items()):
        raise WrongAnswer("a call of your module changes its parameters: make new tensors.")


def check_function(
    answer: Call,
    solution: Call,
    inputs: Mapping[str, Tensor],
    names: Sequence[str],
    parts: Mapping[str, Tensor] | None = None,
) -> None:
    """Check that the gradients of a function are those of the solution.

    Args:
        answer: the learner's function of the inputs.
        solution: the right one.
        inputs: the inputs, by name.
        names: the names of the outputs.
        parts: parameters that both functions use, by name.

    Raises:
        WrongAnswer: a gradient differs.
    """
    pairs = {name: (_leaf(x), _leaf(x)) for name, x in inputs.items()}
    results = as_tuple(result_of(answer, *(pair[0] for pair in pairs.values())))
    targets = as_tuple(solution(*(pair[1] for pair in pairs.values())))
    both = dict(zip(names, zip(results, targets, strict=True), strict=True))
    check_gradients(both, {**pairs, **{name: (tensor, tensor) for name, tensor in (parts or {}).items()}})


def as_tuple(result: Any) -> tuple[Any, ...]:
    """A result, or several, as a tuple."""
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _leaf(x: Tensor) -> Tensor:
    """A copy that gradients reach."""
    return x.detach().clone().requires_grad_()


def _check_training_mode(yours: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Tensor], call: Call) -> None:
    yours.train()
    try:
        for seed in range(3):
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                torch.manual_seed(seed)
                results = as_tuple(result_of(call, yours, *(x.clone() for x in inputs)))
            if not all(same(a, b) for a, b in zip(results, targets, strict=True)):
                raise WrongAnswer(
                    "in training mode (.train()) the values differ from those after .eval(): is there a dropout? SAM's"
                    " decoder has none."
                )
    finally:
        yours.eval()
