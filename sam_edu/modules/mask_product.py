"""mask_product: the product of the hypernetwork's weights and the upscaled feature map. Step (6-3)."""

from jaxtyping import Float
from torch import Tensor

from sam_edu.modules.checks import check_batches, check_shape


def mask_product(
    hyper_in: Float[Tensor, "#batch masks channels"],
    upscaled_embedding: Float[Tensor, "#batch channels height width"],
) -> Float[Tensor, "_ masks height width"]:
    """Apply one linear classifier per mask at every pixel: step (6-3).

    Args:
        hyper_in: one weight per mask and channel.
        upscaled_embedding: the upscaled feature map.

    Returns:
        logits: at each pixel the sum over the channels of weight times value.

    Raises:
        ValueError: channels or batches that do not fit together.
    """
    check_shape("hyper_in", hyper_in, ("batch", "masks", "channels"))
    check_shape("upscaled_embedding", upscaled_embedding, ("batch", hyper_in.shape[2], "height", "width"))
    check_batches(hyper_in=hyper_in.shape[0], upscaled_embedding=upscaled_embedding.shape[0])
    height, width = upscaled_embedding.shape[2:]
    return (hyper_in @ upscaled_embedding.flatten(2)).unflatten(2, (height, width))
