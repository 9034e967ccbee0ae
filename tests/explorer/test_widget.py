"""explore(): the click lab as a widget, without a notebook's front-end."""

import base64
import subprocess
import sys

import numpy as np
import pytest
import torch

import sam_edu
from sam_edu.figures import Figure


@pytest.fixture(scope="module")
def predictor_of_tiny():
    return sam_edu.Predictor(sam_edu.load("tiny"))


@pytest.fixture
def explorer(predictor_of_tiny):
    return sam_edu.explore(predictor_of_tiny)


def test_what_is_set_can_be_taken_over(explorer, predictor_of_tiny):
    assert explorer.prompts == {"point_coords": [[182, 133]], "point_labels": [1]}
    predictor = sam_edu.Predictor(predictor_of_tiny.model)
    predictor.set_image(explorer.image)
    with sam_edu.trace(predictor) as t:
        predictor.predict(**explorer.prompts)
    assert torch.equal(explorer.trace["masks"], t["masks"])


def test_state_that_the_front_end_sends(explorer):
    explorer.state = "#%7B%22image%22%3A%22coins%22%2C%22points%22%3A%5B%5D%2C%22box%22%3A%5B10%2C20%2C60%2C70%5D%7D"
    assert explorer.prompts == {"box": [10, 20, 60, 70]}
    assert explorer.image.shape == (303, 384, 3)


def test_state_that_is_given(predictor_of_tiny):
    one = sam_edu.explore(predictor_of_tiny, state={"points": [[100, 110, 0]], "panel": "channels"})
    assert one.settings == {"image": "example", "points": [[100, 110, 0]], "panel": "channels"}


def test_own_image(predictor_of_tiny):
    image = np.full((20, 30, 3), 120, np.uint8)
    one = sam_edu.explore(predictor_of_tiny, image)
    np.testing.assert_array_equal(one.image, image)
    assert one.prompts["point_coords"] == [[15, 10]]


def test_questions_are_answered_by_their_number(explorer):
    sent = []
    explorer.send = lambda content, buffers: sent.append((content, buffers))
    question = {
        "kind": "decode",
        "number": 7,
        "image": "example",
        "prompts": {"points": [[182, 133, 1]], "box": None},
        "outputs": ["iou_pred"],
    }
    explorer._asked(explorer, question, [])
    [(content, [data])] = sent
    assert content["number"] == 7
    np.testing.assert_allclose(np.frombuffer(data, "<f4"), explorer.trace["iou_pred"][0].numpy(), atol=1e-6)


def test_still_is_our_own_figure(explorer):
    still = explorer.figure()
    assert isinstance(still, Figure)
    assert "mask 3" in still.alt


def test_still_is_of_the_image_and_the_prompts_that_are_set(predictor_of_tiny):
    one = sam_edu.explore(predictor_of_tiny)
    image = np.full((40, 60, 3), 90, np.uint8)
    one._service.set_image("own", image)
    one.state = "#%7B%22image%22%3A%22own%22%2C%22points%22%3A%5B%5B30%2C20%2C0%5D%5D%7D"
    np.testing.assert_array_equal(one.image, image)
    assert "negative" in one.figure().alt


def test_saved_output_is_right_without_a_kernel(predictor_of_tiny):
    """As in a notebook: what readers without widgets are shown is the still with its alt text and the link."""
    one = sam_edu.explore(predictor_of_tiny, pages="https://somewhere.example/series")
    data, metadata = one._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == one.figure().png
    assert metadata["image/png"]["alt"] == one.figure().alt
    assert f'alt="{one.figure().alt}"' in data["text/html"]
    assert 'href="https://somewhere.example/series/explorer/#' in data["text/html"]
    assert one.figure().alt in data["text/plain"]
    assert "model_id" not in data["text/html"]


def test_nbconvert_shows_the_still(predictor_of_tiny):
    import nbformat
    from nbconvert import HTMLExporter

    one = sam_edu.explore(predictor_of_tiny)
    data, metadata = one._repr_mimebundle_()
    data["application/vnd.jupyter.widget-view+json"] = {"model_id": "gone", "version_major": 2, "version_minor": 1}
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("explorer", outputs=[output])])
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert one.figure().alt in page
    assert '"model_id": "gone"' not in page


@pytest.mark.no_shape_check
def test_what_is_no_predictor(predictor_of_tiny):
    with pytest.raises(TypeError, match=r"predictor: expected a sam_edu\.Predictor, got Sam"):
        sam_edu.explore(predictor_of_tiny.model)


def test_without_anywidget_it_says_how_to_get_it():
    script = """
import sys
sys.modules["anywidget"] = None
import sam_edu
try:
    sam_edu.explore(sam_edu.Predictor(sam_edu.load("tiny")))
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
