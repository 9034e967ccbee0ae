"""The attention share: shares that are shares, and chance that is the area."""

import numpy as np

from sam_edu.evaluation.attention_share import attention_shares, share_table
from sam_edu.evaluation.scores import TEST_STREAMS
from sam_edu.sam import build_tiny
from sam_edu.scenes.scene import draw_scene


def test_attention_shares_are_shares_and_chance_is_the_area() -> None:
    set_up = build_tiny().eval()
    shares = attention_shares(set_up, 2, TEST_STREAMS["ordinary"], progress=False)
    assert list(shares) == ["layer 0", "layer 1", "last"]
    for values in shares.values():
        assert values.shape == (2, 9, 2)
        assert ((values >= 0) & (values <= 1)).all()
    number, scene = 0, draw_scene((TEST_STREAMS["ordinary"], 0))
    areas = scene.masks[scene.level == 0][:, 2::4, 2::4].mean(axis=(1, 2))
    assert np.isclose(areas, shares["layer 0"][number, 8, 0]).any()
    assert len(share_table(shares).splitlines()) == 8
