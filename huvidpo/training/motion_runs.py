"""A motion run from a category's clips to a saved adapter, for programs and the command line. Knows no losses."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

from huvidpo.adapter_weights import apply_adapter, save_motion_adapter
from huvidpo.adapters import Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.candidates import promote_first
from huvidpo.home import CHECKPOINT
from huvidpo.memory import explained
from huvidpo.training.clips import TrainingClip
from huvidpo.training.loop import StepRecord
from huvidpo.training.motion import steps_done, train_motion
from huvidpo.training.motion_settings import MotionSettings, Origin, begun_with
from huvidpo.training.processes import copied_from_first, process_number
from huvidpo.training.run_folders import motions, new_motion

# No memory mode helps: whatever can leave the GPU has left it by then.
NO_ROOM = (
    "The GPU ran out of memory while learning: give fewer --clips-per-step, close other programs that use it, or "
    "choose the backbone pocket, which needs far less."
)


def train_category(
    backbone: LoadedBackbone,
    category: str,
    clips: list[TrainingClip],
    settings: MotionSettings,
    out: Path,
    start: Adapter | None = None,
    clips_folder: str = "",
) -> Iterator[StepRecord | Adapter]:
    """Learns a category's motion from that of `start` on; yields a record per step, at last the adapter in `out`.

    A run that lies in `out` already goes on from what it learned since its own start. A category's first adapter is
    its default at once. Of several processes the first one saves, and yields the adapter. `clips_folder` is where a
    run that goes on may read the clips again. Raises ValueError as `training.motion.train_motion` does.
    """
    pipeline, last = backbone.video, None
    with explained(backbone.memory, backbone.memory_modes(), NO_ROOM):
        backbone.make_room_to_learn()
        apply_adapter(pipeline.unet, start, backbone.still_motion)
        pipeline.unet.unload_lora()  # only motion is trained, and only motion is saved
        origin = replace(origin_of(backbone, start, out), clips_folder=clips_folder)
        pipeline.unet.set_attention(origin.attention)
        out.mkdir(parents=True, exist_ok=True)
        with closing(train_motion(pipeline, clips, settings, out, origin)) as records:
            for last in records:
                yield last
    if process_number()[0] > 0:
        return
    card = asdict(settings) | asdict(origin)
    card.pop("clips_folder")  # a path of this machine
    card |= {
        "backbone": backbone.preset.name,
        "category": category,
        "clips": [clip.name for clip in clips],
        "steps": last.step if last else steps_done(out),
        "final_loss": round(last.loss, 5) if last else None,  # None: the run was over already
    }
    saved = save_motion_adapter(pipeline.unet, out, card)
    promote_first(saved)
    yield saved


def origin_of(backbone: LoadedBackbone, start: Adapter | None, out: Path) -> Origin:
    """What a run begins with; where one lies in `out`, what that began with."""
    now = Origin(
        start=start.name if start else "none",
        start_revision=start.revision() if start else "",
        attention=backbone.video.unet.config.attention,
        backbone_revision=backbone.revision(),
    )
    before = begun_with(out) if (out / CHECKPOINT).exists() else {}
    return replace(now, **{name: before[name] for name in ("start", "start_revision", "attention") if name in before})


def new_folder(backbone: str, category: str) -> Path:
    """`run_folders.new_motion`; in all processes the folder of the first one, which makes it."""
    name = new_motion(backbone, category).name if process_number()[0] == 0 else ""
    return motions(backbone, category) / copied_from_first(name)
