"""The words of alt texts: prompts, lists, shares, the brightest positions."""

import numpy as np

from sam_edu.choices import name_largest
from sam_edu.figures.kit.arrays import Array
from sam_edu.figures.kit.marks import Box, Click


def prompts_in_words(clicks: list[Click], box: Box | None = None) -> str:
    """For example "a positive click at (120, 88) and a box from (20, 30) to (90, 100)"."""
    words = [f"a {'positive' if label == 1 else 'negative'} click at ({x:.0f}, {y:.0f})" for x, y, label in clicks]
    if box is not None:
        words.append(f"a box from ({box[0]:.0f}, {box[1]:.0f}) to ({box[2]:.0f}, {box[3]:.0f})")
    return listed(words)


def listed(words: list[str]) -> str:
    """For example "a, b and c"."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def brightest(one: Array, width: int, height: int) -> str:
    """Where a map is largest, in pixels of an image of this size: all positions that are equal within the margin."""
    rows, columns = one.shape
    centres = np.indices((rows, columns)).reshape(2, -1).T + 0.5
    return name_largest(one, [f"({x * width / columns:.0f}, {y * height / rows:.0f})" for y, x in centres])


def share(mask: Array) -> str:
    """For example "12 % of the image"."""
    percent = 100 * float(mask.mean())
    return f"{percent:.0f} % of the image" if percent >= 1 or percent == 0 else "less than 1 % of the image"
