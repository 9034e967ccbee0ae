"""Controls: what has to stand beside an effect before it may be said, one idea a file.

| a claim | the control | it prevents |
|---|---|---|
| "this head attends to the clicked object" | `Statistics.share_above_null` | a head that looks there under any click |
| "these units matter" | `matched_draws`, `against_draws` | random units that are mostly silent |
| "this one of 56 matters most" | `split_half` | the largest of 56 noises |
| "these vectors are alike" | `common_vector` | one vector that all share |
| "these 16 numbers explain it" | `one_before_many` | one number that explains it too |
| "training did it" | `untrained`, `reshuffled` | what the architecture does by itself |
| "it makes no difference" | `paired_effect(...).at_most` | "not significant" read as "equal" |

Edges are measured by `sam_edu.evaluation.boundary.boundary_iou`.
"""

from sam_edu.ablation.controls.common_vector import CommonVector, common_vector
from sam_edu.ablation.controls.matched_draws import AgainstDraws, against_draws, matched_draws
from sam_edu.ablation.controls.models import PARTS, reshuffled, untrained
from sam_edu.ablation.controls.one_number import OneBeforeMany, one_before_many
from sam_edu.ablation.controls.paired import paired_effect
from sam_edu.ablation.controls.split_half import SplitHalf, split_half

__all__ = [
    "PARTS",
    "AgainstDraws",
    "CommonVector",
    "OneBeforeMany",
    "SplitHalf",
    "against_draws",
    "common_vector",
    "matched_draws",
    "one_before_many",
    "paired_effect",
    "reshuffled",
    "split_half",
    "untrained",
]
