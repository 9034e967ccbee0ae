"""Settings: their defaults, what is refused, and the schedules that follow from them."""

import math
from dataclasses import asdict
from typing import Any

import pytest

from sam_edu.training.settings import PARTS, Settings


def test_settings_are_those_of_the_first_published_run_by_default() -> None:
    assert asdict(Settings(steps=1)) == {
        "steps": 1,
        "hours": None,
        "seed": 0,
        "images": 8,
        "prompt_sets": 8,
        "followed": 3,
        "box_share": 0.4,
        "learning_rate": 5e-4,
        "weight_decay": 0.05,
        "iou_weight": 3.0,
        "warm_up": 200,
        "decay_share": 0.5,
        "ema": 0.999,
        "grids": ((0.0, 16), (0.08, 32), (0.8, 64)),
        "balanced_until": 0.15,
        "start": None,
        "precision": "bfloat16",
        "validate_every": 250,
        "validation_scenes": 48,
        "restart_at": None,
        "freeze": (),
        "photographs": None,
        "photograph_share": 0.5,
        "annotated": None,
        "annotated_images": None,
        "annotated_share": 0.5,
    }


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no length": ({"steps": None}, "give steps or hours, one of the two"),
    "two lengths": ({"hours": 1.0}, "give steps or hours, one of the two"),
    "no step": ({"steps": 0}, "steps: expected a whole number from 1 on, got 0"),
    "no time": ({"steps": None, "hours": 0.0}, "hours: expected a number above 0, got 0.0"),
    "no number": ({"steps": None, "hours": math.nan}, "hours: expected a number above 0, got nan"),
    "endless": ({"steps": None, "hours": math.inf}, "hours: expected a number above 0, got inf"),
    "seed": ({"seed": -1}, "seed: expected a whole number from 0 on, got -1"),
    "large seed": (
        {"seed": 2**64},
        "seed: expected a whole number up to 18446744073709551615, got 18446744073709551616",
    ),
    "images": ({"images": 0}, "images: expected a whole number from 1 on, got 0"),
    "prompt sets": ({"prompt_sets": 0}, "prompt_sets: expected a whole number from 1 on, got 0"),
    "followed": ({"followed": 0}, "followed: expected a whole number from 1 on, got 0"),
    "more followed": ({"prompt_sets": 2}, "followed: expected at most the 2 prompt sets of an image, got 3"),
    "box share": ({"box_share": 1.5}, "box_share: expected a share from 0 to 1, got 1.5"),
    "rate": ({"learning_rate": 0.0}, "learning_rate: expected a number above 0, got 0.0"),
    "endless rate": ({"learning_rate": math.inf}, "learning_rate: expected a number above 0, got inf"),
    "weight decay": ({"weight_decay": -0.1}, "weight_decay: expected a number from 0 on, got -0.1"),
    "warm-up": ({"warm_up": -1}, "warm_up: expected a whole number from 0 on, got -1"),
    "decay share": ({"decay_share": -0.5}, "decay_share: expected a share from 0 to 1, got -0.5"),
    "no decay share": ({"decay_share": math.nan}, "decay_share: expected a share from 0 to 1, got nan"),
    "ema": ({"ema": 2.0}, "ema: expected a share from 0 to 1, got 2.0"),
    "restart": ({"restart_at": 1.0}, "restart_at: expected a share of the run between 0 and 1, got 1.0"),
    "grid": ({"grids": ((0.0, 48),)}, r"grids: expected grids of 8, 16, 32, 64, got \[48\]"),
    "no grid": ({"grids": ()}, r"grids: expected grids of 8, 16, 32, 64, got \[\]"),
    "late grid": ({"grids": ((0.1, 16),)}, "grids: expected shares of the run that begin with 0 and rise"),
    "precision": ({"precision": "float8"}, "precision: expected bfloat16 or float32, got 'float8'"),
    "validate": ({"validate_every": 0}, "validate_every: expected a whole number from 1 on, got 0"),
    "scenes": ({"validation_scenes": 0}, "validation_scenes: expected a whole number from 1 on, got 0"),
    "frozen part": ({"freeze": ("encoder",), "start": "tiny"}, "freeze: expected parts of the model, .*; got encoder"),
    "all frozen": ({"freeze": PARTS, "start": "tiny"}, "freeze: all three parts .* nothing is left to train"),
    "frozen at random": ({"freeze": ("image_encoder",)}, "freeze: image_encoder would stay at random values"),
    "photographs": ({"photograph_share": 2.0}, "photograph_share: expected a share from 0 to 1, got 2.0"),
    "annotated": ({"annotated_share": -1.0}, "annotated_share: expected a share from 0 to 1, got -1.0"),
    "images of no file": ({"annotated_images": "x"}, "annotated_images: x is the folder .*; give that file too"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_run_cannot_have_is_refused(name: str) -> None:
    given, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        Settings(**({"steps": 1} | given))


def test_learning_rate_warms_up_stays_level_and_decays() -> None:
    settings = Settings(steps=1000, learning_rate=1.0, warm_up=10, decay_share=0.4)
    assert [settings.rate(step, 0.0) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert settings.rate(600, 0.6) == pytest.approx(1.0)
    assert settings.rate(800, 0.8) == pytest.approx(0.5)
    assert settings.rate(999, 0.9999) == pytest.approx(0.01)
    rates = [settings.rate(step, step / 1000) for step in range(600, 1000)]
    assert rates == sorted(rates, reverse=True)
    assert [settings.is_level(fraction) for fraction in (0.0, 0.59, 0.61, 1.0)] == [True, True, False, False]


def test_without_warm_up_and_decay_the_rate_is_level() -> None:
    settings = Settings(steps=10, learning_rate=1.0, warm_up=0, decay_share=0.0)
    assert {settings.rate(step, step / 10) for step in range(11)} == {1.0}


def test_a_restart_counts_anew_and_the_rate_is_level_before_it() -> None:
    settings = Settings(steps=100, learning_rate=1.0, warm_up=10, decay_share=0.8, restart_at=0.4)
    assert [settings.within(fraction) for fraction in (0.2, 0.4, 0.7, 1.0)] == pytest.approx([0.2, 0, 0.5, 1])
    assert settings.rate(39, 0.39) == 1.0
    assert settings.rate(0, 0.4) == 0.1
    assert settings.rate(30, 0.7) == pytest.approx(0.5 / 0.8)
    assert [settings.is_level(fraction) for fraction in (0.39, 0.4, 0.51, 0.53)] == [True, True, True, False]
    balanced = Settings(steps=100, balanced_until=0.8, restart_at=0.4)
    assert [balanced.balanced(fraction) for fraction in (0.2, 0.4, 0.6)] == pytest.approx([0.75, 0, 0])


def test_grid_follows_the_fraction() -> None:
    settings = Settings(steps=1, grids=((0.0, 16), (0.1, 32), (0.9, 64)))
    assert [settings.grid(fraction) for fraction in (0.0, 0.09, 0.1, 0.89, 0.9, 1.0)] == [16, 16, 32, 32, 64, 64]
    assert Settings(steps=1).grid(0.99) == 64  # the official one at the end
    one = Settings(steps=1, grids=((0.0, 64),), start="w")
    assert [one.grid(fraction) for fraction in (0.0, 0.5, 1.0)] == [64, 64, 64]
