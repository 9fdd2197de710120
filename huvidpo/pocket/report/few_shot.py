"""The few-shot curve: figures against the number of clips and of training steps. Trains in a folder of its own.

Every run starts from the image model, which has never seen anything move, and is shown that many clips of each action,
all actions together. (The shipped weights go on from such a run with each action alone.) Hours on two cores.
"""

import itertools
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from huvidpo.adapter_weights import apply_adapter, save_motion_adapter
from huvidpo.adapters import read_adapter
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.practice_clips import ACTIONS
from huvidpo.pocket.report.ablations import columns_of_clips
from huvidpo.pocket.report.of_clips import uploaded_clips
from huvidpo.pocket.report.studio import SHIPPED, Studio
from huvidpo.pocket.report.tables import Table
from huvidpo.pocket.train_motion import START, few_shot_clips
from huvidpo.training.motion import train_motion

CLIPS = (2, 4, 8, 16, 64)  # of each action
STEPS = (125, 250, 500)  # each run goes on from the one before it


def few_shot_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """A row for every number of clips and of steps, measured on `count` uploaded first frames."""
    rows = {}
    for clips, steps in itertools.product(CLIPS, STEPS):
        variant = replace(SHIPPED, adapter=str(trained(studio, clips, steps)))
        rows[f"{clips} clips, {steps} steps"] = columns_of_clips(studio, judge, uploaded_clips(studio, count, variant))
    note = "Motion from that many clips of each action, all actions together, from an image model that never moved."
    return [Table("Few-shot curve", note, rows)]


def trained(studio: Studio, clips: int, steps: int) -> Path:
    """The folder of an adapter trained on the first `clips` clips of every action; trained now if it is not there.

    It goes on from the run with fewer steps where there is one, with the learning rate up again.
    """
    run = studio.folder / "few-shot" / f"{studio.weights}-{clips}-clips"
    folder = (run / f"{steps}-steps").resolve()
    if read_adapter(folder) is None:
        pipeline = studio.backbone.video
        apply_adapter(pipeline.unet, None, studio.backbone.still_motion)
        shown = list(itertools.chain.from_iterable(few_shot_clips(action, clips) for action in ACTIONS))
        records = train_motion(pipeline, shown, replace(START, steps=steps), run)
        for _ in tqdm(records, desc=f"{clips} clips, {steps} steps", unit="step", disable=None):
            pass
        card = {"backbone": studio.backbone.preset.name, "category": "all", "clips": clips, "steps": steps}
        save_motion_adapter(pipeline.unet, folder, card)
    return folder
