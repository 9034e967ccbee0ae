"""The held-out clicks: on which scenes they are, and that they lie on their masks."""

from sam_edu.ablation import FIRST_SCENE, TEST_STREAM, prompts_of
from sam_edu.evaluation import scores


def test_prompts_are_held_out_and_lie_on_their_masks() -> None:
    assert scores.TEST_STREAMS["ordinary"] == TEST_STREAM
    assert FIRST_SCENE == 1000  # behind the test scenes that give the published scores
    image, masks, prompts = prompts_of(FIRST_SCENE + 1)
    assert image.shape == (256, 256, 3)
    assert prompts
    assert [prompt.level for prompt in prompts] == sorted({prompt.level for prompt in prompts})
    for prompt in prompts:
        assert masks[prompt.mask, prompt.y, prompt.x]
        assert masks[prompt.mask].sum() == prompt.area
    assert prompts_of(FIRST_SCENE + 1)[2] == prompts
