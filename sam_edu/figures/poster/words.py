"""The poster's alt text."""

from sam_edu.figures.kit.words import prompts_in_words, share
from sam_edu.figures.poster.decode import Decode


def alt_text(decode: Decode) -> str:
    """The poster for those who do not see it."""
    best = decode.best
    covered = ", ".join(f"mask {i} covers {share(decode.masks[i] > 0)}" for i in range(1, len(decode.masks)))
    values = ", ".join(f"mask {i} {value:.2f}" for i, value in enumerate(decode.iou))
    return (
        f"Poster of the mask decoder: all {len(decode.tensors)} tensors of one decode of"
        f" {prompts_in_words(decode.clicks)}, from left to right. The click becomes tokens, which flow along the top as"
        " panels of stripes; the image becomes image tokens, which flow along the bottom as colour maps. Between"
        " them stand the steps of two blocks: (1) self-attention among tokens, as"
        f" {len(decode.names)} by {len(decode.names)} matrices; (2) the tokens attend to the image, as heat maps of the"
        f" attention of {decode.names[decode.token]}, head by head; (3) the MLP; (4) the image attends to the tokens."
        " Then the tokens attend to the image a last time (6-1) and become the weights"
        " of the masks (6-2) and the predicted IoU (7), the image is upscaled (5), and the product of weights and 32"
        f" channels (6-3) gives the logits of four masks. A thick line follows the first click: its token, the tokens’"
        " stream, steps (4) into the image, the product (6-3), the masks."
        f" Predicted IoU: {values}; of masks 1 to 3 it is highest for mask {best}. At the end masks 1 to 3 are large:"
        f" {covered}."
    )
