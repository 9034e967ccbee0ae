"""Draws the map of the decoder for the README: `python -m tools.draw_map`."""

from __future__ import annotations

from pathlib import Path

from sam_edu.figures import decoder_map

TARGET = Path(__file__).parents[1] / "images" / "decoder.png"


def main() -> None:
    """Write images/decoder.png."""
    print(decoder_map().save(TARGET))


if __name__ == "__main__":
    main()
