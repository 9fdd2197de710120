"""What critics prefer, on clips whose answer is known."""

import numpy as np
import pytest

from huvidpo.evaluation.contestants import CRITICS
from huvidpo.evaluation.critics import TASTES, find_critic, steadiness, warmth
from huvidpo.pocket.practice_clips import caption, render_clip, sample_scene


def clip(brightness: list[int], red: list[int]) -> np.ndarray:
    frames = np.zeros((len(brightness), 32, 32, 3), np.uint8)
    frames += np.array(brightness, np.uint8)[:, None, None, None]
    frames[..., 0] += np.array(red, np.uint8)[:, None, None]
    return frames


def test_warmth_is_of_all_frames_of_a_clip_or_segment() -> None:
    """Red less blue is 10, 30 and 50. A segment that is warm throughout wins against one that only becomes warmer."""
    assert warmth(clip([5, 90, 5], [10, 30, 50])) == 30
    assert warmth(clip([5] * 4, [50] * 4)) > warmth(clip([5] * 4, [0, 20, 40, 60]))


def test_steadiness_sees_flicker_and_not_a_fade() -> None:
    """0, 20, 0, 20 has second differences of -40, 40; an even fade has none."""
    assert steadiness(clip([0, 20, 0, 20], [0] * 4)) == -40
    assert steadiness(clip([0, 20, 40, 60], [0] * 4)) == 0


def test_the_judge_prefers_the_action_then_the_prompt() -> None:
    """A practice clip of the action beats its first frame repeated, and the same clip under another colour's words."""
    scene = sample_scene(5_000_001, action="horse")
    moving, words = render_clip(scene), caption(scene)
    still = np.repeat(moving[:1], len(moving), axis=0)
    judge = find_critic("judge", "horse", "pocket")
    assert judge(moving, words) > judge(still, words) + 0.5
    other = next(colour for colour in ("green", "purple") if colour not in words)
    wrong = words.replace(scene.colour, other)
    assert wrong != words and judge(moving, words) > judge(moving, wrong)


def test_critics_go_by_name() -> None:
    warmer = find_critic("taste:warmer", "horse", "sd14")
    assert warmer(clip([5, 90, 5], [10, 30, 50]), "any words") == 30
    assert {*CRITICS} == {"judge", *(f"taste:{name}" for name in TASTES)}
    with pytest.raises(ValueError, match=f"There is no critic 'taste:louder'; choose one of: {', '.join(CRITICS)}"):
        find_critic("taste:louder", "horse", "pocket")
    with pytest.raises(ValueError, match="There is no category 'swim'"):
        find_critic("judge", "swim", "pocket")
    with pytest.raises(ValueError, match="knows clips of pocket only"):
        find_critic("judge", "horse", "sd14")
