"""The README is correct: its snippets run, its tables agree with the code."""

import re
from pathlib import Path

import pytest
import torch

import sam_edu
from sam_edu import official
from sam_edu.checkpoints import OFFICIAL, PAGE
from sam_edu.sam import build_mask_decoder, tiny_weights

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_both_snippets_are_seen():
    assert len(SNIPPETS) == 2


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run(snippet):
    meta = official.to_official(build_mask_decoder())
    names = {
        "meta_weights": meta.state_dict(),
        "image_embeddings": torch.randn(1, 256, 8, 8, generator=torch.Generator().manual_seed(0)),
        "image_pe": torch.zeros(1, 256, 8, 8),
        "sparse": torch.zeros(2, 2, 256),
        "dense": torch.zeros(2, 256, 8, 8),
    }
    exec(snippet, names)
    assert len(names["masks"]) in (2, 3)
    assert names["iou"].shape[-1] == 3


def test_the_snippet_clicks_where_the_example_does():
    (x, y) = sam_edu.example().click[0]
    assert f"point_coords=[[{x:.0f}, {y:.0f}]]" in README


@pytest.mark.parametrize("file", OFFICIAL.values(), ids=list(OFFICIAL))
def test_metas_files_stand_as_the_code_knows_them(file):
    assert f"| {file.name} | [`{file.file_name}`]({file.url}) | {file.size:,} | `{file.sha256}` |" in README
    assert PAGE in README


def test_counts_are_those_of_the_code():
    assert f"A trained SAM of {tiny_weights().stat().st_size / 1e6:.0f} MB" in README
    assert f"over {len(sam_edu.ablation.load().prompts)} held-out clicks" in README
    assert f"gradients of all {len(list(build_mask_decoder().parameters()))} tensors" in README


def test_every_notebook_stands_in_the_table():
    notebooks = sorted(path.name for path in (PROJECT / "notebooks").glob("*.ipynb"))
    assert notebooks
    assert [name for name in notebooks if f"(notebooks/{name})" not in README] == []


def test_links_lead_to_files():
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if not t.startswith("http")]
    assert len(targets) > 3
    assert [t for t in targets if not (PROJECT / t).exists()] == []


def test_model_card_is_that_of_the_weights():
    tiny = PROJECT / "sam_edu" / "tiny"
    sha = (tiny / "tiny.sha256").read_text().split()[0]
    assert sha in (tiny / "MODEL_CARD.md").read_text(encoding="utf-8")
