"""Every sentence about the trained model has a predicate that holds, and that fails on other numbers."""

import re

import numpy as np
import pytest
from claims import Claim, Evidence, all_claims, current_evidence, flips
from claims.evidence import NUMBER, stored
from notebook_cells import FOLDER

TAG = "about-weights"
NUMBERS = sorted(path.stem[:2] for path in FOLDER.glob("[0-9]*.ipynb"))
CLAIMS = all_claims()
CASES = pytest.mark.parametrize("claim", CLAIMS, ids=str)


def tagged(number: str) -> set[str]:
    """The ids of a notebook's cells that have the tag."""
    return {name for name, cell in stored(number).cells.items() if TAG in cell["metadata"].get("tags", [])}


def survived(claim: Claim) -> bool:
    """Whether a claim holds however its evidence is changed."""
    with np.errstate(all="ignore"):
        return all(claim.holds(changed) for _, changed in flips())


# --- Cells and claims ---


@pytest.mark.parametrize("number", NUMBERS)
def test_every_tagged_cell_has_its_claims_and_every_claim_its_tagged_cell(number: str) -> None:
    claimed = {claim.cell for claim in CLAIMS if claim.notebook == number}
    assert sorted(claimed - set(stored(number).cells)) == []
    assert sorted(tagged(number) - claimed) == []
    assert sorted(claimed - tagged(number)) == []
    assert sorted(tagged(number) & set(stored(number).code)) == []


def test_no_file_of_claims_is_without_its_notebook() -> None:
    assert {claim.notebook for claim in CLAIMS} <= set(NUMBERS)


# --- Predicates ---


@CASES
def test_claim_holds(claim: Claim) -> None:
    assert claim.holds(current_evidence())


@CASES
def test_claim_fails_on_other_numbers(claim: Claim) -> None:
    assert not survived(claim)


def test_a_sentence_that_always_holds_is_no_claim() -> None:
    assert survived(
        Claim("04", "four-answer", "an effect is an effect", lambda e: e.effect("step (4) removed").prompts > 0)
    )


def printed_iou(e: Evidence) -> list[float]:
    return e.printed("04", "ways-stats", "as it is: #")


def test_changed_statistics_reverse_every_effect_and_every_order() -> None:
    usual, changed = current_evidence(), dict(flips())
    costly, mild = "step (1) removed", "step (3) removed"
    assert usual.effect(costly).mean < usual.effect(mild).mean < 0
    assert changed["negated"].effect(costly).mean == pytest.approx(-usual.effect(costly).mean)
    assert changed["reversed"].effect(costly).mean > changed["reversed"].effect(mild).mean
    assert printed_iou(changed["negated"]) == [-value for value in printed_iou(usual)]


def test_effects_by_level_make_up_the_whole() -> None:
    levels = [current_evidence().effect("step (2) removed", level) for level in (0, 1, 2)]
    whole = current_evidence().effect("step (2) removed")
    assert sum(one.prompts for one in levels) == whole.prompts
    assert sum(one.mean * one.prompts for one in levels) / whole.prompts == pytest.approx(whole.mean)
    assert all(one.low <= one.mean <= one.high for one in levels)


def test_an_output_without_the_pattern_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not contain"):
        current_evidence().printed("04", "ways-stats", "the moon: #")


def test_other_weights_have_the_shapes_and_not_the_masks() -> None:
    usual, changed = current_evidence().click, {name: one.click for name, one in flips() if name.endswith("weights")}
    assert len(changed) == 2
    for click in changed.values():
        assert click.logits.shape == usual.logits.shape
        assert np.isfinite(click.logits.numpy()).all()
        assert (click.masks != usual.masks).any()
    assert current_evidence().click.model.state_dict().keys() == changed["levelled weights"].model.state_dict().keys()


# --- Numbers in prose ---

ROOT_OF_EPS = 0.001
"""Of 1e-6: the one number in a tagged cell that follows from the code and stands in no cell."""


def typed(text: str) -> list[str]:
    """The decimals and percentages of a Markdown text, without those in code, formulas, links and alt texts."""
    text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|!?\[[^\]]*\]\([^)]*\)|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.findall(r"(?<![\w.])[-+−]?(?:\d+\.\d+(?:e-?\d+)?|\d+e-\d+|\d+(?= ?%))(?!\w)", text)


def size(number: str) -> float:
    return abs(float(number.replace("−", "-")))


def shown_to(number: str, cell: str) -> set[float]:
    """The numbers that a reader of a Markdown cell finds: printed or set by a code cell above it, or by the next."""
    notebook, order = stored(number), list(stored(number).cells)
    at = order.index(cell)
    codes = [name for name in order[:at] if name in notebook.code]
    codes += [name for name in order[at:] if name in notebook.code][:1]
    texts = [notebook.printed(name) + notebook.code[name] for name in codes]
    return {size(one) for text in texts for one in re.findall(NUMBER, text)}


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_in_tagged_cells_are_printed_by_a_cell(number: str) -> None:
    for cell in sorted(tagged(number)):
        numbers = {size(one) for one in typed(stored(number).sources[cell])}
        assert numbers - shown_to(number, cell) - {ROOT_OF_EPS} == set(), cell


def test_typed_numbers_are_found() -> None:
    text = "falls by 0.64 IoU (−0.70 to -0.58), on 98 % and 3.5% of 247 clicks, eps 1e-6; `0.1`, $0.2$, 64 × 64, 0.3x"
    assert typed(text) == ["0.64", "−0.70", "-0.58", "98", "3.5", "1e-6"]
