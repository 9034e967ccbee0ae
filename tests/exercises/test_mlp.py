"""The exercises of notebook 01: the usual mistakes by name, and others."""

from functools import partial

import pytest
import torch
from exercise_cases import refusal, with_entry, with_method
from torch import nn

from sam_edu import MLP, MLPBlock
from sam_edu.exercises import WrongAnswer, mlp
from sam_edu.exercises.mlp import _BIAS_MISTAKES, _MISTAKES, _WEIGHT_MISTAKES, _true_row, _true_self_test, _variant
from sam_edu.exercises.solutions import mlp as solutions

with_forward = partial(with_method, MLP)


# --- 0: the self-test ---


def test_answers_of_the_self_test_are_computed():
    assert _true_self_test() == solutions.SELF_TEST


@pytest.mark.parametrize(
    ("key", "entry", "hint"),
    [
        ("a", (7, 256), r"the result of \[0\]"),
        ("a", (2, 1, 256), "removes its axis"),
        ("b", (2, 8, 256), "never added"),
        ("b", (7, 256), "as many axes"),
        ("c", (8, 16, 16), "rows of the left matrix"),
        ("c", (7, 5), "a batch"),
        ("d", [3, 7], "dim=1"),
        ("d", 10, "sums everything"),
        ("e", [4, 0, -3], "a dot product sums them"),
        ("e", 7, "The sign is wrong"),
        ("f", 9, "the value of"),
        ("f", 3.0, "That is x"),
        ("g", 6, "a bias per output too"),
        ("g", 9, "not per input"),
        ("h", 0.2, "counts the common pixels twice"),
        ("h", 0.5, "not by the smaller"),
        ("h", 8, "That is the union"),
        ("c", (8, 7, 6), "the last two axes"),  # not listed
        ("f", 5.9, "how fast the result changes"),
        ("e", False, "multiply number by number"),
        ("a", "2, 256", "a colon keeps it"),
    ],
)
def test_wrong_answer_of_the_self_test_gets_its_hint(key, entry, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mlp.self_test({**solutions.SELF_TEST, key: entry})


def test_part_of_the_self_test_and_other_containers(capsys):
    with pytest.raises(WrongAnswer, match="right so far; still empty: c, d, e, f, g, h"):
        mlp.self_test({"a": torch.Size([2, 256]), "b": [2, 7, 256]})
    mlp.self_test({**solutions.SELF_TEST, "d": torch.tensor([4, 6]), "f": 6.0, "h": torch.tensor(0.25)})
    assert "passed" in capsys.readouterr().out


# --- 1: predict shape and number ---


def test_solution_is_what_the_verified_modules_give():
    assert {case: _true_row(case) for case in "abcde"} == solutions.SHAPES


@pytest.mark.parametrize(
    ("case", "name", "entry", "hint"),
    [
        ("a", "input", (7, 256), "An axis is missing"),
        ("a", "input", (1, 6, 256), "one for padding"),
        ("a", "hidden", (1, 7, 256), "MLPBlock widens"),
        ("a", "output", (1, 7, 2048), "added to the input"),
        ("a", "parameters", 2 * 256 * 2048, "only the weights"),
        ("a", "parameters", 7 * 1_050_880, "does not grow"),
        ("b", "input", (2, 7, 256), "one for padding"),
        ("b", "input", (1, 8, 256), "How many prompt sets"),
        ("b", "parameters", 2 * 1_050_880, "does not grow"),
        ("b", "parameters", 16 * 1_050_880, "does not grow"),
        ("c", "input", (3, 7, 256), "one token per prompt set"),
        ("c", "input", (4, 256), "How many prompt sets"),
        ("c", "hidden", (3, 2048), "2048 belongs to step"),
        ("c", "output", (3, 256), "an eighth of 256"),
        ("c", "parameters", 559_232, "all four MLPs"),
        ("d", "output", (3, 1), "one score for each"),
        ("d", "parameters", 132_612 - 4 - 512, "only the weights"),
        ("e", "input", (10, 32), "The first argument"),
        ("e", "hidden", (10, 64), "the second argument"),
        ("e", "output", (10, 4), "The third argument"),
        ("e", "output", (5,), "Ten vectors have two axes"),
        ("e", "parameters", 4_357 + 1_056, "the last one included"),
        ("e", "parameters", 4_357 - 1_056, "the last one included"),
        ("e", "parameters", 4_256 + 64 + 3 * 32, "not one per input"),
        ("e", "parameters", 5000, "Layer by layer"),  # two that are not listed
        ("c", "hidden", (3, 8), "The hidden width is"),
        ("e", "parameters", 4357.5, "expected a whole number"),
        ("a", "input", (1, 7, 255), "How wide is a token"),
        ("a", "hidden", (1, 7, 100), "The hidden width is the second argument"),
        ("e", "hidden", (10, 256), "The hidden width is the second argument"),
        ("e", "input", (9, 64), "The input is ten vectors"),
        ("a", "output", (1, 7, 256, 1), "keeps all others"),
        ("c", "parameters", 3, "Layer by layer"),
        ("d", "parameters", 4 * (2 * (256 * 256 + 256) + 256 * 4 + 4), "Layer by layer"),
        ("a", "parameters", 2 * 256 * 2048 + 2048 + 256 + 2048 * 2048 + 2048, "Layer by layer"),
        ("a", "input", "1, 7, 256", "expected a tuple"),
        ("a", "input", ..., "still empty: input in a"),
    ],
)
def test_wrong_entry_fails_with_its_hint(case, name, entry, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mlp.shapes(with_entry(solutions.SHAPES, case, name, entry))


# --- 2: write MLP ---


@pytest.mark.parametrize("mistake", _MISTAKES)
def test_usual_mistake_is_recognised(mistake):
    message = str(refusal(mlp.mlp, with_forward(lambda self, x: _variant(self, x, mistake))))
    hint = _MISTAKES[mistake]
    if mistake == "last layer forgotten":  # the widths show it first
        hint = "was the last layer applied?"
    if mistake in ("residual", "first hidden layer again"):  # these do not run where widths differ
        assert "it fails with RuntimeError" in message or hint in message
        return
    assert hint in message


def residual_where_it_fits(self, x):
    output = MLP.forward(self, x)
    return output + x if output.shape == x.shape else output


def repeat_where_it_fits(self, x):
    fits = self.layers[0].weight.shape == self.layers[1].weight.shape if self.num_layers > 1 else False
    return _variant(self, x, "first hidden layer again") if fits else MLP.forward(self, x)


def shuffles(self, x):
    return MLP.forward(self, x.flip(0)) if x.shape[:1] == (6,) and x.shape[-1] == 5 else MLP.forward(self, x)


def centred(self, x):
    return MLP.forward(self, x - x.mean(0, keepdim=True)) if x.ndim == 2 else MLP.forward(self, x)


def clamped(self, x):
    return MLP.forward(self, x.clamp(-50, 50))


def only_batches(self, x):
    batch, _ = x.shape
    return MLP.forward(self, x).reshape(batch, -1)


def changes_its_input(self, x):
    output = MLP.forward(self, x)
    x *= 0
    return output


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (residual_where_it_fits, "The input was added"),
        (repeat_where_it_fits, "applied several times"),
        (shuffles, "none of the usual mistakes"),
        (centred, "none of the usual mistakes"),
        (clamped, "clamps and normalises nothing"),
        (only_batches, "a single vector"),
        (changes_its_input, "changed in place"),
        (lambda self, x: MLP.forward(self, x) + 0.1, "none of the usual mistakes"),
        (lambda self, x: 2 * MLP.forward(self, x), "none of the usual mistakes"),
        (lambda self, x: MLP.forward(self, x) * float("nan"), "not finite"),
        (lambda self, x: 3, "expected a tensor"),
        (lambda self, x: self.layers[1](x), "it fails with"),
        (lambda self, x: None, "forward returns nothing yet"),
    ],
)
def test_unlisted_mistake_fails(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mlp.mlp(with_forward(function))


class Hidden(solutions.Solution):
    """The layers in a plain list."""

    def __init__(self, *sizes, **more):
        super().__init__(*sizes, **more)
        layers = list(self.layers)
        del self.layers
        self.layers = layers


class HiddenAndBroken(Hidden):
    def forward(self, x):
        return self.layers[9](x)


class Renamed(solutions.Solution):
    def __init__(self, *sizes, **more):
        super().__init__(*sizes, **more)
        self.stack = self.layers
        del self.layers


class OneMore(solutions.Solution):
    def __init__(self, input_dim, hidden_dim, output_dim, num_layers, sigmoid_output=False):
        super().__init__(input_dim, hidden_dim, output_dim, num_layers + 1, sigmoid_output)


class Exchanged(solutions.Solution):
    def __init__(self, input_dim, hidden_dim, output_dim, num_layers, sigmoid_output=False):
        super().__init__(input_dim, output_dim, hidden_dim, num_layers, sigmoid_output)


class NoLayers(nn.Module):
    def __init__(self, *sizes, **more):
        super().__init__()

    def forward(self, x):
        return self.layers[0](x)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (Hidden, "does not look into a plain list"),
        (Renamed, "Call the nn.ModuleList self.layers"),
        (OneMore, "has 3 linear layers, yours has 4"),
        (Exchanged, "The widths are input_dim"),
        (NoLayers, "there is no self.layers"),
        (HiddenAndBroken, "does not look into a plain list"),
        (lambda: 3, "It is called like this"),
        (lambda *sizes, **more: 3, "expected an nn.Module"),
        (MLP(2, 2, 2, 2), "expected your class, not yet called"),
    ],
)
def test_wrong_layers_are_named(answer, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mlp.mlp(answer)


# --- 3: remove the activation ---


def with_parameters(weight, bias):
    def answer(block):
        layer = nn.Linear(1, 1)
        layer.weight, layer.bias = nn.Parameter(weight(block).detach()), nn.Parameter(bias(block).detach())
        return layer

    return answer


def right_weight(block):
    return block.lin2.weight @ block.lin1.weight


def right_bias(block):
    return block.lin2.weight @ block.lin1.bias + block.lin2.bias


@pytest.mark.parametrize("hint", _BIAS_MISTAKES)
def test_usual_mistake_in_the_bias_is_recognised(hint):
    def bias(block):  # right where the mistake does not fit the widths
        try:
            result = _BIAS_MISTAKES[hint](block)
        except RuntimeError:
            return right_bias(block)
        return result if result.shape == block.lin2.bias.shape else right_bias(block)

    assert hint in str(refusal(mlp.without_activation, with_parameters(right_weight, bias)))


@pytest.mark.parametrize("hint", _WEIGHT_MISTAKES)
def test_usual_mistake_in_the_weights_is_recognised(hint):
    def weight(block):
        try:
            result = _WEIGHT_MISTAKES[hint](block)
        except RuntimeError:
            return right_weight(block)
        return result if result.shape == right_weight(block).shape else right_weight(block)

    assert hint in str(refusal(mlp.without_activation, with_parameters(weight, right_bias)))


def changes_the_block(block):
    layer = solutions.without_activation(block)
    block.lin1.weight.data *= 2
    return layer


def without_bias(block):
    layer = nn.Linear(block.lin1.in_features, block.lin1.in_features, bias=False)
    layer.weight.data = right_weight(block).detach()
    return layer


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (lambda block: block, "still an MLP"),
        (lambda block: block.lin1, "one of the block's own layers"),
        (lambda block: nn.Sequential(block.lin1, block.lin2), "still several layers"),
        (right_weight, "got a tensor"),
        (lambda block: 3, "expected an nn.Linear, got int"),
        (with_parameters(lambda block: block.lin1.weight @ block.lin2.weight, right_bias), "it is on the right"),
        (with_parameters(right_weight, lambda block: block.lin1.bias), "bias: expected shape"),
        (without_bias, "There is no bias"),
        (changes_the_block, "changed in place"),
        (with_parameters(lambda block: 2 * right_weight(block), right_bias), "none of the usual mistakes"),
        (with_parameters(right_weight, lambda block: right_bias(block) + 1), "none of the usual mistakes"),
        (lambda block: block.lin1.weight @ block.lin1.weight, "it fails with RuntimeError"),
        (3, "expected your function"),
    ],
)
def test_wrong_layer_fails_with_its_hint(function, hint):
    with pytest.raises(WrongAnswer, match=hint):
        mlp.without_activation(function)


def test_a_layer_of_another_width_gets_no_hint():
    message = str(refusal(mlp.without_activation, lambda block: nn.Linear(7, 7)))
    assert message.endswith("with the block's input and output widths, got (7, 7).")


def test_a_module_that_runs_without_layers_is_not_attempted(capsys):
    mlp.mlp(type("Stub", (NoLayers,), {"forward": lambda self, x: x}))
    assert "not attempted" in capsys.readouterr().out


def test_the_solution_is_the_block_without_relu():
    block = MLPBlock(6, 11, nn.Identity)
    x = torch.randn(3, 6)
    torch.testing.assert_close(solutions.without_activation(block)(x), block(x))
