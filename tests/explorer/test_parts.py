"""Gates, parts and what the front-end takes over: one home for names, and names that mean something."""

import json
import re
from pathlib import Path

import pytest

import sam_edu
from sam_edu.ablation import ABLATIONS
from sam_edu.explorer.gates import GATES, MLPS, SIZES
from sam_edu.explorer.generated import generated
from sam_edu.explorer.parts import MODES, PARTS
from sam_edu.tracing.trace_points import TRACE_POINTS

WEB = Path(sam_edu.__file__).parent / "explorer" / "web" / "src"


@pytest.mark.parametrize("mode", MODES)
def test_each_switch_is_an_ablation_that_was_measured(mode):
    stats = sam_edu.ablation.load()
    names = [part.ablation(mode) for part in PARTS]
    assert len(set(names)) == len(PARTS) == 9 + 7 * 8
    assert set(names) <= set(ABLATIONS)
    assert set(names) <= set(stats.names)


def test_gates_are_traced_tensors_and_name_their_axes(predictor):
    with sam_edu.trace(predictor) as t:
        predictor.predict([[20, 30]], [1])
    patterns = {row.name for row in TRACE_POINTS}
    for gate in GATES:
        assert set(gate.switched) <= set(gate.axes)
        if gate.point.removesuffix(".out") in MLPS:
            continue
        assert gate.point in t
        assert t[gate.point].ndim == len(gate.axes)
        assert re.sub(r"layers\.\d", "layers.{i}", gate.point) in patterns
    assert {axis for gate in GATES for axis in gate.switched} == {"tokens", *SIZES}


def test_committed_data_of_the_front_end_is_what_the_package_says():
    stored = json.loads((WEB / "generated.json").read_text(encoding="utf-8"))
    pages = stored.pop("pages")
    assert stored == json.loads(json.dumps(generated()))
    notebooks = Path(sam_edu.__file__).resolve().parents[1] / "notebooks"
    assert pages == {path.name[:2]: path.stem for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))}


def test_all_words_of_the_front_end_stand_in_one_file():
    """Text that people see is in strings.ts, and in tour.ts, which is a text."""
    for path in WEB.rglob("*.ts"):
        if path.name in ("strings.ts", "tour.ts", "python_code.ts"):
            continue
        source = re.sub(r"//.*|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        found = re.findall(r'"([A-Z][a-z]+ [a-z ]+[.a-z])"', source)
        assert found == [], path.name


def test_state_of_the_address_is_documented():
    source = (WEB / "state.ts").read_text(encoding="utf-8")
    body = re.search(r"export interface State \{(.+?)\n\}", source, re.DOTALL)
    fields = re.findall(r"^  (\w+):", body[1], re.MULTILINE)
    page = Path(sam_edu.__file__).resolve().parents[1] / "docs" / "click_lab.md"
    documented = re.findall(r"^\| `(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert documented == fields
