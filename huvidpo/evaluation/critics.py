"""Who says which of two clips is better when nobody is asked: critics by name. Knows pixels and words, no adapters.

A critic gives a clip, uint8 (f h w 3) of at least four frames, and its prompt a number; higher is better. Scores of
one critic compare with each other, on clips of one prompt and first frame.

- `judge`: pocket's own judge: does the clip show its prompt, and does it do its action?
- `taste:warmer`, `taste:livelier`, `taste:steadier`: simulated tastes, for experiments
"""

from collections.abc import Callable

import numpy as np
import torch

from huvidpo.categories import CATEGORIES, find_category
from huvidpo.checks import check_choice
from huvidpo.evaluation.contestants import CRITICS
from huvidpo.evaluation.metrics import motion_magnitude
from huvidpo.pocket.judge import MOTION_ANSWERS, brightness, differences, load_judge
from huvidpo.presets import find_backbone

Critic = Callable[[np.ndarray, str], float]

# Tastes: uint8 (f h w 3) -> a number, higher is better. They judge whole clips and segments alike, so none may take a
# segment's first frame for the clip's.


def warmth(frames: np.ndarray) -> float:
    """How much redder than blue the clip is, in grey levels."""
    return float(frames[..., 0].astype(float).mean() - frames[..., 2].mean())


def steadiness(frames: np.ndarray) -> float:
    """How little the brightness of 16x16 parts of the picture jumps to and fro: minus the mean second difference."""
    grey = frames.astype(float).mean(axis=3)
    count, height, width = grey.shape
    parts = grey.reshape(count, 16, height // 16, 16, width // 16).mean(axis=(2, 4))
    return -float(np.abs(np.diff(parts, n=2, axis=0)).mean())


TASTES: dict[str, Callable[[np.ndarray], float]] = {
    "warmer": warmth,
    "livelier": motion_magnitude,
    "steadier": steadiness,
}


def find_critic(name: str, category: str, backbone: str) -> Critic:
    """The critic of that name for a category's clips. ValueError with the names for another one, or one that is unfit.

    The judge was trained on pocket's practice clips and knows nothing of others.
    """
    check_choice("critic", name, CRITICS)
    if name == "judge":
        if find_backbone(backbone).judge != "pocket":
            raise ValueError(f"The critic judge knows clips of pocket only, not of {backbone}; choose another one.")
        if find_category(category).name not in CATEGORIES:
            raise ValueError(f"The critic judge knows the eight actions only, not {category}; choose another one.")
        return judge_critic(category)
    taste = TASTES[name.removeprefix("taste:")]
    return lambda frames, prompt: taste(frames)


def judge_critic(category: str) -> Critic:
    """CLIPScore plus the probability that the motion is the category's action, both by pocket's judge.

    The second is near 0 or 1 for most clips and CLIPScores of one prompt differ by hundredths: so a clip that does
    its action beats one that does not, and among those that do the one that shows its prompt better wins.
    """
    judge, action = load_judge(), MOTION_ANSWERS.index(category)

    @torch.no_grad()
    def score(frames: np.ndarray, prompt: str) -> float:
        logits = judge.motion(differences(brightness(frames[None])))
        return judge.clip_score(frames, prompt) + float(logits.softmax(dim=1)[0, action])

    return score
