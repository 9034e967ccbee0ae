"""TracePoint: an identity without state."""

import torch

from sam_edu.modules import TracePoint


def test_returns_the_input_itself():
    x = torch.randn(2, 3)
    assert TracePoint("batch dim")(x) is x


def test_has_no_state():
    point = TracePoint("batch tokens dim")
    assert point.axes == ("batch", "tokens", "dim")
    assert not point.state_dict()
    assert repr(point) == "TracePoint(batch tokens dim)"
