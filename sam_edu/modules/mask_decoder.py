"""MaskDecoder: from an image embedding and embedded prompts to mask logits and IoU predictions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sam_edu.modules.checks import check_batches, check_one_or_each, check_shape
from sam_edu.modules.hypernetwork import HypernetworkMLPs
from sam_edu.modules.mask_product import mask_product
from sam_edu.modules.mlp import MLP
from sam_edu.modules.output_upscaling import OutputUpscaling
from sam_edu.modules.trace_point import TracePoint


class MaskDecoder(nn.Module):
    """SAM's mask decoder: predicts masks and their IoU from an image embedding and embedded prompts.

    Steps (0) to (8).

    Args:
        transformer_dim: width of tokens and image tokens, 256 in SAM.
        transformer: a `TwoWayTransformer` of that width.
        num_multimask_outputs: masks for an ambiguous prompt, 3 in SAM; there is one more for prompts that are not.
        activation: class of the activations of the upscaling.
        iou_head_depth: layers of the IoU head.
        iou_head_hidden_dim: inner width of the IoU head.

    Source: `segment_anything/modeling/mask_decoder.py`; paper, appendix A and figure 14.
    """

    def __init__(
        self,
        *,
        transformer_dim: int,
        transformer: nn.Module,
        num_multimask_outputs: int = 3,
        activation: type[nn.Module] = nn.GELU,
        iou_head_depth: int = 3,
        iou_head_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        self.transformer_dim, self.transformer = transformer_dim, transformer
        self.num_multimask_outputs, self.num_mask_tokens = num_multimask_outputs, num_multimask_outputs + 1
        self.iou_token = nn.Embedding(1, transformer_dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, transformer_dim)
        self.output_upscaling = OutputUpscaling(transformer_dim, activation)
        self.output_hypernetworks_mlps = HypernetworkMLPs(self.num_mask_tokens, transformer_dim)
        self.iou_prediction_head = MLP(transformer_dim, iou_head_hidden_dim, self.num_mask_tokens, iou_head_depth)

        self.tokens = TracePoint("batch tokens dim")
        self.src = TracePoint("batch dim height width")
        self.pos_src = TracePoint("batch dim height width")
        self.hs = TracePoint("batch tokens dim")
        self.keys = TracePoint("batch image_tokens dim")
        self.hyper_in = TracePoint("batch masks channels")
        self.masks = TracePoint("batch masks height width")
        self.iou_pred = TracePoint("batch masks")

    def forward(
        self,
        image_embeddings: Float[Tensor, "images dim height width"],
        image_pe: Float[Tensor, "_ dim height width"],
        sparse_prompt_embeddings: Float[Tensor, "_ prompt_tokens dim"],
        dense_prompt_embeddings: Float[Tensor, "_ dim height width"],
        multimask_output: bool,
    ) -> tuple[Float[Tensor, "batch masks 4*height 4*width"], Float[Tensor, "batch masks"]]:
        """Decode prompt sets, then choose which masks to return: step (8).

        Args:
            image_embeddings: of one image for all prompt sets, or of one image per prompt set.
            image_pe: the positional encodings of the grid (`PromptEncoder.get_dense_pe`).
            sparse_prompt_embeddings: the tokens of clicks and boxes, one row per prompt set; there may be none.
            dense_prompt_embeddings: the embedded mask prompt, or the no-mask embedding at every position.
            multimask_output: True returns masks 1, 2 and 3, for an ambiguous prompt; False returns mask 0 alone.

        Returns:
            mask logits, and the predicted IoU of each mask (without a sigmoid, so it can exceed 1).

        Raises:
            ValueError: widths, grids or batches that do not fit together.
        """
        masks, iou_pred = self.predict_masks(
            image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
        )
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        return masks[:, chosen], iou_pred[:, chosen]

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Float[Tensor, "batch masks large_height large_width"], Float[Tensor, "batch masks"]]:
        """Predict all masks of each prompt set, steps (0) to (7). Arguments and errors are those of `forward`."""
        batch = self.check_inputs(image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings)
        # Step (0): [IoU token, mask tokens, prompt tokens], and the image with its dense prompt.
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(batch, -1, -1)
        tokens = self.tokens(torch.cat([output_tokens, sparse_prompt_embeddings.expand(batch, -1, -1)], dim=1))
        # An image embedding of batch 1 is broadcast here: nothing is repeated by hand.
        src = self.src((image_embeddings + dense_prompt_embeddings).expand(batch, -1, -1, -1))

        # Steps (1) to (4) in each block, then (6-1).
        queries, keys = self.transformer(src, self.pos_src(image_pe), tokens)
        hs, keys = self.hs(queries), self.keys(keys)
        iou_token_out, mask_tokens_out = hs[:, 0], hs[:, 1 : 1 + self.num_mask_tokens]

        # Steps (5), (6-2), (6-3): a feature map, a weight per channel, their product at every pixel.
        # (batch, image_tokens, dim) -> (batch, dim, height, width)
        upscaled_embedding = self.output_upscaling(keys.transpose(1, 2).unflatten(2, src.shape[2:]))
        hyper_in = self.hyper_in(self.output_hypernetworks_mlps(mask_tokens_out))
        masks = self.masks(mask_product(hyper_in, upscaled_embedding))

        # Step (7): the predicted IoU of each mask.
        return masks, self.iou_pred(self.iou_prediction_head(iou_token_out))

    def check_inputs(self, image: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor) -> int:
        """Check every shape; return the number of prompt sets."""
        dim = self.transformer_dim
        check_shape("image_embeddings", image, ("1 or prompt sets", dim, "height", "width"))
        height, width = image.shape[2:]
        check_shape("image_pe", image_pe, ("1 or prompt sets", dim, height, width))
        check_shape("sparse_prompt_embeddings", sparse, ("prompt sets", "tokens", dim))
        check_shape("dense_prompt_embeddings", dense, ("prompt sets", dim, height, width))
        batch = check_batches(sparse_prompt_embeddings=sparse.shape[0], dense_prompt_embeddings=dense.shape[0])
        for name, tensor in (("image_embeddings", image), ("image_pe", image_pe)):
            advice = "For several prompt sets on each of several images: image_embeddings[image_of_each_prompt_set]"
            check_one_or_each(name, tensor.shape[0], batch, advice)
        return batch
