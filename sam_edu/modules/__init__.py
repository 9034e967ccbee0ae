"""The verified modules: Meta's mask decoder and prompt encoder, written anew for reading."""

from sam_edu.modules.attention import Attention
from sam_edu.modules.hypernetwork import HypernetworkMLPs
from sam_edu.modules.layer_norm import LayerNorm2d
from sam_edu.modules.mask_decoder import MaskDecoder
from sam_edu.modules.mask_product import mask_product
from sam_edu.modules.mlp import MLP, MLPBlock
from sam_edu.modules.output_upscaling import OutputUpscaling
from sam_edu.modules.prompt_encoder import PositionEmbeddingRandom, PromptEncoder
from sam_edu.modules.trace_point import TracePoint
from sam_edu.modules.two_way_transformer import TwoWayAttentionBlock, TwoWayTransformer
