"""Rules for the source of the modules, checked without running it."""

import ast
from pathlib import Path

import pytest
import torch

import sam_edu.modules
from sam_edu.modules import MaskDecoder, PromptEncoder, TracePoint

FILES = sorted(Path(sam_edu.modules.__file__).parent.glob("*.py"))
TREES = {path.name: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_all_files_are_seen():
    assert "mask_decoder.py" in TREES
    assert len(TREES) >= 11


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_repeated_by_hand(name):
    names = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)}
    assert not names & {"repeat_interleave", "repeat", "tile"}


CLASSES = [kind for kind in vars(sam_edu.modules).values() if isinstance(kind, type)]


def test_all_classes_are_seen():
    assert MaskDecoder in CLASSES
    assert len(CLASSES) == 12


@pytest.mark.parametrize("kind", CLASSES)
def test_every_module_says_where_it_comes_from(kind):
    assert kind is TracePoint or "Source:" in kind.__doc__


@pytest.mark.no_shape_check
@pytest.mark.parametrize("kind", CLASSES)
def test_annotations_cost_nothing_without_the_flag(kind):
    """No checker is wrapped around a forward: the function that runs is the one in the file."""
    assert not hasattr(kind.forward, "__wrapped__")
    assert Path(kind.forward.__code__.co_filename) in FILES


def test_trace_points_are_not_in_the_state_dict():
    assert issubclass(MaskDecoder, torch.nn.Module)
    decoder = MaskDecoder(transformer_dim=8, transformer=torch.nn.Identity())
    encoder = PromptEncoder(8, (2, 2), (32, 32), 4)
    for module in (decoder, encoder):
        points = {name for name, child in module.named_modules() if isinstance(child, TracePoint)}
        assert points
        assert not [key for key in module.state_dict() if any(key.startswith(f"{name}.") for name in points)]
