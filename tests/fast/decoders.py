"""Decoders that the tests of the fast one start from."""

import torch
from parity import TINY

from sam_edu.modules import MaskDecoder, TwoWayTransformer

# Two orders of the same products drift apart where weights are large: at the official width, Meta's own float32 is
# further than the tolerance from float64 under as much noise as narrow modules take.
NOISE = {16: 0.05, 24: 0.05, 256: 0.02}


def make_decoder(configuration=TINY, seed=0, dtype=torch.float32):
    """A decoder with noise on every parameter, as the initial ones and zeros of the norms would hide mistakes."""
    arguments = dict(configuration)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = MaskDecoder(**{**arguments, "transformer": TwoWayTransformer(**arguments["transformer"])})
    generator = torch.Generator().manual_seed(seed)
    noise = NOISE[decoder.transformer_dim]
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += noise * torch.randn(parameter.shape, generator=generator)
    return decoder.to(dtype)
