"""Point: nothing but a name."""

import torch

from sam_edu.modules import Point


def test_returns_its_very_input():
    x = torch.randn(2, 3)
    assert Point("batch dim")(x) is x


def test_has_no_state():
    point = Point("batch tokens dim")
    assert point.axes == ("batch", "tokens", "dim")
    assert not point.state_dict()
    assert repr(point) == "Point(batch tokens dim)"
