"""What the tests of sam_edu.official share: configurations, small models and fresh interpreters."""

import subprocess
import sys
import textwrap

from parity import TINY, make_pair, perturb
from torch import nn

from sam_edu import modules, official

CONFIGURATIONS = {
    "MLP": {"input_dim": 3, "hidden_dim": 5, "output_dim": 2, "num_layers": 3, "sigmoid_output": True},
    "MLPBlock": {"embedding_dim": 4, "mlp_dim": 7, "act": nn.SiLU},
    "LayerNorm2d": {"num_channels": 5, "eps": 1e-3},
    "Attention": {"embedding_dim": 9, "num_heads": 2, "downsample_rate": 2},
    "TwoWayAttentionBlock": {
        "embedding_dim": 12,
        "num_heads": 2,
        "mlp_dim": 5,
        "activation": nn.GELU,
        "attention_downsample_rate": 3,
        "skip_first_layer_pe": True,
    },
    "TwoWayTransformer": {"depth": 3, "embedding_dim": 8, "num_heads": 2, "mlp_dim": 5, "activation": nn.GELU},
    "MaskDecoder": {**TINY, "num_multimask_outputs": 2, "activation": nn.ReLU, "iou_head_depth": 2},
    "PositionEmbeddingRandom": {"num_pos_feats": 3, "scale": 2.0},
    "PromptEncoder": {
        "embed_dim": 8,
        "image_embedding_size": (2, 3),
        "input_image_size": (20, 30),
        "mask_in_chans": 12,
        "activation": nn.ReLU,
    },
}


def small_parts():
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=16)
    prompts = {"embed_dim": 16, "image_embedding_size": (2, 2), "input_image_size": (32, 32), "mask_in_chans": 4}
    return perturb(encoder, 0), modules.PromptEncoder(**prompts), make_pair("MaskDecoder", **TINY)[0]


def run_python(code, *path):
    """What a fresh interpreter prints; `path` comes first in its search path."""
    code = f"import sys; sys.path[:0] = {list(path)!r}\n{textwrap.dedent(code)}"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


USE = """
    from sam_edu import modules, official
    official.to_official(modules.Attention(8, 2))
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=8)
    decoder = modules.MaskDecoder(transformer_dim=8, transformer=modules.TwoWayTransformer(1, 8, 2, 8))
    official.sam_predictor(encoder, modules.PromptEncoder(8, (2, 2), (32, 32), 4), decoder)
"""

TORCHVISION = {
    "__init__.py": "",
    "transforms/__init__.py": "",
    "transforms/functional.py": "def resize(image, size): ...\ndef to_pil_image(image): ...\n",
    "ops/__init__.py": "",
    "ops/boxes.py": "def batched_nms(): ...\ndef box_area(): ...\n",
}


def write_torchvision(folder, files):
    for name, text in files.items():
        path = folder / "torchvision" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
