"""The judging of modules and functions besides their values: gradients, training mode, unchanged parameters."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu.exercises.judging import WrongAnswer
from sam_edu.exercises.judging_modules import as_tuple, check_function, check_module

INPUTS = {"x": torch.linspace(-1, 1, 12).reshape(4, 3), "y": torch.linspace(0, 2, 12).reshape(4, 3)}


class Right(nn.Module):
    """Two outputs of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        hidden = torch.relu(self.first(x) + self.first(y))
        return self.second(hidden), hidden.sum(-1)


class Functional(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        hidden = F.relu(F.linear(x + y, self.first.weight) + 2 * self.first.bias)
        return [hidden @ self.second.weight.T + self.second.bias, hidden.sum(dim=1)]


class InPlace(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        hidden = self.first(x)
        hidden += self.first(y)
        return self.second(hidden.relu_()), torch.einsum("ij->i", hidden)


class Other(Right):
    """Written otherwise: a max with zero, and a sum as a product."""

    def forward(self, x: Tensor, y: Tensor) -> Any:
        hidden = (self.first(x) + self.first(y)).clamp(min=0)
        return F.dropout(self.second(hidden), 0.0, self.training), hidden @ torch.ones(5)


class NoGradient(Right):
    @torch.no_grad()
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return super().forward(x, y)


class OneDetached(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        first, second = super().forward(x, y)
        return first, second.detach()


class InputDetached(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return super().forward(x, y.detach())


class WeightDetached(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        hidden = torch.relu(self.first(x) + self.first(y))
        return F.linear(hidden, self.second.weight.detach(), self.second.bias), hidden.sum(-1)


class GradientTwice(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        first, second = super().forward(x, y)
        return 2 * first - first.detach(), second


class Arrays(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return tuple(one.detach().numpy() for one in super().forward(x, y))


class Dropout(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        return tuple(F.dropout(one, 0.3, self.training) for one in super().forward(x, y))


class RareDropout(Right):
    """Of 4 x 2 numbers, a hundredth."""

    def forward(self, x: Tensor, y: Tensor) -> Any:
        first, second = super().forward(x, y)
        return first + 1e-3 * torch.randn_like(first) * self.training, second


class TrainingMode(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        first, second = super().forward(x, y)
        return (first * 1.01 if self.training else first), second


class FailsInTraining(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        if self.training:
            raise RuntimeError("only for inference")
        return super().forward(x, y)


class ChangesItself(Right):
    def forward(self, x: Tensor, y: Tensor) -> Any:
        result = super().forward(x, y)
        self.second.bias.data += 1.0
        return result


def pair(cls: type[nn.Module]) -> tuple[nn.Module, nn.Module]:
    """The verified module, and one of a class with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, yours = Right().eval(), cls().eval()
    yours.load_state_dict(module.state_dict())
    return module, yours


@pytest.mark.parametrize("cls", [Right, Functional, InPlace, Other])
def test_right_modules_of_every_style_pass(cls: type[nn.Module]) -> None:
    module, yours = pair(cls)
    check_module(module, yours, INPUTS, ["first", "second"])
    assert not yours.training
    assert not module.training


WRONG: dict[type[nn.Module], str] = {
    NoGradient: "first: the values are right, but no gradient flows through it",
    OneDetached: "second: the values are right, but no gradient flows through it",
    InputDetached: "the gradient with respect to y is not",
    WeightDetached: r"the gradient with respect to second\.weight is not",
    GradientTwice: "the gradient with respect to x is not",
    Arrays: "first: the values are right, but ndarray carries no gradient",
    Dropout: r"in training mode \(\.train\(\)\) the values differ.*dropout",
    RareDropout: "in training mode",
    TrainingMode: "in training mode",
    FailsInTraining: "RuntimeError: only for inference",
    ChangesItself: "changes its parameters: make new tensors|in training mode",
}


@pytest.mark.parametrize("cls", WRONG)
def test_wrong_modules_are_refused(cls: type[nn.Module]) -> None:
    module, yours = pair(cls)
    with pytest.raises(WrongAnswer, match=WRONG[cls]):
        check_module(module, yours, INPUTS, ["first", "second"])
    assert not yours.training  # also after a refusal


class CountsCalls(Right):
    """Right values each time, and a buffer that grows."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor, y: Tensor) -> Any:
        self.calls += 1
        return super().forward(x, y)


def test_a_state_that_changes_is_refused() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, yours = Right().eval(), CountsCalls().eval()
    yours.load_state_dict(module.state_dict(), strict=False)
    with pytest.raises(WrongAnswer, match="a call of your module changes its parameters"):
        check_module(module, yours, INPUTS, ["first", "second"])


def test_nothing_of_the_caller_is_changed() -> None:
    module, yours = pair(Right)
    inputs = {name: x.clone() for name, x in INPUTS.items()}
    before, random = copy.deepcopy(yours.state_dict()), torch.random.get_rng_state()
    check_module(module, yours, inputs, ["first", "second"])
    assert all(torch.equal(inputs[name], INPUTS[name]) and not inputs[name].requires_grad for name in inputs)
    assert all(torch.equal(before[name], tensor) for name, tensor in yours.state_dict().items())
    assert all(parameter.grad is None for one in (module, yours) for parameter in one.parameters())
    assert torch.equal(random, torch.random.get_rng_state())


def test_a_call_of_another_form() -> None:
    module, yours = pair(Right)
    check_module(module, yours, {"x": INPUTS["x"]}, ["first"], lambda one, x: one(x, INPUTS["y"])[0])
    with pytest.raises(WrongAnswer, match="the gradient with respect to x"):
        check_module(module, yours, {"x": INPUTS["x"]}, ["first"], lambda one, x: one(_cut(one is yours, x), x)[0])


def _cut(detached: bool, x: Tensor) -> Tensor:
    return x.detach() if detached else x


WEIGHT = torch.linspace(-1, 1, 6).reshape(3, 2)


def solution(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.relu(x @ weight)


RIGHT_FUNCTIONS: dict[str, Callable[[Tensor], Callable[[Tensor], Any]]] = {
    "the solution": solution,
    "einsum": lambda weight: lambda x: torch.einsum("ni,io->no", x, weight).clamp(min=0),
    "a list": lambda weight: lambda x: [F.linear(x, weight.T).relu()],
}
WRONG_FUNCTIONS: dict[str, tuple[Callable[[Tensor], Callable[[Tensor], Any]], str]] = {
    "no gradient": (lambda weight: torch.no_grad()(solution(weight)), "out: .*no gradient flows"),
    "input detached": (lambda weight: lambda x: solution(weight)(x.detach()), "with respect to x"),
    "weight detached": (lambda weight: solution(weight.detach()), "with respect to weight"),
    "an array": (lambda weight: lambda x: solution(weight)(x).detach().numpy(), "ndarray carries no gradient"),
    "twice": (lambda weight: lambda x: 2 * solution(weight)(x) - solution(weight)(x).detach(), "with respect to x"),
    "it fails": (lambda weight: lambda x: solution(weight)(x, x), "fails with TypeError"),
}


@pytest.mark.parametrize("name", RIGHT_FUNCTIONS)
def test_right_functions_of_every_style_pass(name: str) -> None:
    weight = WEIGHT.clone().requires_grad_()
    check_function(RIGHT_FUNCTIONS[name](weight), solution(weight), {"x": INPUTS["x"]}, ["out"], {"weight": weight})
    assert weight.grad is None


@pytest.mark.parametrize("name", WRONG_FUNCTIONS)
def test_wrong_functions_are_refused(name: str) -> None:
    weight = WEIGHT.clone().requires_grad_()
    make, message = WRONG_FUNCTIONS[name]
    with pytest.raises(WrongAnswer, match=message):
        check_function(make(weight), solution(weight), {"x": INPUTS["x"]}, ["out"], {"weight": weight})


def test_without_parameters_only_the_inputs_count() -> None:
    weight = WEIGHT.clone().requires_grad_()
    check_function(solution(weight.detach()), solution(weight), {"x": INPUTS["x"]}, ["out"])


@pytest.mark.parametrize("result", [(1, 2), [1, 2]])
def test_several_results_are_a_tuple(result: Any) -> None:
    assert as_tuple(result) == (1, 2)
    assert as_tuple(3) == (3,)
