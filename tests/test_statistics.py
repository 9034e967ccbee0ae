"""Statistics: what is switched off, what is read from the file, when it is refused, and the arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import sam_edu
from sam_edu import statistics
from sam_edu.sam import load
from sam_edu.statistics import (
    ATTENTIONS,
    FIRST_SCENE,
    HEADS,
    SWITCHES,
    TEST_STREAM,
    Change,
    Prompt,
    Statistics,
    Switch,
    both_scores,
    prompts_of,
    recompute,
    switched_off,
)
from sam_edu.training import evaluate

NAME = "transformer.final_attn_token_to_image head 3 zero"
RNG = np.random.default_rng(0)
PROMPTS = [Prompt(FIRST_SCENE + i // 2, i % 2, i % 2, 10 + i, 20, 300) for i in range(40)]


def made_up(**other: object) -> dict[str, object]:
    """A file's arrays, with random numbers."""
    data: dict[str, object] = {
        "weights": "0" * 64,
        "definitions": json.dumps({name: switch.definition for name, switch in SWITCHES.items()}),
        "prompts": np.array(PROMPTS),
        "scores": RNG.uniform(size=(1 + len(SWITCHES), len(PROMPTS), 2)).astype(np.float16),
        "entropy": RNG.uniform(size=(len(PROMPTS), 7, 8)),
        "distance": RNG.uniform(size=(len(PROMPTS), 3, 9)),
        "share": RNG.uniform(size=(len(PROMPTS), 3, 9)),
    }
    return data | other


def test_the_list_holds_what_it_promises() -> None:
    for attention in ATTENTIONS:
        assert f"{attention} off" in SWITCHES
        for how in ("zero", "mean"):
            assert f"{attention} all heads {how}" in SWITCHES
            assert all(f"{attention} head {head} {how}" in SWITCHES for head in range(HEADS))
    for block in ("transformer.layers.0", "transformer.layers.1"):
        assert {f"{block} off", f"{block}.mlp off", f"{block}.mlp half of the units zero"} < set(SWITCHES)
    definitions = [switch.definition for name, switch in SWITCHES.items() if not callable(switch.changes)]
    assert len(set(definitions)) == len(definitions)


def test_attentions_are_those_of_the_decoder() -> None:
    found = [n for n, m in sam_edu.sam.build_mask_decoder().named_modules() if isinstance(m, sam_edu.Attention)]
    assert sorted(found) == sorted(ATTENTIONS)
    assert [name for name in ATTENTIONS if "token_to_image" in name] == list(statistics.TOKEN_TO_IMAGE)


def test_a_tenth_of_the_units_is_part_of_the_half() -> None:
    chosen = {}
    for name in ("a tenth", "half", "all"):
        [change] = SWITCHES[f"transformer.layers.0.mlp {name} of the units zero"].changes  # type: ignore[misc]
        chosen[name] = set(change.select["mlp_dim"])
    assert [len(units) for units in chosen.values()] == [205, 1024, 2048]
    assert chosen["a tenth"] < chosen["half"] < chosen["all"]


def test_prompts_are_held_out_and_lie_on_their_masks() -> None:
    assert evaluate.TEST_STREAM == TEST_STREAM
    assert FIRST_SCENE >= 1000  # behind the test scenes that give the published scores
    image, masks, prompts = prompts_of(FIRST_SCENE + 1)
    assert image.shape == (256, 256, 3)
    assert prompts
    assert [prompt.level for prompt in prompts] == sorted({prompt.level for prompt in prompts})
    for prompt in prompts:
        assert masks[prompt.mask, prompt.y, prompt.x]
        assert masks[prompt.mask].sum() == prompt.area
    assert prompts_of(FIRST_SCENE + 1)[2] == prompts


def test_effect_is_the_mean_difference_with_an_interval() -> None:
    stats = Statistics(made_up())
    for measure in ("best", "picked"):
        change = stats.scores(NAME, measure) - stats.baseline(measure)
        effect = stats.effect(NAME, measure)
        assert effect.mean == pytest.approx(change.mean())
        assert effect.low < effect.mean < effect.high
        assert effect.prompts == len(PROMPTS) == 40
    assert stats.effect(NAME) == Statistics(made_up(scores=stats._scores)).effect(NAME)


def test_interval_draws_scenes_and_not_clicks() -> None:
    """Two clicks of a scene that always agree tell no more than one."""
    once = RNG.normal(size=20)
    scores = np.zeros((1 + len(SWITCHES), 40, 2))
    scores[1 + list(SWITCHES).index(NAME), :, 0] = np.repeat(once, 2)
    low, high = Statistics(made_up(scores=scores)).effect(NAME)[1:3]
    assert high - low == pytest.approx(2 * 1.96 * once.std() / np.sqrt(20), rel=0.15)


def test_no_change_has_no_effect() -> None:
    stats = Statistics(made_up(scores=np.full((1 + len(SWITCHES), 40, 2), 0.5)))
    assert stats.effect(NAME) == (0.0, 0.0, 0.0, 40)
    assert not stats.effect(NAME).clear
    assert statistics.Effect(-0.2, -0.3, -0.1, 40).clear


def test_looks_are_found_by_the_attentions_names() -> None:
    data = made_up()
    stats = Statistics(data)
    last = ATTENTIONS[-1]
    np.testing.assert_array_equal(stats.entropy(last), np.asarray(data["entropy"])[:, 6])
    np.testing.assert_array_equal(stats.distance(last), np.asarray(data["distance"])[:, 2])
    np.testing.assert_array_equal(stats.share(last), np.asarray(data["share"])[:, 2])


@pytest.mark.no_shape_check
def test_wrong_names_are_refused() -> None:
    stats = Statistics(made_up())
    with pytest.raises(KeyError, match=r"no switch of that name; there is transformer\.final"):
        stats.effect("transformer.final_attn_token_to_image head 3")
    with pytest.raises(ValueError, match="expected one of best, picked, got 'worst'"):
        stats.effect(NAME, "worst")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected one of .*token_to_image, got .*self_attn"):
        stats.distance("transformer.layers.0.self_attn")
    with pytest.raises(ValueError, match=r"values: expected 40, one per click, got shape \(3,\)"):
        stats.interval(np.zeros(3))
    with pytest.raises(KeyError, match="no switch of that name"), switched_off(load(), "nothing"):
        pass


def test_what_has_changed_since_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = Statistics(made_up())
    new = Switch("something else", (Change("tokens", "zero", {"tokens": 5}),))
    monkeypatch.setitem(SWITCHES, NAME, new)
    with pytest.raises(ValueError, match="has changed since: measure it with python -m"):
        stats.effect(NAME)
    monkeypatch.setitem(SWITCHES, "new", new)
    with pytest.raises(ValueError, match="'new' was not measured"):
        stats.effect("new")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"is missing; python -m tools\.make_statistics makes it"):
        statistics.load(tmp_path / "none.npz")


def test_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    path, weights = tmp_path / "statistics.npz", tmp_path / "weights"
    weights.write_bytes(b"weights")
    np.savez(path, **made_up(weights=statistics.sha256(weights)))  # type: ignore[arg-type]
    stats = statistics.load(path, weights=weights)
    assert stats.prompts == tuple(PROMPTS)
    assert repr(stats) == f"<Statistics: {len(SWITCHES)} switches, 40 clicks on 20 held-out scenes>"
    with pytest.raises(ValueError, match=r"measured on other weights .* python -m tools\.make_statistics measures"):
        statistics.load(path)


def test_stored_file_belongs_to_the_weights_and_to_the_list() -> None:
    stats = statistics.load()
    assert set(SWITCHES) <= set(stats.names)
    for name in SWITCHES:
        assert stats.scores(name).shape == (len(stats.prompts),)
    assert statistics.stored_at().stat().st_size < 1_000_000
    assert stats.prompts[0] in prompts_of(stats.prompts[0].scene)[2]


def test_scores_of_known_masks() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    logits = torch.full((3, 4, 4), -1.0)
    logits[0, :1] = 1.0  # half of it
    logits[1, :3] = 1.0  # too much
    assert both_scores(logits, torch.tensor([0.9, 0.2, 0.1]), mask) == (pytest.approx(2 / 3), 0.5)
    assert both_scores(-torch.ones(3, 4, 4), torch.zeros(3), mask) == (0.0, 0.0)


def test_switching_off_is_intervening() -> None:
    model, example = load(), sam_edu.example()
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    with switched_off(predictor, NAME):
        switched = predictor.predict(example.click, [1], return_logits=True)[0]
    with sam_edu.intervene(model, "transformer.final_attn_token_to_image.heads", "zero", heads=3):
        by_hand = predictor.predict(example.click, [1], return_logits=True)[0]
    np.testing.assert_array_equal(switched, by_hand)
    assert not np.array_equal(predictor.predict(example.click, [1], return_logits=True)[0], by_hand)


def test_recomputing_a_click_that_is_not_held_out_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the held-out clicks"):
        recompute(load(), NAME, [Prompt(FIRST_SCENE + 1, 0, 0, 0, 0, 1)])
