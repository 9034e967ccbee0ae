"""The poster's alt text."""

from sam_edu.figures.kit.words import prompts_in_words, share
from sam_edu.figures.poster.decode import Decode


def alt_text(decode: Decode) -> str:
    """The poster for those who do not see it."""
    best = decode.best
    values = ", ".join(f"mask {i} {value:.2f}" for i, value in enumerate(decode.iou))
    return (
        f"Poster of the mask decoder: all {len(decode.tensors)} tensors of one decode of"
        f" {prompts_in_words(decode.clicks)}, from left to right. The click becomes tokens, which flow along the top as"
        " panels of stripes; the picture becomes image tokens, which flow along the bottom as colour pictures. Between"
        " them stand the steps of two blocks: (1) the tokens read each other, as 7 by 7 matrices; (2) the tokens read"
        f" the image, as heat maps over the picture of where {decode.names[decode.token]} looks in each of the heads;"
        " (3) the MLP; (4) the image reads the tokens. Then the tokens look a last time (6-1) and become the weights"
        " of the masks (6-2) and the predicted IoU (7), the image is upscaled (5), and the product of weights and 32"
        f" channels (6-3) gives the logits of four masks. Predicted IoU: {values}; mask {best}, drawn large at the end,"
        f" covers {share(decode['masks'][best] > 0)}."
    )
