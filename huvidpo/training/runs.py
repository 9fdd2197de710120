"""A preference run from a plan to a saved adapter, for the page and the command line. Knows adapters, not losses."""

import math
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from huvidpo.adapter_weights import PREFERENCE, apply_adapter, save_preference_adapter
from huvidpo.adapters import PREFERENCE_FILE, Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.memory import explained
from huvidpo.models.video_unet import VideoUNet
from huvidpo.preferences.own_clips import real_sha256
from huvidpo.preferences.pairs import TrainingSet
from huvidpo.training.examples import Encoded, encode_clips, encode_examples
from huvidpo.training.guard import Row
from huvidpo.training.preference import PreferenceRecord, train_preference
from huvidpo.training.preference_settings import PreferenceSettings, total_steps
from huvidpo.training.preference_state import run_outcome
from huvidpo.training.processes import process_number
from huvidpo.training.reference import TARGETS, lora_rank_and_alpha
from huvidpo.training.run_folders import held, mark_finished
from huvidpo.training.strength import CLIPS, Measuring, Strength, settle_strength
from huvidpo.training.validation import Validation

NO_ROOM = (
    "The GPU ran out of memory while learning from pairs: on the command line --members apart learns the same with "
    "about half of the memory; else close other programs on it, or use a larger GPU."
)


@dataclass(frozen=True)
class RunPlan:
    """Everything that decides a run. Plain data: it crosses into ZeroGPU's worker."""

    category: str
    preset: str
    settings: PreferenceSettings
    examples: TrainingSet
    start: Adapter | None  # None: the network without a category's motion
    work: Path  # checkpoint, latents, validation clips
    out: Path  # of the finished adapter; its last part is the adapter's name
    real: tuple[tuple[Path, str], ...] = ()  # clips and prompts for the real-clip term
    validation_clips: int = 1  # made every `validate_every` steps; 0 for none
    motion_clips: int = CLIPS  # whose motion decides how strong the adapter may be (with `settings.guard`); 0 for none

    def identity(self) -> str:
        """Names the examples, the real clips and the start: a run goes on only with the same ones."""
        start = self.start.revision() if self.start else "none"
        return f"{self.examples.sources_sha256} {real_sha256(self.real) or 0} {start}"


def fitted_to_start(settings: PreferenceSettings, start: Adapter | None) -> PreferenceSettings:
    """The settings with rank and alpha of the preference adapter that training goes on from, where there is one."""
    if (file := learned_before(start)) is None:
        return settings
    rank, alpha = lora_rank_and_alpha(file)
    return replace(settings, rank=rank, alpha=alpha)


def train_plan(
    backbone: LoadedBackbone, plan: RunPlan, seconds: float = math.inf
) -> Iterator[Encoded | PreferenceRecord | Measuring | Adapter]:
    """Trains, for at most so many seconds; yields every encoded clip, every step, the measuring, the saved adapter.

    What a slice has learned is kept when it ends: the next one goes on there. ValueError for clips that cannot be
    read, settings out of range, a folder that holds another run, or one that somebody goes on with now. Closing the
    generator ends the slice.
    """
    deadline, unet = time.monotonic() + seconds, backbone.video.unet
    no_room = NO_ROOM if plan.settings.members == "together" else ""
    alone = held(plan.work) if process_number()[0] == 0 else nullcontext()
    with backbone.lock, alone, explained(backbone.memory, backbone.memory_modes(), no_room):
        try:
            backbone.make_room_to_learn()
            apply_adapter(unet, plan.start, backbone.still_motion)
            unet.unload_lora()
            with closing(steps_of(backbone, plan)) as records:
                for record in records:
                    yield record
                    if time.monotonic() >= deadline and not is_over(record):
                        return
            strength = Strength(1.0, -1.0)
            use_precision_of_clips(unet)
            if plan.settings.guard and plan.motion_clips:
                measured = validation_of(backbone, plan, "strength", plan.motion_clips)
                steps = len(run_outcome(plan.work).rows)
                for strength in settle_strength(unet, learned_before(plan.start), measured, steps):
                    if isinstance(strength, Measuring):
                        yield strength
                        if time.monotonic() >= deadline:
                            return
            if process_number()[0] == 0:
                yield save_run(backbone, plan, strength)
        finally:
            unet.disable_gradient_checkpointing()
            apply_adapter(unet, None, backbone.still_motion)


def use_precision_of_clips(unet: VideoUNet) -> None:
    """Learned in single precision, a LoRA is measured and used in that of the network, which is faster."""
    for name, parameter in unet.named_parameters():
        if f".{PREFERENCE}." in name:
            parameter.data = parameter.data.to(unet.dtype)


def steps_of(backbone: LoadedBackbone, plan: RunPlan) -> Iterator[Encoded | PreferenceRecord]:
    """The training of a plan, on a UNet that has the start's motion: its clips encoded, then step after step."""
    preset = backbone.preset
    size = (preset.num_frames, preset.width, preset.height)
    clips = (backbone.video, plan.examples, plan.real, size, plan.work / "latents")
    yield from encode_clips(*clips)
    encoded = encode_examples(*clips)
    validate = validation_of(backbone, plan, "clips", plan.validation_clips) if plan.validation_clips else None
    start = learned_before(plan.start)
    yield from train_preference(
        backbone.video, encoded, plan.settings, plan.work, preset.num_frames, plan.identity(), start, validate
    )


def validation_of(backbone: LoadedBackbone, plan: RunPlan, folder: str, count: int) -> Validation:
    """So many clips of the plan's first examples, with the recipe that everybody gets."""
    preset = backbone.preset
    size = (preset.num_frames, preset.width, preset.height)
    recipe = preset.recipe("default")
    return Validation(backbone.video, plan.examples, size, preset.fps, plan.work / folder, count, recipe)


def learned_before(start: Adapter | None) -> Path | None:
    """The preference adapter that training goes on from, where there is one."""
    file = start.folder / PREFERENCE_FILE if start else None
    return file if file and file.is_file() else None


def is_over(record: Encoded | PreferenceRecord) -> bool:
    """Whether a step was the last of its run."""
    if isinstance(record, Encoded):
        return False
    return bool(record.stopped) or record.step >= record.steps or record.seconds_left <= 0


def save_run(backbone: LoadedBackbone, plan: RunPlan, strength: Strength) -> Adapter:
    """Saves the adapter that the UNet holds at the end of a run, with its card."""
    saved = save_preference_adapter(backbone.video.unet, plan.out, run_card(backbone, plan, strength))
    mark_finished(plan.work)
    return saved


def run_card(backbone: LoadedBackbone, plan: RunPlan, strength: Strength) -> dict[str, object]:
    """What the adapter's card says: what was learned, from what, how, and how it ended."""
    outcome = run_outcome(plan.work)
    chosen = {name: value for name, value in asdict(plan.settings).items() if value is not None}
    return {
        **chosen,
        "backbone": backbone.preset.name,
        "backbone_revision": backbone.revision(),
        "category": plan.category,
        "parent": plan.start.name if plan.start else "none",
        "parent_revision": plan.start.revision() if plan.start else "",
        "preset": plan.preset,
        "target_modules": list(TARGETS),  # of the LoRA: all attention, over space, text and time
        "examples": len(plan.examples),
        "left_out": plan.examples.left_out,
        "sources_sha256": plan.examples.sources_sha256,
        "ratings": plan.examples.ratings,
        "raters": plan.examples.raters,
        "agreement": plan.examples.agreement,
        "real_clips": len(plan.real),
        "real_sha256": real_sha256(plan.real),
        "steps": outcome.step,
        "planned_steps": total_steps(plan.settings, len(plan.examples)),
        "stopped_because": outcome.stopped,
        "strength": strength.value,
        "motion": round(strength.motion, 4),
        **last_numbers(outcome.rows),
    }


def last_numbers(rows: list[Row]) -> dict[str, float | None]:
    """Means over the last tenth of a run, as `final_margin` and so on; None for what was not measured there."""
    last = rows[-max(1, len(rows) // 10) :]
    found = {}
    for name in ("loss", "margin", "accuracy", "winner_drift", "loser_drift"):
        known = [row[name] for row in last if row[name] is not None]
        found[f"final_{name}"] = round(sum(known) / len(known), 6) if known else None
    return found
