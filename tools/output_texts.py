"""Whether two texts, such as printed outputs, say the same, numbers within tolerances."""

from __future__ import annotations

import re

RELATIVE_TOLERANCE = 1e-3
ABSOLUTE_TOLERANCE = 1e-6  # for differences printed in full, such as 2.4e-07, which are rounding noise themselves

_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w])")
_SPACES = re.compile(r"[ \t]+")


def texts_differ(old: str, new: str, share: float = 1.0) -> str | None:
    """The first difference between two texts, numbers compared within a share of the tolerance, or None.

    A number without a point or an exponent is a count, a size or a name, and has to be the same.
    """
    for index, (before, after) in enumerate(zip(_tokens(old), _tokens(new), strict=False)):
        is_number = index % 2 == 1
        if before != after and not (is_number and _numbers_agree(before, after, share)):
            return f"`{_shown(before)}` was expected, and `{_shown(after)}` came out."
    difference = len(_tokens(new)) - len(_tokens(old))
    if difference:
        return f"the text has become {'longer' if difference > 0 else 'shorter'}."
    return None


def _tokens(text: str) -> list[str]:
    """The text cut into what stands between numbers, and, at the odd places, the numbers.

    Runs of spaces count as one and none beside a number, because a changed sign in an array moves the columns.
    """
    tokens = []
    end = 0
    for number in _NUMBER.finditer(text):
        tokens += [_SPACES.sub(" ", text[end : number.start()]).strip(" "), number[0]]
        end = number.end()
    return [*tokens, _SPACES.sub(" ", text[end:]).strip(" ")]


def _numbers_agree(old: str, new: str, share: float) -> bool:
    if _is_whole(old) and _is_whole(new):
        return False
    a, b = float(old), float(new)
    return abs(a - b) <= share * (ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * max(abs(a), abs(b)))


def _is_whole(number: str) -> bool:
    return number.lstrip("+-").isdigit()


def _shown(token: str) -> str:
    """A token short enough for a message."""
    token = token.strip()
    return token if len(token) <= 80 else token[:77] + "..."
