"""Doors: by which of two steps the click's own token is read, and what each of the two carries.

Other vectors attend to the prompt's tokens in two steps. In (1) the output tokens do, in (4) the image tokens do. A
door is what they read there: keys and values of the prompt's tokens, in both blocks. In a decode of click A the door
of click B is transplanted.

| door | transplanted |
|---|---|
| "(1)" | what the output tokens read of the prompt's tokens |
| "(4)" | what the image tokens read of the prompt's tokens |
| "(1) and (4)" | both. No other vector reads the prompt's tokens, so this gives the masks of B: the check |
| "(4) block 0", "(4) block 1" | (4) in one block alone |
| "(4) output tokens" | what the image tokens read of the five output tokens: the click by the longer path |

With "(4)" alone the output tokens still read A's click in (1), and with "(1)" alone the image tokens still read it in
(4). So each door is measured against the other one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sam_edu.ablation.changes import ATTENTIONS
from sam_edu.ablation.measuring import rows_of_scenes
from sam_edu.ablation.pair_measuring import PAIR_SCENES, pairs_of_scene, stacked_pairs
from sam_edu.ablation.pair_results import PairStatistics
from sam_edu.ablation.pairs import PairKind
from sam_edu.ablation.results import read
from sam_edu.ablation.transplants import PROMPT_TOKENS, Part, Transplant

OUTPUT_TOKENS = slice(0, 5)
"""Positions among the tokens: the IoU token and four mask tokens."""

DOOR_KINDS: tuple[PairKind, ...] = ("same mask", "other object", "other level")
"""The kinds of pairs that are measured: two clicks each."""

SELF, IMAGE = (tuple(name for name in ATTENTIONS if name.endswith(end)) for end in ("self_attn", "image_to_token"))
"""The attentions whose keys are the tokens: steps (1) and (4) of both blocks."""


def _read(attentions: Sequence[str], tokens: slice) -> tuple[Part, ...]:
    return tuple(Part(f"{name}.{side}", {"keys": tokens}) for name in attentions for side in "kv")


DOORS: dict[str, Transplant] = {
    "(1)": Transplant("what the tokens read of the prompt's tokens", _read(SELF, PROMPT_TOKENS)),
    "(4)": Transplant("what the image tokens read of the prompt's tokens", _read(IMAGE, PROMPT_TOKENS)),
    "(1) and (4)": Transplant(
        "what tokens and image tokens read of the prompt's tokens", _read((*SELF, *IMAGE), PROMPT_TOKENS)
    ),
    "(4) block 0": Transplant("the same as (4), in block 0 alone", _read(IMAGE[:1], PROMPT_TOKENS)),
    "(4) block 1": Transplant("the same as (4), in block 1 alone", _read(IMAGE[1:], PROMPT_TOKENS)),
    "(4) output tokens": Transplant("what the image tokens read of the output tokens", _read(IMAGE, OUTPUT_TOKENS)),
}
"""All doors by name. After a change here: `python -m tools.make_statistics --only doors`."""


def measure_doors(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights, over the pairs of `sam_edu.ablation.pair_measuring` that have two clicks.

    Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp, and its arrays whose names begin with "doors.".
    """
    of_scene = partial(pairs_of_scene, transplants=DOORS, kinds=DOOR_KINDS)
    rows = rows_of_scenes(of_scene, weights, min(scenes, PAIR_SCENES), processes, progress)
    return stacked_pairs(rows, weights, DOORS, "doors")


def load_doors(path: Path | None = None, *, weights: Path | None = None) -> PairStatistics:
    """Read the results of the doors' transplants. Arguments and errors as for `sam_edu.ablation.load`."""
    return PairStatistics(read(path, weights=weights), "doors", DOORS)
