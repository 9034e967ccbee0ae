"""Draws the poster of the decoder, from a real decode of the running example: `python -m tools.draw_poster`."""

from __future__ import annotations

from pathlib import Path

from sam_edu import Predictor, example, load, trace
from sam_edu.figures.poster import Poster, poster

PROJECT = Path(__file__).resolve().parents[1]
TARGETS = (PROJECT / "images" / "poster.svg", PROJECT / "images" / "poster.png")
HASH = PROJECT / "sam_edu" / "tiny" / "tiny.sha256"


def weights() -> str:
    """The first digits of the hash of the weights, as they stand on the poster."""
    return HASH.read_text(encoding="utf-8")[:16]


def draw() -> Poster:
    """The poster of the example's click, decoded with the embedded weights."""
    shown, predictor = example(), Predictor(load("tiny"))
    predictor.set_image(shown.image)
    with trace(predictor) as t:
        predictor.predict(shown.click, [1])
    note = f"Weights: sam_edu/tiny/tiny.safetensors, SHA-256 {weights()}… Drawn by python -m tools.draw_poster."
    return poster(t, shown.image, points=shown.click, note=note)


def main() -> None:
    """Write images/poster.svg and images/poster.png."""
    drawn = draw()
    for target in TARGETS:
        print(drawn.save(target))


if __name__ == "__main__":
    main()
