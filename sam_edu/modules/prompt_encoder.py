"""PositionEmbeddingRandom and PromptEncoder: clicks, boxes and masks become tokens and a feature map."""

import math
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from sam_edu.modules.checks import check_batches, check_shape
from sam_edu.modules.layer_norm import LayerNorm2d
from sam_edu.modules.trace_point import TracePoint


class PositionEmbeddingRandom(nn.Module):
    """Positional encoding by random Fourier features: sines and cosines of random projections of a position.

    Args:
        num_pos_feats: number of random projections; an encoding is twice as wide.
        scale: standard deviation of the random frequencies; 1 where it is None or not positive.

    Source: `segment_anything/modeling/prompt_encoder.py`; Tancik et al. 2020, "Fourier features let networks learn
    high frequency functions in low dimensional domains".
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int = 64, scale: float | None = None) -> None:
        super().__init__()
        scale = scale if scale is not None and scale > 0.0 else 1.0
        self.register_buffer("positional_encoding_gaussian_matrix", scale * torch.randn(2, num_pos_feats))

    def _pe_encoding(self, coords: Float[Tensor, "*rest 2"]) -> Float[Tensor, "*rest encoding"]:
        """Encode positions (x, y) in [0, 1]."""
        matrix = self.positional_encoding_gaussian_matrix
        # Half precision cannot hold an angle of many turns: it is computed in float32 at least.
        wide = torch.promote_types(matrix.dtype, torch.float32)
        angles = 2 * math.pi * ((2 * coords.to(wide) - 1) @ matrix.to(wide))
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1).to(matrix.dtype)

    def forward(self, size: tuple[int, int]) -> Float[Tensor, "encoding height width"]:
        """Encode the centre of every cell of a grid.

        Args:
            size: height and width of the grid.
        """
        matrix = self.positional_encoding_gaussian_matrix
        wide = torch.promote_types(matrix.dtype, torch.float32)
        y, x = ((torch.arange(n, dtype=wide, device=matrix.device) + 0.5) / n for n in size)
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (height, width, 2)
        return self._pe_encoding(grid).permute(2, 0, 1)

    def forward_with_coords(
        self, coords_input: Shaped[Tensor, "batch points 2"], image_size: tuple[int, int]
    ) -> Float[Tensor, "batch points encoding"]:
        """Encode points.

        Args:
            coords_input: (x, y) in pixels of the padded image.
            image_size: the padded image's height and width in pixels.

        Raises:
            ValueError: `coords_input` is not (batch, points, 2).
        """
        check_shape("coords_input", coords_input, ("batch", "points", 2))
        height, width = image_size
        return self._pe_encoding(torch.stack([coords_input[..., 0] / width, coords_input[..., 1] / height], dim=-1))


class PromptEncoder(nn.Module):
    """SAM's prompt encoder: embeds clicks and boxes as tokens, and mask prompts as a feature map.

    Args:
        embed_dim: width of a token, 256 in SAM.
        image_embedding_size: height and width of the grid of image tokens, (64, 64) in SAM.
        input_image_size: height and width of the padded image in pixels, (1024, 1024) in SAM.
        mask_in_chans: inner channels of the mask prompt's convolutions, 16 in SAM.
        activation: class of their activations.

    Source: `segment_anything/modeling/prompt_encoder.py`; paper, appendix A ("Prompt encoder").
    """

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int,
        activation: type[nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.input_image_size, self.image_embedding_size = input_image_size, image_embedding_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        self.num_point_embeddings = 4  # negative click, positive click, a box's first corner, its second
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(self.num_point_embeddings))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_input_size = (4 * image_embedding_size[0], 4 * image_embedding_size[1])
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            activation(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            activation(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

        self.sparse_embeddings = TracePoint("batch prompt_tokens dim")
        self.dense_embeddings = TracePoint("batch dim height width")

    def get_dense_pe(self) -> Float[Tensor, "1 dim height width"]:
        """The positional encoding of every image token."""
        return self.pe_layer(self.image_embedding_size).unsqueeze(0)

    def forward(
        self,
        points: tuple[Shaped[Tensor, "_ clicks 2"], Shaped[Tensor, "_ clicks"]] | None,
        boxes: Shaped[Tensor, "_ *corners"] | None,
        masks: Float[Tensor, "_ 1 mask_height mask_width"] | None,
    ) -> tuple[Float[Tensor, "_ prompt_tokens dim"], Float[Tensor, "_ dim height width"]]:
        """Embed prompt sets.

        Args:
            points: clicks (x, y) in pixels of the padded image, and a label for each: 1 positive, 0 negative, -1 for
                padding.
            boxes: (x0, y0, x1, y1) in the same pixels, one per prompt set.
            masks: a mask prompt per prompt set, as logits, of four times the grid's height and width.

        Returns:
            the prompt tokens, and the feature map to add to the image embedding. Clicks without a box are followed by
            one padding token; with neither clicks nor a box there are no tokens.

        Raises:
            ValueError: shapes or numbers of prompt sets that do not fit together.
        """
        batch = self._check(points, boxes, masks)
        weight = self.no_mask_embed.weight
        tokens = [weight.new_empty(batch, 0, self.embed_dim)]
        if points is not None:
            tokens.append(self._embed_points(*points, pad=boxes is None))
        if boxes is not None:
            tokens.append(self._embed_boxes(boxes))
        dense = weight.reshape(1, -1, 1, 1).expand(batch, -1, *self.image_embedding_size)
        if masks is not None:
            dense = self.mask_downscaling(masks)
        return self.sparse_embeddings(torch.cat(tokens, dim=1)), self.dense_embeddings(dense)

    def _embed_points(self, points: Tensor, labels: Tensor, pad: bool) -> Tensor:
        """Positional encoding plus the embedding of the label; padding has its embedding alone."""
        points = points + 0.5  # a pixel's centre
        if pad:
            points = torch.cat([points, points.new_zeros(points.shape[0], 1, 2)], dim=1)
            # Float, as -1 exists neither in bool nor in unsigned integers.
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), -1, dtype=torch.float32)], dim=1)
        encoding = self.pe_layer.forward_with_coords(points, self.input_image_size)
        label = labels.unsqueeze(-1)
        encoding = torch.where(label == -1, self.not_a_point_embed.weight, encoding)
        encoding = torch.where(label == 0, encoding + self._point_embedding(0), encoding)
        return torch.where(label == 1, encoding + self._point_embedding(1), encoding)

    def _embed_boxes(self, boxes: Tensor) -> Tensor:
        """Two tokens per box: the positional encoding of each corner plus the embedding of that corner."""
        corners = (boxes + 0.5).reshape(-1, 2, 2)
        encoding = self.pe_layer.forward_with_coords(corners, self.input_image_size)
        return encoding + torch.stack([self._point_embedding(i) for i in (2, 3)], dim=1)

    def _point_embedding(self, index: int) -> Tensor:
        embedding: Any = self.point_embeddings[index]
        return embedding.weight  # not always a parameter: torch's own transformations put plain tensors in its place

    def _check(self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None) -> int:
        """Check every shape; return the number of prompt sets that the tokens have."""
        sparse: dict[str, int] = {}
        if points is not None:
            if not isinstance(points, tuple | list) or len(points) != 2:
                raise ValueError(f"points: expected a pair (coords, labels), got {type(points).__name__}")
            check_shape("points[0]", points[0], ("prompt sets", "clicks", 2))
            check_shape("points[1]", points[1], tuple(points[0].shape[:2]))
            sparse["points"] = points[0].shape[0]
        if boxes is not None:
            # Meta's code reshapes boxes, so that (prompt sets, 2, 2) is accepted too.
            flat = boxes.flatten(1) if isinstance(boxes, Tensor) and boxes.ndim > 1 else boxes
            check_shape("boxes", flat, ("prompt sets", 4))
            sparse["boxes"] = boxes.shape[0]
        if points is not None and boxes is not None and sparse["points"] != sparse["boxes"]:
            raise ValueError(f"points and boxes: expected as many boxes as prompt sets with clicks, got {sparse}")
        if masks is not None:
            check_shape("masks", masks, ("prompt sets", 1, *self.mask_input_size))
            check_batches(masks=masks.shape[0], **sparse)
        return next(iter(sparse.values()), masks.shape[0] if masks is not None else 1)
