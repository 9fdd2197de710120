"""Figures of clips: the first frame kept, the action moving, as much as it should, sharp and true in colour."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from huvidpo.evaluation.estimates import mean, ratio, share
from huvidpo.evaluation.metrics import psnr
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.practice_clips import Scene, render_clip
from huvidpo.pocket.practice_data import TRAINING_SEEDS
from huvidpo.pocket.report.measures import amount_of_motion, colour_drift, sharpness
from huvidpo.pocket.report.of_frames import prompt
from huvidpo.pocket.report.studio import SHIPPED, Studio, Variant
from huvidpo.pocket.report.tables import Columns, Table, by_action, scenes_of

CONTINUED, UPLOADED = TRAINING_SEEDS + 60_000, TRAINING_SEEDS + 80_000  # first seeds; no training sees these
AIM = "first frame kept to 0.5 dB, motion 0.75 to 1.25 x, sharpness 0.85 x, "


@dataclass(frozen=True)
class Continued:
    """A first frame and its clip, beside the practice clip that shows how much it should move."""

    scene: Scene
    prompt: str
    first_frame: np.ndarray  # uint8 (h w 3)
    clip: np.ndarray  # uint8 (f h w 3)
    real: np.ndarray  # uint8 (f h w 3), a drawn clip of the same words


def clips_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Clips from first frames of the model's own, beside practice clips of the same words."""
    clips = own_clips(studio, count)
    note = "Prompts that no training drew, first frames of the default model. Motion: as a share of practice clips'."
    aim = AIM + "action from motion 95 %"
    return [Table("Clips from its own first frames", note, rows_of(studio, judge, clips), aim)]


def uploaded_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Clips from drawn first frames that the model did not make, as an uploaded picture would be."""
    clips = uploaded_clips(studio, count)
    note = "Drawn first frames of unseen seeds. Motion: as a share of the true clip's, which goes on as it must."
    aim = AIM + "action from motion 90 %"
    return [Table("Clips from uploaded first frames", note, rows_of(studio, judge, clips), aim)]


def own_clips(studio: Studio, count: int, variant: Variant = SHIPPED) -> list[Continued]:
    """`count` clips from prompts alone; the number of the clip is its noise."""
    made = []
    for i, scene in enumerate(tqdm(scenes_of(CONTINUED, count), desc="Clips", disable=None, leave=False)):
        text = prompt(scene, i)
        first = studio.first_frame(text, seed=i, model=variant.first_frame_model)
        clip = studio.clip(first, text, scene.action, i, variant)
        made.append(Continued(scene, text, first, clip, render_clip(scene)))
    return made


def uploaded_clips(studio: Studio, count: int, variant: Variant = SHIPPED) -> list[Continued]:
    """`count` clips that go on from the first frames of drawn clips; the number of the clip is its noise."""
    made = []
    for i, scene in enumerate(tqdm(scenes_of(UPLOADED, count), desc="Clips", disable=None, leave=False)):
        text, real = prompt(scene, i), render_clip(scene)
        made.append(Continued(scene, text, real[0], studio.clip(real[0], text, scene.action, i, variant), real))
    return made


def rows_of(studio: Studio, judge: Judge, clips: list[Continued]) -> dict[str, Columns]:
    """All clips, those of each action, and the practice clips beside them measured in the same way."""
    rows = by_action([clip.scene for clip in clips], clip_columns(studio, judge, clips))
    practice = [replace(clip, clip=clip.real, first_frame=clip.real[0]) for clip in clips]
    rows["practice clips"] = clip_columns(studio, judge, practice)([*range(len(clips))])
    return rows


def clip_columns(studio: Studio, judge: Judge, clips: list[Continued]) -> Callable[[list[int]], Columns]:
    """A function from numbers of clips to columns: everything that is measured of a clip."""
    answers = judge.actions_from_motion(np.stack([clip.clip for clip in clips]))
    right = np.array([answer == clip.scene.action for answer, clip in zip(answers, clips, strict=True)])
    through = studio.round_trip(np.stack([clip.first_frame for clip in clips]))
    kept = np.array([psnr(clip.clip[0], clip.first_frame) for clip in clips])
    best = np.array([psnr(back, clip.first_frame) for back, clip in zip(through, clips, strict=True)])
    moved = np.array([amount_of_motion(clip.clip) for clip in clips])
    real = np.array([amount_of_motion(clip.real) for clip in clips])
    sharp = np.array([(sharpness(clip.clip[-1]), sharpness(clip.clip[0])) for clip in clips])
    drift = np.array([colour_drift(clip.clip) for clip in clips])
    seen = [[answer["colour"] for answer in judge.answers(clip.clip[[0, -1]])] for clip in clips]
    same = np.array([first == last for first, last in seen])
    scores = np.array([judge.clip_score(clip.clip, clip.prompt) for clip in clips])

    def columns(chosen: list[int]) -> Columns:
        return {
            "action from motion, %": share(right[chosen]),
            "motion, x": ratio(moved[chosen], real[chosen]),
            "sharpness last/first, x": ratio(sharp[chosen, 0], sharp[chosen, 1]),
            "frame 0 PSNR, dB": mean(kept[chosen]),
            "less than autoencoder, dB": mean(best[chosen] - kept[chosen]),
            "colour drift, Delta E": mean(drift[chosen]),
            "same colour at end, %": share(same[chosen]),
            "CLIPScore": mean(scores[chosen]),
        }

    return columns
