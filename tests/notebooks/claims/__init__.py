"""What the notebooks state about the trained model, a file per notebook: cell id -> sentence -> predicate.

    CLAIMS = {"stats-next": {"without (3) little is lost": lambda e: e.effect("step (3) removed").low > -0.15}}

A predicate gets the `Evidence` and says whether the sentence holds. `test_claims.py` beside this folder tests that
every Markdown cell with the tag `about-weights` has an entry, that all hold, and that each fails on changed evidence.
"""

from claims.claim import Claim, Predicate, all_claims
from claims.evidence import Evidence, current_evidence, flips

__all__ = ["Claim", "Evidence", "Predicate", "all_claims", "current_evidence", "flips"]
