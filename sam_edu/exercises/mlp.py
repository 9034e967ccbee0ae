"""The exercises of notebook 01: a self-test, predict shape and number, write `MLP`, take the bend away."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.exercises.exercise import (
    Exercise,
    NotAttempted,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.mlp_solutions import SELF_TEST, SHAPES, Solution
from sam_edu.exercises.mlp_solutions import straight as _straight
from sam_edu.exercises.table import check_full, filled, judge_table
from sam_edu.exercises.trials import random, with_random_weights
from sam_edu.modules import MLP, MLPBlock

# --- 0: the self-test ---

# Per question: wrong answers that people give, and what each looks like.
_TEST_HINTS: dict[str, list[tuple[Any, str]]] = {
    "a": [
        ((7, 256), "That is what [0] gives: the colon keeps the first axis, the 0 picks from the second."),
        ((2, 1, 256), "That is what [:, 0:1] gives: a single index removes its axis."),
        ((2, 7), "The index goes to the second axis, not to the last."),
    ],
    "b": [
        ((2, 1, 256), "An axis of size 1 is stretched to fit the other tensor."),
        ((7, 256), "The result has as many axes as the longer of the two shapes."),
        ((2, 8, 256), "Sizes are stretched, never added."),
    ],
    "c": [
        ((8, 16, 16), "Rows of the left one meet columns of the right one; what they share is summed over."),
        ((7, 5), "The first axis is a stack: one product for each of the 8."),
        ((8, 7, 16, 5), "The 16 is summed over, and disappears."),
    ],
    "d": [
        ([3, 7], "That is dim=1, which sums along a row. dim=0 is the axis that disappears: the rows are added up."),
        ([10], "That sums everything; dim=0 leaves the columns."),
        (10, "That sums everything; dim=0 leaves the columns."),
    ],
    "e": [
        ([4, 0, -3], "These are the products; a dot product sums them."),
        (7, "Mind the sign: 3 times -1 is -3."),
        (9, "Multiply first, number by number; then sum."),
    ],
    "f": [
        (9, "That is the value of x ** 2; the gradient is its slope, 2x."),
        (3, "That is x; the slope of x ** 2 is 2x."),
        (2, "The slope of x ** 2 is 2x, and x is 3."),
    ],
    "g": [
        (6, "These are the weights; a linear layer has a bias per output too."),
        (9, "A bias per output, not per input."),
        (5, "Each output has a weight for each input: 3 times 2, and the biases."),
    ],
    "h": [
        (2 / 10, "6 + 4 counts the common pixels twice: the union has 8."),
        (2 / 4, "Divided by the union, not by the smaller mask."),
        (2 / 6, "Divided by the union, not by the larger mask."),
        (8, "That is the union; the common pixels are divided by it."),
    ],
}
_TEST_REMARKS = {
    "a": "Indexing: a single index removes its axis, a colon keeps it.",
    "b": "Broadcasting: write both shapes flush right; sizes must agree or be 1.",
    "c": "A matrix product acts on the last two axes: (..., n, m) times (..., m, p) is (..., n, p).",
    "d": "dim names the axis that disappears.",
    "e": "The dot product: multiply number by number, then sum.",
    "f": "backward computes the slope: how fast the result changes with x.",
    "g": "A weight for each pair of input and output, and a bias for each output.",
    "h": "IoU: the number of common pixels, divided by the number of pixels in at least one of the two.",
}


def _true_self_test() -> dict[str, Any]:
    """The answers, by running what is asked."""
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


def _alike(given: Any, wanted: Any) -> bool:
    """Whether an answer is the wanted number or list of numbers, whatever container it comes in."""
    if isinstance(given, Tensor):
        given = given.tolist()
    if isinstance(wanted, tuple | list):
        return isinstance(given, tuple | list) and [*given] == [*wanted]
    return (
        isinstance(given, float | int)
        and not isinstance(given, bool)
        and math.isclose(given, wanted, rel_tol=0, abs_tol=5e-3)
    )


def _judge_self_test(answer: Any) -> None:
    given, true = filled(answer, _TEST_REMARKS), _true_self_test()
    if not given:
        raise NotAttempted
    for key, value in given.items():
        if not _alike(value, true[key]):
            hint = next((hint for wrong, hint in _TEST_HINTS[key] if _alike(value, wrong)), _TEST_REMARKS[key])
            raise WrongAnswer(f"{key}: not {value!r}. {hint}")
    check_full([key for key in true if key not in given])


# --- 1: predict shape and number ---

# Per situation: its words, the shape that comes in, and how the layer is made.
_SITUATIONS: dict[str, tuple[str, tuple[int, ...], Callable[[], MLP | MLPBlock]]] = {
    "a": ("step (3), one click", (1, 7, 256), lambda: MLPBlock(256, 2048, nn.ReLU)),
    "b": ("step (3), two objects, two clicks for each", (2, 8, 256), lambda: MLPBlock(256, 2048, nn.ReLU)),
    "c": ("step (6-2), three objects, the MLP of mask 2", (3, 256), lambda: MLP(256, 256, 32, 3)),
    "d": ("step (7), three objects", (3, 256), lambda: MLP(256, 256, 4, 3)),
    "e": ("MLP(64, 32, 5, num_layers=4) on ten vectors", (10, 64), lambda: MLP(64, 32, 5, 4)),
}
_ENTRIES = ("input", "hidden", "output", "parameters")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _ENTRIES, _true_row, _hint)


def _true_row(case: str) -> dict[str, Any]:
    """From the verified module, on the meta device: shapes alone, no numbers."""
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


def _hint(case: str, name: str, got: Any, true: Mapping[str, Any]) -> str:
    return _count_hint(case, got) if name == "parameters" else _shape_hint(case, name, got, true)


def _widths(case: str) -> list[int]:
    """The widths on the way through the layers."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = _SITUATIONS[case][2]()
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [layers[0].in_features, *(layer.out_features for layer in layers)]


def _count_hint(case: str, given: int) -> str:
    widths = _widths(case)
    pairs = list(pairwise(widths))
    weights, biases = sum(a * b for a, b in pairs), sum(b for _, b in pairs)
    batch = _SITUATIONS[case][1][0]
    total = weights + biases
    if given == weights:
        return "These are the weights alone: each linear layer has a bias per output too."
    if given == weights + sum(a for a, _ in pairs):
        return "The biases are one per output of a layer, not one per input."
    if given == batch * total != total or given == math.prod(_SITUATIONS[case][1][:-1]) * total:
        return "Parameters belong to the layer: they do not become more with more prompt sets or tokens."
    if case == "c" and given == 4 * total:
        return "These are all four MLPs of step (6-2); asked is one."
    hidden = widths[1] * widths[1] + widths[1]
    if len(widths) > 3 and given in (total + hidden, total - hidden):
        return "num_layers counts all linear layers, the last one included."
    return "Layer by layer: inputs times outputs, plus one bias per output; then the sum over the layers."


def _shape_hint(case: str, name: str, got: tuple[int, ...], true: Mapping[str, Any]) -> str:
    right = true[name]
    if len(got) != len(right):
        if case in "cd":
            return "One token per prompt set goes in, so there are two axes: prompt sets and width."
        if len(got) == len(right) - 1:
            return "An axis is missing: prompt sets, tokens, width." if case in "ab" else "Ten vectors have two axes."
        return "A layer changes the last axis and keeps all others."
    if got[:-1] != right[:-1]:
        if case in "ab" and got[0] == right[0]:
            return "Count the tokens again: five, the clicks, and one for padding where there are clicks and no box."
        return "How many prompt sets are there? Each selects one object." if case != "e" else "Ten vectors go in."
    if name == "input":
        return "How wide is a token?" if case != "e" else "The first argument is the width that comes in."
    if name == "hidden":
        if case in "ab" and got[-1] == 256:
            return "MLPBlock widens: the second argument, mlp_dim, is the width in between."
        if case in "cd" and got[-1] == 2048:
            return "2048 belongs to step (3). At the exits the hidden width is 256."
        return "The hidden width is the second argument."
    if case in "ab":
        return "What comes out is added to what came in, so it has to be as wide."
    if case == "c":
        return "One weight per channel of the upscaled picture: an eighth of 256."
    return "One score for each of the four masks." if case == "d" else "The third argument is the width that comes out."


# --- 2: write MLP ---

Case = tuple[int, int, int, int, bool]

# (input_dim, hidden_dim, output_dim, num_layers, sigmoid_output). First all widths differ; then a single layer, a
# sigmoid over four layers, and one width for all, where a mistake may keep every shape.
_CASES: tuple[Case, ...] = ((5, 7, 3, 3, False), (4, 6, 2, 1, False), (6, 5, 4, 4, True), (4, 4, 4, 3, False))

_LAST = "The last layer has no ReLU: its output has to be able to be negative, as a weight or a score may be."
_MISTAKES = {
    "relu before the sigmoid": "A ReLU stands before the sigmoid: then nothing below 0.5 can come out.",
    "relu at the end": _LAST,
    "no relu": "There is no bend: without a ReLU between them, several linear layers are one (rung 4).",
    "relu after the first layer only": "A ReLU is missing: it comes after each layer but the last.",
    "relu before each layer": "A ReLU comes before the first layer: the input goes in as it is.",
    "gelu": "This is GELU: in these MLPs it is ReLU (rung 8).",
    "leaky": "This is a leaky ReLU: below zero a ReLU is exactly 0.",
    "sigmoid inside": "The sigmoid stands between the layers; it belongs behind the last, where it is asked for.",
    "sigmoid always": "There is a sigmoid although sigmoid_output is False: SAM leaves it off.",
    "sigmoid never": "The sigmoid is missing where sigmoid_output is True.",
    "softmax": "This is a softmax: a sigmoid squashes each number for itself, and they need not sum to 1.",
    "residual": "The input was added to the result: that belongs to the two-way block, around MLPBlock.",
    "last layer forgotten": "The last layer was not applied.",
    "first hidden layer again": "One layer was applied several times: each has weights of its own.",
}


def _variant(module: MLP, x: Tensor, mistake: str) -> Tensor:
    """The forward with one of the usual mistakes."""
    *hidden, last = module.layers
    if mistake == "first hidden layer again":
        hidden = [hidden[0], *([hidden[1]] * (len(hidden) - 1))] if len(hidden) > 2 else hidden[:1] * len(hidden)
    bends: dict[str, Callable[[Tensor], Tensor]] = {
        "gelu": nn.functional.gelu,
        "leaky": nn.functional.leaky_relu,
        "sigmoid inside": torch.sigmoid,
    }
    bend = bends.get(mistake, torch.relu)
    came = x
    for i, layer in enumerate(hidden):
        if mistake == "relu before each layer":
            x = layer(torch.relu(x))
        elif mistake == "no relu" or (mistake == "relu after the first layer only" and i > 0):
            x = layer(x)
        else:
            x = bend(layer(x))
    if mistake != "last layer forgotten":
        x = last(torch.relu(x) if mistake == "relu before each layer" else x)
    if mistake == "relu at the end" or (mistake == "relu before the sigmoid" and module.sigmoid_output):
        x = torch.relu(x)
    if mistake == "residual":
        x = came + x
    squash = {"sigmoid always": True, "sigmoid never": False}.get(mistake, module.sigmoid_output)
    if mistake == "softmax" and module.sigmoid_output:
        return x.softmax(-1)
    return torch.sigmoid(x) if squash else x


def _pair(answer: Any, case: Case) -> tuple[MLP, Any, Tensor]:
    """The verified module with random weights, the learner's with the same, and an input."""
    *sizes, sigmoid = case
    module = with_random_weights(partial(MLP, *case), sum(case))
    with torch.random.fork_rng(devices=[]):
        hint = "It is made like this: YourMLP(5, 7, 3, num_layers=3, sigmoid_output=False)."
        yours = result_of(answer, *sizes, sigmoid_output=sigmoid, hint=hint)
    x = random(case[0], 6, case[0])
    _check_layers(module, yours, x, case)
    yours.load_state_dict(module.state_dict())
    return module, yours.eval(), x


def _check_layers(module: MLP, yours: Any, x: Tensor, case: Case) -> None:
    """The parameters: names, number, shapes; each with what it looks like."""
    if not isinstance(yours, nn.Module):
        raise WrongAnswer(f"expected an nn.Module, got {type(yours).__name__}.")
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    came = {key: tuple(value.shape) for key, value in yours.state_dict().items()}
    if came == wanted:
        return
    how = f"YourMLP({', '.join(map(str, case[:3]))}, num_layers={case[3]})"
    if not came:
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
        told = "PyTorch sees no parameters: a plain list hides its layers. Put them into an nn.ModuleList."
        raise WrongAnswer(told)
    if len(came) != len(wanted):
        told = f"{how} has {len(wanted) // 2} linear layers, yours has {len(came) / 2:g}"
        raise WrongAnswer(f"{told}: num_layers counts all of them, the last one included.")
    if set(came) != set(wanted):
        raise WrongAnswer(
            f"the names differ from Meta's, so weights cannot be loaded: {sorted(came)[0]} instead of"
            f" {sorted(wanted)[0]}. Call the nn.ModuleList self.layers."
        )
    name = next(key for key in wanted if came[key] != wanted[key])
    raise WrongAnswer(
        f"{name} in {how}: expected shape {wanted[name]}, got {came[name]}. The widths are input_dim, then hidden_dim"
        " after each layer but the last, then output_dim."
    )


def _judge_mlp(answer: Any) -> None:
    if not callable(answer) or isinstance(answer, nn.Module):
        raise WrongAnswer(f"expected your class, not yet called, got {type(answer).__name__}.")
    pairs = [_pair(answer, case) for case in _CASES]
    for module, yours, x in pairs:  # shapes first, of all cases
        with torch.no_grad():
            copied = x.clone()
            try:
                came = result_of(yours, copied, hint="Print the shape after each layer.")
            except NotAttempted:
                raise WrongAnswer("the layers are right; forward returns nothing yet.") from None
            check_tensor_shape("output", came, module(x), "vectors, output_dim", _output_shape_hint)
            if not torch.equal(copied, x):
                raise WrongAnswer("the input was written into: make new tensors; the caller still needs the old one.")
    for module, yours, x in pairs:
        with torch.no_grad():
            otherwise = "It is none of the usual mistakes. Print x after each layer, and hold it against the diagram."
            check_values("output", yours(x), module(x), recogniser(_MISTAKES, partial(_variant, module, x), otherwise))
    _judge_mlp_invariants(*pairs[0])


def _output_shape_hint(yours: Any) -> str:
    return f"The last axis is {yours.shape[-1]} wide: was the last layer applied?" if yours.ndim == 2 else ""


def _judge_mlp_invariants(module: MLP, yours: Any, x: Tensor) -> None:
    with torch.no_grad():
        for other, words in ((x[0], "a single vector"), (x.reshape(2, 3, -1), "vectors with one axis more in front")):
            if not same(result_of(yours, other, hint=f"It got {words}."), module(other)):
                raise WrongAnswer(f"{words} must give the same numbers: a layer acts on the last axis alone.")
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        if not same(result_of(yours, x[order]), module(x)[order]):
            raise WrongAnswer("vectors in another order must give the same outputs in that order.")
        if not same(result_of(yours, 100 * x), module(100 * x)):
            raise WrongAnswer("with large inputs the values differ: nothing is clamped or normalised in an MLP.")


# --- 3: take the bend away ---

# (embedding_dim, mlp_dim): different widths, then the same, where a product in the wrong order keeps every shape.
_BLOCKS = ((5, 9), (6, 6))

_BIAS_MISTAKES: dict[str, Callable[[MLPBlock], Tensor]] = {
    "There is no bias: two of them have to be put together.": lambda b: torch.zeros_like(b.lin2.bias),
    "The bias is that of lin2 alone: lin1's goes through lin2's weights and is added.": lambda b: b.lin2.bias,
    "The bias of lin2 is missing.": lambda b: b.lin2.weight @ b.lin1.bias,
    "The biases were added as they are: lin1's has to go through lin2's weights first.": lambda b: (
        b.lin1.bias + b.lin2.bias
    ),
    "The bias of lin1 alone: it has to go through lin2's weights, and lin2's is added.": lambda b: b.lin1.bias,
    "A ReLU is left in the bias: take away every bend.": lambda b: (
        b.lin2.weight @ torch.relu(b.lin1.bias) + b.lin2.bias
    ),
}
_WEIGHT_MISTAKES: dict[str, Callable[[MLPBlock], Tensor]] = {
    "The weights are multiplied in the wrong order: lin1 acts first, so it stands on the right.": lambda b: (
        b.lin1.weight @ b.lin2.weight
    ),
    "The product is turned on its side: a weight matrix is (out, in).": lambda b: (b.lin2.weight @ b.lin1.weight).T,
    "A ReLU is left in the weights: take away every bend.": lambda b: b.lin2.weight @ torch.relu(b.lin1.weight),
    "These are the weights of lin1 alone.": lambda b: b.lin1.weight,
    "These are the weights of lin2 alone.": lambda b: b.lin2.weight,
    "The weights were added; one layer after the other is a product.": lambda b: b.lin1.weight + b.lin2.weight,
}


def _judge_straight(answer: Any) -> None:
    answers = []
    for sizes in _BLOCKS:  # kinds and shapes first, of both
        block = with_random_weights(partial(MLPBlock, *sizes, nn.ReLU), sum(sizes))
        before = copy.deepcopy(block.state_dict())
        with torch.random.fork_rng(devices=[]):
            came = result_of(answer, block, hint="Print the shapes of both weights: each is (out, in).")
        _check_line(came, block, sizes)
        if any(not torch.equal(before[key], value) for key, value in block.state_dict().items()):
            raise WrongAnswer("the block was written into: leave it as it was, and return a new layer.")
        answers.append((block, came))
    for block, line in answers:
        _check_matrices(block, line)
    block, line = answers[0]
    x = 3 * random(0, 4, _BLOCKS[0][0])
    with torch.no_grad():
        if not same(line(x), block.lin2(block.lin1(x))):
            raise WrongAnswer("the layer must give what lin2(lin1(x)) gives, for every x.")
        if not same(line(2 * x) - line(x), line(x) - line(0 * x)):
            raise WrongAnswer("twice as far must change the output by twice as much: that is what straight means.")


def _check_line(came: Any, block: MLPBlock, sizes: tuple[int, int]) -> None:
    """One linear layer, as wide as the block on both sides."""
    if isinstance(came, Tensor):
        raise WrongAnswer("expected a layer, got a tensor: make an nn.Linear, and give it weight and bias.")
    if isinstance(came, MLPBlock | MLP):
        raise WrongAnswer("this is still an MLP, with its bend: one nn.Linear is enough.")
    if isinstance(came, nn.Sequential):
        raise WrongAnswer("these are still several layers: multiply them out into one nn.Linear.")
    if not isinstance(came, nn.Linear):
        raise WrongAnswer(f"expected an nn.Linear, got {type(came).__name__}.")
    dim, inner = sizes
    if came is block.lin1 or came is block.lin2:
        raise WrongAnswer("this is one of the block's own layers: make a new one from both.")
    if tuple(came.weight.shape) != (dim, dim):
        hint = (
            "The order: lin1 acts first, so it stands on the right." if tuple(came.weight.shape) == (inner,) * 2 else ""
        )
        told = (
            f"weight: expected shape {(dim, dim)}, as wide as the block on both sides, got {tuple(came.weight.shape)}."
        )
        raise WrongAnswer(f"{told} {hint}".strip())
    if came.bias is None:
        raise WrongAnswer("There is no bias: two of them have to be put together.")
    if tuple(came.bias.shape) != (dim,):
        raise WrongAnswer(f"bias: expected shape {(dim,)}, got {tuple(came.bias.shape)}.")


def _check_matrices(block: MLPBlock, line: nn.Linear) -> None:
    with torch.no_grad():
        weight = block.lin2.weight @ block.lin1.weight
        bias = block.lin2.weight @ block.lin1.bias + block.lin2.bias
        check_values("weight", line.weight, weight, _looks(_WEIGHT_MISTAKES, block))
        check_values("bias", line.bias, bias, _looks(_BIAS_MISTAKES, block))


def _looks(mistakes: Mapping[str, Callable[[MLPBlock], Tensor]], block: MLPBlock) -> Callable[[Any], str]:
    otherwise = "It is none of the usual mistakes. Write lin2(lin1(x)) out, multiply, and see what stands at x."
    return recogniser({hint: hint for hint in mistakes}, lambda hint: mistakes[hint](block), otherwise)


self_test = Exercise("01.0 self-test", _judge_self_test, SELF_TEST)
shapes = Exercise("01.1 predict shape and number", _judge_shapes, SHAPES)
mlp = Exercise("01.2 write MLP", _judge_mlp, Solution)
straight = Exercise("01.3 take the bend away", _judge_straight, _straight)
