"""ShapeTable: a trace as text and as HTML."""

import pytest
import torch
from torch import nn
from traced_models import decoder_inputs

from sam_edu.modules import MaskDecoder, TracePoint
from sam_edu.tracing import trace


def test_shape_table_as_text(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    shape_table = t.shape_table()
    header, rule, *lines = str(shape_table).splitlines()
    assert len(lines) == len(shape_table) == len(t)
    assert set(rule) == {"-"}
    column = header.index("shape")
    assert all(line[column - 2 : column] == "  " and line[column].isdigit() for line in lines)
    assert lines[0].split("  ")[0] == "tokens"
    assert "2 x 8 x 16" in lines[0]
    assert repr(shape_table) == str(shape_table)


def test_shape_table_as_html(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    page = t.shape_table()._repr_html_()
    assert page.count("<tr>") == 1 + len(t)
    assert '<td style="text-align: left"><code>hyper_in</code></td>' in page
    assert "<script" not in page


@pytest.mark.no_shape_check
def test_shape_table_of_one_notebook_and_slices(decoder: MaskDecoder) -> None:
    with trace(decoder) as t:
        decoder(*decoder_inputs())
    assert [row.name for row in t.shape_table("07")] == ["hyper_in", "masks"]
    assert [row.name for row in t.shape_table()[-2:]] == ["masks", "iou_pred"]
    assert len(str(t.shape_table("09")).splitlines()) == 2
    for other in ("2", "none such", 7):
        with pytest.raises(ValueError, match=rf'notebook: expected the two digits.*"02", got {other!r}'):
            t.shape_table(other)


def test_a_trace_point_that_is_not_in_the_table_has_no_step() -> None:
    model = nn.Sequential(nn.Linear(2, 2), TracePoint("batch mine"))
    with trace(model) as t:
        model(torch.zeros(1, 2))
    assert t.shape_table()[0] == ("1", "", ("batch", "mine"), (1, 2), "")
