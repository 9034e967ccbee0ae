"""Write the glossary of the series: python -m tools.make_glossary.

Tensors, axes and shapes come from the shape table of a decode, so that no row can list what does not exist. The names
in the paper and in Meta's code come from the table of trace points (`sam_edu.tracing.trace_points`). The words that are
no tensors are listed below.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from sam_edu import sam, tracing
from sam_edu.tracing import trace_points

PATH = Path(__file__).resolve().parent.parent / "notebooks" / "GLOSSARY.md"


class Term(NamedTuple):
    """A word that is no tensor of the shape table."""

    ours: str
    paper: str
    official: str
    meaning: str
    notebook: str


TERMS: tuple[Term, ...] = (
    Term("prompt set", "prompt", "a row of the batch", "what together selects one object: clicks, a box, a mask", "00"),
    Term(
        "image token", "image embedding location", "a row of keys", "the vector at a position of the 64 x 64 grid", "00"
    ),
    Term("token", "token", "a row of queries", "an output token or a prompt token", "00"),
    Term("output token", "output token", "iou_token, mask_tokens", "the IoU token or a mask token: parameters", "00"),
    Term("IoU token", "additional output token", "iou_token", "slot 0; becomes the predicted IoUs", "00"),
    Term("mask token", "output token", "mask_tokens", "slots 1 to 4; each becomes a mask", "00"),
    Term("padding token", "", "not_a_point_embed", "follows the clicks where there is no box", "00"),
    Term("click", "point", "point_coords, point_labels", "label 1 positive, 0 negative", "00"),
    Term(
        "positional encoding",
        "positional encoding",
        "pe_layer, get_dense_pe",
        "a vector that encodes a position",
        "00",
    ),
    Term(
        "logits",
        "unthresholded mask logits",
        "masks before the threshold",
        "numbers before the threshold: inside the mask where they are positive",
        "00",
    ),
    Term("mask", "binarized mask", "masks > mask_threshold", "logits after the threshold 0", "00"),
    Term("step", "step, (1) to (4)", "", "an address in the decoder, (0) to (8)", "00"),
    Term(
        "multimask",
        "multiple output masks for a single prompt",
        "multimask_output",
        "masks 1 to 3 in place of mask 0",
        "00",
    ),
    Term("head", "head", "num_heads", "one of the attentions that run side by side on channels of their own", "02"),
    Term("block", "decoder layer", "TwoWayAttentionBlock, layers[i]", "steps (1) to (4)", "04"),
    Term(
        "last look",
        "tokens attend once more to the image embedding",
        "final_attn_token_to_image",
        "the last cross-attention from tokens to image: step (6-1)",
        "05",
    ),
    Term("upscaling", "upsampling by two transposed convolutional layers", "output_upscaling", "step (5)", "06"),
    Term(
        "hypernetwork",
        "MLP that maps the output token to a dynamic linear classifier",
        "output_hypernetworks_mlps",
        "step (6-2)",
        "07",
    ),
    Term("stability score", "stable mask", "calculate_stability_score", "area above logit +1 by area above -1", "09"),
)

_HEAD = """# Glossary

Written by `python -m tools.make_glossary`; change it there. Shapes are those of one click: 7 tokens, of which two are
the prompt's, and 64 x 64 = 4096 image tokens. `{i}` is the number of the block, 0 or 1. The paper's words are those of
Kirillov et al., Segment Anything (2023), sections 3 and 4, appendices A and B.

## Words

| paper | Meta's code | ours | what it is | first in notebook |
|---|---|---|---|---|
"""
_TENSORS = """
## Tensors

Each is recorded by `sam_edu.trace` under the name in the third column. Where a row has several names, all of them have
these axes and this shape. Where the first column is empty, the paper has no word for the tensor.

| paper | Meta's code | ours | step | axes | shape | first in notebook |
|---|---|---|---|---|---|---|
"""


def glossary() -> str:
    """The whole page."""
    words = "\n".join(_line(t.paper, _code(t.official), t.ours, t.meaning, t.notebook) for t in TERMS)
    return f"{_HEAD}{words}\n{_TENSORS}" + "\n".join(tensor_lines(_shape_table())) + "\n"


def _shape_table() -> tracing.ShapeTable:
    """Every tensor of a decode for one click, of a model without values: shapes alone, no numbers."""
    with torch.device("meta"):
        model = sam.build_tiny()
        size = model.image_size // 4
        image, click = torch.empty(1, 256, size, size), torch.empty(1, 1, 2)
        labels = torch.empty(1, 1, dtype=torch.int)
        with tracing.trace(model) as t:
            sparse, dense = model.prompt_encoder(points=(click, labels), boxes=None, masks=None)
            model.mask_decoder(image, model.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True)
    return t.shape_table()


def tensor_lines(shape_table: tracing.ShapeTable) -> Iterator[str]:
    """A line per kind of tensor; rows that differ in their block alone, or in being k or v, become one.

    Raises:
        KeyError: a tensor has no row in the table of trace points.
    """
    described = {row.name: row for row in trace_points.TRACE_POINTS}
    lines: dict[tuple[str, ...], list[str]] = {}
    for row in shape_table:
        name = trace_points.pattern(row.name)
        if name not in described:
            raise KeyError(f"{name}: not in the table of trace points; add a row to sam_edu/tracing/trace_points.py")
        paper, official = described[name].paper, described[name].official
        shape = " x ".join(map(str, row.shape))
        names = lines.setdefault((paper, official, row.step, " ".join(row.axes), shape, row.notebook), [])
        if name not in names:
            names.append(name)
    for (paper, official, step, axes, shape, notebook), names in lines.items():
        yield _line(paper, _code(official), ", ".join(f"`{name}`" for name in names), step, axes, shape, notebook)


def _code(names: str) -> str:
    return f"`{names}`" if names and " " not in names.replace(", ", "") else names


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_glossary", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    args = parser.parse_args()
    page = glossary()
    current = PATH.read_text(encoding="utf-8") if PATH.is_file() else ""
    if args.check:
        if page != current:
            sys.exit(f"{PATH.name} is out of date: run python -m tools.make_glossary")
        return
    if page != current:
        PATH.write_text(page, encoding="utf-8")
    print(f"{PATH.name}: {'written' if page != current else 'was up to date'}, {page.count(chr(10))} lines")


if __name__ == "__main__":
    main()
