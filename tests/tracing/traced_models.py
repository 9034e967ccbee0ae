"""Small models for the tests of tracing, and their inputs."""

import torch
from torch import Tensor, nn

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.tracing import trace

BLOCKS = ("transformer.layers.0", "transformer.layers.1")
HEADS = "transformer.layers.1.cross_attn_token_to_image.heads"


class WholeModel(nn.Module):
    """A small model with the parts of a Sam, under the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = nn.Conv2d(3, 16, 4, stride=4)
        self.prompt_encoder = PromptEncoder(16, (4, 5), (16, 20), 8)
        self.mask_decoder = make_decoder()

    def forward(self, image: Tensor, points: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        sparse, dense = self.prompt_encoder(points, None, None)
        pe = self.prompt_encoder.get_dense_pe()
        return self.mask_decoder(self.image_encoder(image), pe, sparse, dense, multimask_output=True)


class HasModel:
    """Has a model as `.model`, as a Predictor does."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model


def make_decoder() -> MaskDecoder:
    transformer = TwoWayTransformer(depth=2, embedding_dim=16, num_heads=4, mlp_dim=32)
    return MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_hidden_dim=16)


def decoder_inputs(seed: int = 0, batch: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor, bool]:
    generator = torch.Generator().manual_seed(seed)
    image, pe = (torch.randn(1, 16, 4, 5, generator=generator) for _ in range(2))
    sparse = torch.randn(batch, 3, 16, generator=generator)
    dense = torch.randn(batch, 16, 4, 5, generator=generator)
    return image, pe, sparse, dense, True


def whole_inputs() -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return torch.randn(1, 3, 16, 20), (torch.tensor([[[3.0, 4.0]], [[9.0, 8.0]]]), torch.tensor([[1], [0]]))


def traced(model: nn.Module, *args: object) -> dict[str, Tensor]:
    with trace(model) as t:
        model(*args)
    return dict(t)


def count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
