"""The exercises of notebook 01: a self-test, predict shape and number, write `MLP`, remove the activation."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sam_edu.exercises.inputs import random, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    NotAttempted,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.judging_modules import check_module
from sam_edu.exercises.judging_tables import check_full, filled, judge_table, number, numbers
from sam_edu.exercises.solutions import mlp as solutions
from sam_edu.modules import MLP, MLPBlock

# --- 0: the self-test ---

# Per question: the usual wrong answers, and the hint for each.
_TEST_HINTS: dict[str, list[tuple[Any, str]]] = {
    "a": [
        ((7, 256), "That is the result of [0]: the colon keeps the first axis, the 0 selects from the second."),
        ((2, 1, 256), "That is the result of [:, 0:1]: a single index removes its axis."),
        ((2, 7), "The index is for the second axis, not for the last."),
    ],
    "b": [
        ((2, 1, 256), "An axis of size 1 is expanded to the size of the other tensor."),
        ((7, 256), "The result has as many axes as the longer of the two shapes."),
        ((2, 8, 256), "Sizes are expanded, never added."),
    ],
    "c": [
        (
            (8, 16, 16),
            "The product combines rows of the left matrix with columns of the right one; it sums over the shared axis.",
        ),
        ((7, 5), "The first axis is a batch: there is one product for each of the 8."),
        ((8, 7, 16, 5), "The 16 is summed over, and disappears."),
    ],
    "d": [
        ([3, 7], "That is dim=1, which sums along a row. With dim=0 the first axis disappears: the rows are added."),
        ([10], "That sums everything; dim=0 leaves the columns."),
        (10, "That sums everything; dim=0 leaves the columns."),
    ],
    "e": [
        ([4, 0, -3], "These are the products; a dot product sums them."),
        (7, "The sign is wrong: 3 times -1 is -3."),
        (9, "Multiply first, number by number; then sum."),
    ],
    "f": [
        (9, "That is the value of x ** 2; the gradient is its slope, 2x."),
        (3, "That is x; the slope of x ** 2 is 2x."),
        (2, "The slope of x ** 2 is 2x, and x is 3."),
    ],
    "g": [
        (6, "These are the weights; a linear layer has a bias per output too."),
        (9, "There is a bias per output, not per input."),
        (5, "Each output has a weight for each input: 3 times 2, and the biases."),
    ],
    "h": [
        (2 / 10, "6 + 4 counts the common pixels twice: the union has 8."),
        (2 / 4, "Divide by the union, not by the smaller mask."),
        (2 / 6, "Divide by the union, not by the larger mask."),
        (8, "That is the union; divide the common pixels by it."),
    ],
}
_TEST_REMARKS = {
    "a": "Indexing: a single index removes its axis, a colon keeps it.",
    "b": "Broadcasting: write both shapes flush right; sizes must agree or be 1.",
    "c": "A matrix product acts on the last two axes: (..., n, m) times (..., m, p) is (..., n, p).",
    "d": "dim names the axis that disappears.",
    "e": "The dot product: multiply number by number, then sum.",
    "f": "backward computes the slope: how fast the result changes with x.",
    "g": "There is a weight for each pair of input and output, and a bias for each output.",
    "h": "IoU: the number of common pixels, divided by the number of pixels in at least one of the two.",
}


def _true_self_test() -> dict[str, Any]:
    """The answers, computed."""
    x = torch.tensor(3.0, requires_grad=True)
    (x**2).backward()
    a, b = torch.zeros(8, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)
    a[:6], b[4:] = True, True
    with torch.random.fork_rng(devices=[]):
        linear = nn.Linear(3, 2)
    return {
        "a": tuple(torch.zeros(2, 7, 256)[:, 0].shape),
        "b": tuple((torch.zeros(2, 1, 256) + torch.zeros(7, 256)).shape),
        "c": tuple((torch.zeros(8, 7, 16) @ torch.zeros(8, 16, 5)).shape),
        "d": torch.tensor([[1, 2], [3, 4]]).sum(dim=0).tolist(),
        "e": int(torch.tensor([1, 2, 3]) @ torch.tensor([4, 0, -1])),
        "f": None if x.grad is None else float(x.grad),
        "g": sum(parameter.numel() for parameter in linear.parameters()),
        "h": float((a & b).sum() / (a | b).sum()),
    }


def _equal(entry: Any, target: Any) -> bool:
    """Whether an entry is the target number or the target list of numbers, of any type and in any container."""
    if isinstance(target, tuple | list):
        return numbers(entry) == tuple(target)
    value = number(entry)
    return value is not None and math.isclose(value, target, rel_tol=0, abs_tol=1e-6)


def _judge_self_test(answer: Any) -> None:
    entries, targets = filled(answer, _TEST_REMARKS), _true_self_test()
    if not entries:
        raise NotAttempted
    for key, entry in entries.items():
        if not _equal(entry, targets[key]):
            hint = next((hint for wrong, hint in _TEST_HINTS[key] if _equal(entry, wrong)), _TEST_REMARKS[key])
            raise WrongAnswer(f"{key}: not {entry!r}. {hint}")
    check_full([key for key in targets if key not in entries])


# --- 1: predict shape and number ---


class Situation(NamedTuple):
    """A layer and its input."""

    description: str
    input_shape: tuple[int, ...]
    make: Callable[[], MLP | MLPBlock]


_SITUATIONS = {
    "a": Situation("step (3), one click", (1, 7, 256), lambda: MLPBlock(256, 2048, nn.ReLU)),
    "b": Situation("step (3), two objects, two clicks for each", (2, 8, 256), lambda: MLPBlock(256, 2048, nn.ReLU)),
    "c": Situation("step (6-2), three objects, the MLP of mask 2", (3, 256), lambda: MLP(256, 256, 32, 3)),
    "d": Situation("step (7), three objects", (3, 256), lambda: MLP(256, 256, 4, 3)),
    "e": Situation("MLP(64, 32, 5, num_layers=4) on ten vectors", (10, 64), lambda: MLP(64, 32, 5, 4)),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("input", "hidden", "output", "parameters")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_row, _entry_hint)


@cache
def _true_row(case: str) -> dict[str, Any]:
    """The row of the verified module. On the meta device: shapes without values."""
    _, shape, make = _SITUATIONS[case]
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = make()
        x = torch.empty(shape)
        first = module.lin1 if isinstance(module, MLPBlock) else module.layers[0]
        hidden = first(x)
        return {
            "input": shape,
            "hidden": tuple(hidden.shape),
            "output": tuple(module(x).shape),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
        }


def _entry_hint(case: str, name: str, entry: Any, targets: Mapping[str, Any]) -> str:
    return _count_hint(case, entry) if name == "parameters" else _shape_hint(case, name, entry, targets)


def _widths(case: str) -> list[int]:
    """The width of the input and of each layer's output."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = _SITUATIONS[case].make()
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def _count_hint(case: str, count: int) -> str:
    widths = _widths(case)
    pairs = list(pairwise(widths))
    weights, biases = sum(a * b for a, b in pairs), sum(b for _, b in pairs)
    shape = _SITUATIONS[case].input_shape
    total = weights + biases
    if count == weights:
        return "These are only the weights: each linear layer has a bias per output too."
    if count == weights + sum(a for a, _ in pairs):
        return "The biases are one per output of a layer, not one per input."
    if count == shape[0] * total != total or count == math.prod(shape[:-1]) * total:
        return "Parameters belong to the layer: their number does not grow with the prompt sets or tokens."
    if case == "c" and count == 4 * total:
        return "These are all four MLPs of step (6-2); the question is about one."
    hidden = widths[1] * widths[1] + widths[1]
    if len(widths) > 3 and count in (total + hidden, total - hidden):
        return "num_layers counts all linear layers, the last one included."
    return "Layer by layer: inputs times outputs, plus one bias per output; then the sum over the layers."


def _shape_hint(case: str, name: str, shape: tuple[int, ...], targets: Mapping[str, Any]) -> str:
    target = targets[name]
    if len(shape) != len(target):
        if case in "cd":
            return "The input is one token per prompt set, so there are two axes: prompt sets and width."
        if len(shape) == len(target) - 1:
            return "An axis is missing: prompt sets, tokens, width." if case in "ab" else "Ten vectors have two axes."
        return "A layer changes the last axis and keeps all others."
    if shape[:-1] != target[:-1]:
        if case in "ab" and shape[0] == target[0]:
            return "Count the tokens again: five, the clicks, and one for padding where there are clicks and no box."
        return (
            "How many prompt sets are there? Each selects one object." if case != "e" else "The input is ten vectors."
        )
    if name == "input":
        return "How wide is a token?" if case != "e" else "The first argument is the width of the input."
    if name == "hidden":
        if case in "ab" and shape[-1] == 256:
            return "MLPBlock widens: the second argument, mlp_dim, is the hidden width."
        if case in "cd" and shape[-1] == 2048:
            return "2048 belongs to step (3). In steps (6-2) and (7) the hidden width is 256."
        return "The hidden width is the second argument."
    if case in "ab":
        return "The output is added to the input, so it has the same width."
    if case == "c":
        return "There is one weight per channel of the upscaled features: an eighth of 256."
    return (
        "There is one score for each of the four masks." if case == "d" else "The third argument is the output width."
    )


# --- 2: write MLP ---


class Case(NamedTuple):
    """The arguments of an MLP."""

    input_dim: int
    hidden_dim: int
    output_dim: int
    num_layers: int
    sigmoid_output: bool


# First all widths differ; then a single layer, four layers with a sigmoid, and one width for all, where a mistake may
# keep every shape.
_CASES = (Case(5, 7, 3, 3, False), Case(4, 6, 2, 1, False), Case(6, 5, 4, 4, True), Case(4, 4, 4, 3, False))

_LAST = "The last layer has no ReLU: its output may be negative, as a weight or a score may be."
_MISTAKES = {
    "relu before the sigmoid": "There is a ReLU before the sigmoid: then no output is below 0.5.",
    "relu at the end": _LAST,
    "no relu": "There is no activation: without a ReLU between them, several linear layers are one (rung 4).",
    "relu after the first layer only": "A ReLU is missing: it comes after each layer but the last.",
    "relu before each layer": "There is a ReLU before the first layer: the first layer takes the input unchanged.",
    "gelu": "This is GELU: in these MLPs it is ReLU (rung 8).",
    "leaky": "This is a leaky ReLU: below zero a ReLU is exactly 0.",
    "sigmoid inside": "The sigmoid is between the layers; with sigmoid_output it comes after the last layer.",
    "sigmoid always": "There is a sigmoid although sigmoid_output is False. SAM has no sigmoid here.",
    "sigmoid never": "The sigmoid is missing where sigmoid_output is True.",
    "softmax": "This is a softmax: a sigmoid acts on each number alone, and the results need not sum to 1.",
    "residual": "The input was added to the result: the residual belongs to the two-way block, around MLPBlock.",
    "last layer forgotten": "The last layer was not applied.",
    "first hidden layer again": "One layer was applied several times: each layer has its own weights.",
}


def _variant(module: MLP, x: Tensor, mistake: str) -> Tensor:
    """`MLP.forward` with one of the usual mistakes."""
    *hidden, last = module.layers
    if mistake == "first hidden layer again":
        hidden = [hidden[0], *([hidden[1]] * (len(hidden) - 1))] if len(hidden) > 2 else hidden[:1] * len(hidden)
    activations: dict[str, Callable[[Tensor], Tensor]] = {
        "gelu": nn.functional.gelu,
        "leaky": nn.functional.leaky_relu,
        "sigmoid inside": torch.sigmoid,
    }
    activation = activations.get(mistake, torch.relu)
    inputs = x
    for i, layer in enumerate(hidden):
        if mistake == "relu before each layer":
            x = layer(torch.relu(x))
        elif mistake == "no relu" or (mistake == "relu after the first layer only" and i > 0):
            x = layer(x)
        else:
            x = activation(layer(x))
    if mistake != "last layer forgotten":
        x = last(torch.relu(x) if mistake == "relu before each layer" else x)
    if mistake == "relu at the end" or (mistake == "relu before the sigmoid" and module.sigmoid_output):
        x = torch.relu(x)
    if mistake == "residual":
        x = inputs + x
    sigmoid = {"sigmoid always": True, "sigmoid never": False}.get(mistake, module.sigmoid_output)
    if mistake == "softmax" and module.sigmoid_output:
        return x.softmax(-1)
    return torch.sigmoid(x) if sigmoid else x


def _pair(answer: Any, case: Case) -> tuple[MLP, Any, Tensor]:
    """The verified module with random weights, the learner's with the same weights, and an input."""
    *sizes, sigmoid = case
    module = with_random_weights(partial(MLP, *case), sum(case))
    with torch.random.fork_rng(devices=[]):
        hint = "It is called like this: YourMLP(5, 7, 3, num_layers=3, sigmoid_output=False)."
        yours = result_of(answer, *sizes, sigmoid_output=sigmoid, hint=hint)
    x = random(case.input_dim, 6, case.input_dim)
    _check_layers(module, yours, x, case)
    yours.load_state_dict(module.state_dict())
    return module, yours.eval(), x


def _check_layers(module: MLP, yours: Any, x: Tensor, case: Case) -> None:
    """Check the names, the number and the shapes of the parameters."""
    if not isinstance(yours, nn.Module):
        raise WrongAnswer(f"expected an nn.Module, got {type(yours).__name__}.")
    targets = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    shapes = {key: tuple(value.shape) for key, value in yours.state_dict().items()}
    if shapes == targets:
        return
    call = f"YourMLP({', '.join(map(str, case[:3]))}, num_layers={case.num_layers})"
    if not shapes:
        try:
            with torch.no_grad():
                yours(x)
        except NotImplementedError:
            raise NotAttempted from None
        except Exception as error:
            if not hasattr(yours, "layers"):
                raise WrongAnswer("there is no self.layers: make the layers in __init__.") from error
        else:
            if not hasattr(yours, "layers"):
                raise NotAttempted
        raise WrongAnswer(
            "PyTorch sees no parameters: it does not look into a plain list. Put the layers into an nn.ModuleList."
        )
    if len(shapes) != len(targets):
        message = f"{call} has {len(targets) // 2} linear layers, yours has {len(shapes) / 2:g}"
        raise WrongAnswer(f"{message}: num_layers counts all of them, the last one included.")
    if set(shapes) != set(targets):
        raise WrongAnswer(
            f"the names differ from Meta's, so weights cannot be loaded: {sorted(shapes)[0]} instead of"
            f" {sorted(targets)[0]}. Call the nn.ModuleList self.layers."
        )
    name = next(key for key in targets if shapes[key] != targets[key])
    raise WrongAnswer(
        f"{name} in {call}: expected shape {targets[name]}, got {shapes[name]}. The widths are input_dim, then"
        " hidden_dim after each layer but the last, then output_dim."
    )


def _judge_mlp(answer: Any) -> None:
    if not callable(answer) or isinstance(answer, nn.Module):
        raise WrongAnswer(f"expected your class, not yet called, got {type(answer).__name__}.")
    pairs = [_pair(answer, case) for case in _CASES]
    for module, yours, x in pairs:  # shapes first, of all cases
        with torch.no_grad():
            copy_of_x = x.clone()
            try:
                output = result_of(yours, copy_of_x, hint="Print the shape after each layer.")
            except NotAttempted:
                raise WrongAnswer("the layers are right; forward returns nothing yet.") from None
            check_tensor_shape("output", output, module(x), "vectors, output_dim", _output_shape_hint)
            if not torch.equal(copy_of_x, x):
                raise WrongAnswer(
                    "the input was changed in place: make new tensors; the caller still needs the old one."
                )
    for module, yours, x in pairs:
        with torch.no_grad():
            otherwise = "It is none of the usual mistakes. Print x after each layer, and compare it with the diagram."
            hint = recogniser(_MISTAKES, partial(_variant, module, x), otherwise)
            check_values("output", result_of(yours, x.clone()), module(x), hint)
    _judge_mlp_invariants(*pairs[0])
    for module, yours, x in pairs:
        check_module(module, yours, {"x": x}, ["output"])
    _judge_default(answer, *pairs[0])


def _output_shape_hint(yours: Any) -> str:
    return f"The last axis is {yours.shape[-1]} wide: was the last layer applied?" if yours.ndim == 2 else ""


def _judge_mlp_invariants(module: MLP, yours: Any, x: Tensor) -> None:
    with torch.no_grad():
        others = ((x[0], "a single vector"), (x.reshape(2, 3, -1), "vectors with one more axis in front"))
        for other, description in others:
            if not same(result_of(yours, other, hint=f"The input was {description}."), module(other)):
                raise WrongAnswer(f"{description} must give the same numbers: a layer acts only on the last axis.")
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        if not same(result_of(yours, x[order]), module(x)[order]):
            raise WrongAnswer("vectors in another order must give the same outputs in that order.")
        if not same(result_of(yours, 100 * x), module(100 * x)):
            raise WrongAnswer("with large inputs the values differ: an MLP clamps and normalises nothing.")


def _judge_default(answer: Any, module: MLP, yours: Any, x: Tensor) -> None:
    """Check that there is no sigmoid where none is asked for."""
    hint = "sigmoid_output may be left out: YourMLP(5, 7, 3, 3)."
    with torch.random.fork_rng(devices=[]):
        plain = result_of(answer, *_CASES[0][:4], hint=hint)
    plain.load_state_dict(yours.state_dict())
    with torch.no_grad():
        if not same(result_of(plain.eval(), x.clone()), module(x)):
            raise WrongAnswer("where sigmoid_output is not given, the values differ: its default is False.")


# --- 3: remove the activation ---

# (embedding_dim, mlp_dim): different widths, then the same, where a product in the wrong order keeps every shape.
_BLOCKS = ((5, 9), (6, 6))

_BIAS_MISTAKES: dict[str, Callable[[MLPBlock], Tensor]] = {
    "There is no bias: combine the biases of both layers.": lambda b: torch.zeros_like(b.lin2.bias),
    "This is the bias of lin2 alone: lin1's is multiplied by lin2's weights and added.": lambda b: b.lin2.bias,
    "The bias of lin2 is missing.": lambda b: b.lin2.weight @ b.lin1.bias,
    "The biases were added unchanged: lin1's is multiplied by lin2's weights first.": lambda b: (
        b.lin1.bias + b.lin2.bias
    ),
    "This is the bias of lin1 alone: it is multiplied by lin2's weights, and lin2's is added.": lambda b: b.lin1.bias,
    "A ReLU is left in the bias: remove every activation.": lambda b: (
        b.lin2.weight @ torch.relu(b.lin1.bias) + b.lin2.bias
    ),
}
_WEIGHT_MISTAKES: dict[str, Callable[[MLPBlock], Tensor]] = {
    "The weights are multiplied in the wrong order: lin1 acts first, so it is on the right.": lambda b: (
        b.lin1.weight @ b.lin2.weight
    ),
    "The product is transposed: a weight matrix is (out, in).": lambda b: (b.lin2.weight @ b.lin1.weight).T,
    "A ReLU is left in the weights: remove every activation.": lambda b: b.lin2.weight @ torch.relu(b.lin1.weight),
    "These are the weights of lin1 alone.": lambda b: b.lin1.weight,
    "These are the weights of lin2 alone.": lambda b: b.lin2.weight,
    "The weights were added; one layer after the other is a product.": lambda b: b.lin1.weight + b.lin2.weight,
}


def _judge_without_activation(answer: Any) -> None:
    answers = []
    for sizes in _BLOCKS:  # types and shapes first, of both
        block = with_random_weights(partial(MLPBlock, *sizes, nn.ReLU), sum(sizes))
        before = copy.deepcopy(block.state_dict())
        with torch.random.fork_rng(devices=[]):
            layer = result_of(answer, block, hint="Print the shapes of both weights: each is (out, in).")
        _check_layer(layer, block, sizes)
        if any(not torch.equal(before[key], value) for key, value in block.state_dict().items()):
            raise WrongAnswer("the block was changed in place: return a new layer.")
        answers.append((block, layer))
    for block, layer in answers:
        _check_parameters(block, layer)
    block, layer = answers[0]
    x = 3 * random(0, 4, _BLOCKS[0][0])
    with torch.no_grad():
        for inputs in (x, 100 * x, -x):
            if not same(result_of(layer, inputs.to(layer.weight.dtype)), block.lin2(block.lin1(inputs))):
                raise WrongAnswer("the layer must return lin2(lin1(x)), for every x.")


def _check_layer(layer: Any, block: MLPBlock, sizes: tuple[int, int]) -> None:
    """Check that a result is one linear layer with the block's input and output widths."""
    if isinstance(layer, Tensor):
        raise WrongAnswer("expected a layer, got a tensor: make an nn.Linear, and give it weight and bias.")
    if isinstance(layer, MLPBlock | MLP):
        raise WrongAnswer("this is still an MLP, with its activation: one nn.Linear is enough.")
    if isinstance(layer, nn.Sequential):
        raise WrongAnswer("these are still several layers: combine them into one nn.Linear.")
    if not isinstance(layer, nn.Linear):
        raise WrongAnswer(f"expected an nn.Linear, got {type(layer).__name__}.")
    dim, mlp_dim = sizes
    if layer is block.lin1 or layer is block.lin2:
        raise WrongAnswer("this is one of the block's own layers: make a new one from both.")
    if tuple(layer.weight.shape) != (dim, dim):
        shape = tuple(layer.weight.shape)
        hint = "The order is wrong: lin1 acts first, so it is on the right." if shape == (mlp_dim, mlp_dim) else ""
        message = f"weight: expected shape {(dim, dim)}, with the block's input and output widths, got {shape}."
        raise WrongAnswer(f"{message} {hint}".strip())
    if layer.bias is None:
        raise WrongAnswer("There is no bias: combine the biases of both layers.")
    if tuple(layer.bias.shape) != (dim,):
        raise WrongAnswer(f"bias: expected shape {(dim,)}, got {tuple(layer.bias.shape)}.")


def _check_parameters(block: MLPBlock, layer: nn.Linear) -> None:
    with torch.no_grad():
        weight = block.lin2.weight @ block.lin1.weight
        bias = block.lin2.weight @ block.lin1.bias + block.lin2.bias
        check_values("weight", layer.weight, weight, _hint(_WEIGHT_MISTAKES, block))
        check_values("bias", layer.bias, bias, _hint(_BIAS_MISTAKES, block))


def _hint(mistakes: Mapping[str, Callable[[MLPBlock], Tensor]], block: MLPBlock) -> Callable[[Any], str]:
    otherwise = "It is none of the usual mistakes. Write lin2(lin1(x)) out and multiply: what is the factor of x?"
    return recogniser({hint: hint for hint in mistakes}, lambda hint: mistakes[hint](block), otherwise)


self_test = Exercise("01.0 self-test", _judge_self_test, solutions.SELF_TEST)
shapes = Exercise("01.1 predict shape and number", _judge_shapes, solutions.SHAPES)
mlp = Exercise("01.2 write MLP", _judge_mlp, solutions.Solution)
without_activation = Exercise("01.3 remove the activation", _judge_without_activation, solutions.without_activation)
