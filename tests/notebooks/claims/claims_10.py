"""Notebook 10, make it fast: what it states about the trained model."""

from claims.claim import Predicate

CLAIMS: dict[str, dict[str, Predicate]] = {
    "r11-fix": {
        "without mask token 0 the masks are not the same": lambda e: (
            e.printed("10", "r11-code", r"#% of the pixels change")[0] > 0.2
        ),
    },
}
