"""Step (5) with other layers: each way against plain modules, and with constants whose answer is known."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam_edu.ablation.grid_parts import split, stamps
from sam_edu.ablation.upscaling_ways import (
    PAINTING,
    UPSCALING_WAYS,
    Activation,
    UpscalingMeans,
    logits_by_way,
    parabola,
)
from sam_edu.modules import OutputUpscaling

DIM, ONCE, FEATURES = 32, 8, 4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def layers() -> nn.Sequential:
    module = OutputUpscaling(DIM).requires_grad_(False)
    for i, parameter in enumerate(module.parameters()):
        parameter.copy_(drawn(*parameter.shape, seed=i))
    return module[:5]  # type: ignore[return-value]


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return drawn(1, DIM, 3, 5, seed=10)


WEIGHTS = drawn(FEATURES, seed=11)


def usual(channels: int, seed: int) -> Activation:
    return Activation(*(drawn(channels, seed=seed + i) for i in range(3)))


MEANS = UpscalingMeans(usual(ONCE, 20), usual(FEATURES, 30), 0.3, 1.7, drawn(FEATURES, 4, 4, seed=40))


def product(features: Tensor) -> Tensor:
    return torch.einsum("c,chw->hw", WEIGHTS, features[0])


def with_layer(layers: nn.Sequential, index: int, layer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        for i, one in enumerate(layers):
            x = layer(x) if i == index else one(x)
        return product(x)

    return run


def line(usual: Activation) -> Callable[[Tensor], Tensor]:
    return lambda x: x * usual.slope[:, None, None] + usual.intercept[:, None, None]


def restored(usual: Activation) -> Callable[[Tensor], Tensor]:
    return lambda x: F.relu(x) + usual.lost[:, None, None]


def group_norm(layers: nn.Sequential) -> nn.Module:
    group = nn.GroupNorm(1, ONCE, eps=1e-6).requires_grad_(False)
    group.load_state_dict(layers[1].state_dict())
    return group


def constant_statistics(layers: nn.Sequential) -> Callable[[Tensor], Tensor]:
    scale, shift = (parameter[:, None, None] for parameter in layers[1].parameters())
    return lambda x: (x - 0.3) / (1.7 + 1e-6) ** 0.5 * scale + shift


EXCHANGED: dict[str, tuple[int, Callable[[nn.Sequential], Callable[[Tensor], Tensor]]]] = {
    "no last GELU": (4, lambda _: nn.Identity()),
    "last GELU affine": (4, lambda _: line(MEANS.last)),
    "last GELU a parabola": (4, lambda _: lambda x: 0.5 * x + 0.3989422804 * x**2),
    "last GELU a ReLU": (4, lambda _: nn.ReLU()),
    "last GELU a ReLU, mean restored": (4, lambda _: restored(MEANS.last)),
    "no first GELU": (2, lambda _: nn.Identity()),
    "first GELU affine": (2, lambda _: line(MEANS.first)),
    "first GELU a parabola": (2, lambda _: lambda x: 0.5 * x + 0.3989422804 * x**2),
    "first GELU a ReLU": (2, lambda _: nn.ReLU()),
    "first GELU a ReLU, mean restored": (2, lambda _: restored(MEANS.first)),
    "no norm": (1, lambda _: nn.Identity()),
    "norm with constant statistics": (1, constant_statistics),
    "GroupNorm": (1, group_norm),
}


def test_every_way_is_measured_and_each_differs(layers: nn.Sequential, tokens: Tensor) -> None:
    ways = logits_by_way(layers, tokens, WEIGHTS, MEANS)
    assert list(ways) == ["as it is", *UPSCALING_WAYS]
    torch.testing.assert_close(ways["as it is"], product(layers(tokens)))
    for i, (name, logits) in enumerate(ways.items()):
        assert logits.shape == (12, 20)
        for other in list(ways)[:i]:
            assert (logits - ways[other]).abs().max() > 1e-4, (name, other)


@pytest.mark.parametrize("name", EXCHANGED)
def test_a_layer_is_exchanged(name: str, layers: nn.Sequential, tokens: Tensor) -> None:
    index, layer = EXCHANGED[name]
    expected = with_layer(layers, index, layer(layers))(tokens)
    torch.testing.assert_close(logits_by_way(layers, tokens, WEIGHTS, MEANS)[name], expected, atol=1e-4, rtol=1e-4)


def test_both_gelus_get_the_tanh_form(layers: nn.Sequential, tokens: Tensor) -> None:
    both = nn.Sequential(*layers)
    both[2], both[4] = nn.GELU("tanh"), nn.GELU("tanh")
    ways = logits_by_way(layers, tokens, WEIGHTS, MEANS)
    torch.testing.assert_close(ways["both GELUs' tanh form"], product(both(tokens)))


def test_constants_that_change_nothing_change_nothing(layers: nn.Sequential, tokens: Tensor) -> None:
    """A straight line that is the identity, and a mean of which nothing is lost."""
    same = Activation(torch.ones(FEATURES), torch.zeros(FEATURES), torch.zeros(FEATURES))
    ways = logits_by_way(layers, tokens, WEIGHTS, replace(MEANS, last=same))
    torch.testing.assert_close(ways["last GELU affine"], ways["no last GELU"])
    torch.testing.assert_close(ways["last GELU a ReLU, mean restored"], ways["last GELU a ReLU"])


def test_painting_is_that_of_the_features(layers: nn.Sequential, tokens: Tensor) -> None:
    features = layers(tokens)
    between, _, drawing = split(features[0])

    def enlarged(side: int, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side).repeat_interleave(side, -1).repeat_interleave(side, -2)

    wider = F.pad(features, (2, 2, 2, 2), mode="replicate")
    expected = {
        "no pattern": (between + drawing)[None],
        "pattern of other scenes": (between + drawing + MEANS.stamps.repeat(1, 3, 5))[None],
        "squares flat": enlarged(4, features),
        "squares moved by 2, flat": enlarged(4, wider)[..., 2:-2, 2:-2],
        "squares of 2 flat": enlarged(2, features),
        "squares joined": F.interpolate(F.avg_pool2d(features, 4), scale_factor=4, mode="bilinear"),
    }
    assert tuple(expected) == PAINTING
    ways = logits_by_way(layers, tokens, WEIGHTS, MEANS)
    for name, painted in expected.items():
        torch.testing.assert_close(ways[name], product(painted), atol=1e-4, rtol=1e-4)


def test_its_own_pattern_put_back_changes_nothing(layers: nn.Sequential, tokens: Tensor) -> None:
    own = stamps(layers(tokens)[0])
    ways = logits_by_way(layers, tokens, WEIGHTS, replace(MEANS, stamps=own))
    torch.testing.assert_close(ways["pattern of other scenes"], ways["as it is"], atol=1e-4, rtol=1e-4)


def test_the_parabola_is_gelu_near_zero_and_not_far_from_it() -> None:
    x = torch.linspace(-0.75, 0.75, 101)
    assert (parabola(x) - F.gelu(x)).abs().max() < 0.025
    assert float(parabola(torch.tensor(-3.0)) - F.gelu(torch.tensor(-3.0))) > 2
    even = F.gelu(x) - x / 2
    torch.testing.assert_close(even, even.flip(0))
