"""Evaluation: systems x prompts x seeds, made, measured and collected in one folder (its layout: `results.py`).

What is there already and was made from the same settings is kept, so a broken-off evaluation goes on, and several
processes share the work. Knows no command line and no report.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.baselines import make_baseline_clip
from huvidpo.evaluation.clip_folders import copy_clip, find_clip
from huvidpo.evaluation.judges import Vision, measure_clip
from huvidpo.evaluation.prompts import Task
from huvidpo.evaluation.results import ClipResult, Plain, Results, System, clip_name, write_results
from huvidpo.evaluation.systems import BATCH, Contestant, made_from, make_clips, system_settings
from huvidpo.images import read_image, write_png
from huvidpo.takes import FirstFrameRequest, first_frame_metadata, make_first_frame, versions
from huvidpo.training.processes import own_share, process_number, wait_for_all
from huvidpo.video import read_frames, read_metadata, replacing, write_mp4

MEASURES = 1  # goes up when a metric changes, so that clips are measured again


@dataclass(frozen=True)
class Step:
    """One thing done, for a progress bar."""

    done: int
    total: int
    what: str


@dataclass
class Evaluation:
    """What is to be compared, on what, judged by whom, and where it is kept."""

    backbone: LoadedBackbone
    vision: Vision
    contestants: list[Contestant]
    tasks: list[Task]
    folder: Path
    settings: dict[str, Plain] = field(default_factory=dict)  # of the call, for the results

    def run(self) -> Iterator[Step | Results]:
        """Makes and measures what is missing, yields each step, and in the first process at last the results.

        One clip's failure is a sentence in the results, and the rest of the work goes on.
        """
        yield from counted("first frames", own_share(self.first_frames()), self.make_first_frame)
        wait_for_all()  # every system needs them
        yield from counted("clips", own_share(self.batches()), self.make_batch)
        wait_for_all()  # the process that made a clip is not the one that measures it
        wanted = [(contestant, task) for contestant in self.contestants for task in self.tasks]
        yield from counted("measures", own_share(wanted), self.measure)
        wait_for_all()
        if process_number()[0] == 0:
            results = self.collect()
            write_results(results, self.folder)
            yield results

    def first_frames(self) -> list[tuple[str, Task]]:
        """The first frames that the contestants need, each once: (model, task)."""
        made_here = [contestant for contestant in self.contestants if not contestant.clips and not contestant.baseline]
        models = dict.fromkeys(self.first_frame_model(contestant) for contestant in made_here)
        return [(model, task) for model in models for task in self.tasks]

    def first_frame_model(self, contestant: Contestant) -> str:
        """The first-frame model that a contestant goes on from."""
        return contestant.first_frame_model or self.backbone.preset.first_frame_models[0]

    def first_frame_path(self, model: str, task: Task) -> Path:
        return self.folder / "first_frames" / model / f"{clip_name(task.prompt_id, task.seed)}.png"

    def make_first_frame(self, wanted: tuple[str, Task]) -> None:
        """Draws one first frame unless it is there, made from the same settings."""
        model, task = wanted
        if model not in self.backbone.preset.first_frame_models:
            return  # said once for the system, when its clips are made
        path = self.first_frame_path(model, task)
        request = FirstFrameRequest(task.prompt, seed=task.seed, model=model)
        settings = first_frame_metadata(self.backbone, request)
        if path.is_file() and json.loads(read_image(path).info.get("Comment", "{}")) == settings:
            return
        *_, frame = make_first_frame(self.backbone, request)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(frame.image, path, settings)

    def first_frame(self, contestant: Contestant, task: Task) -> Image.Image | None:
        """The picture that a clip is to continue; None where none was drawn or the system is given words only."""
        if contestant.baseline:
            return None
        path = self.first_frame_path(self.first_frame_model(contestant), task)
        return read_image(path).convert("RGB") if path.is_file() else None

    def batches(self) -> list[tuple[Contestant, list[Task]]]:
        """The work in pieces of one system and one category each."""
        groups: dict[tuple[int, str], list[Task]] = defaultdict(list)
        for i in range(len(self.contestants)):
            for task in self.tasks:
                groups[i, task.category].append(task)
        size = BATCH.get(self.backbone.preset.name, 1)
        return [
            (self.contestants[i], tasks[start : start + size])
            for (i, _), tasks in groups.items()
            for start in range(0, len(tasks), size)
        ]

    def make_batch(self, batch: tuple[Contestant, list[Task]]) -> None:
        """Makes those clips of a batch that are not there; writes down why where it cannot."""
        contestant, tasks = batch
        try:
            if contestant.clips:
                for task in tasks:
                    self.take_over(contestant, task)
            elif contestant.baseline:
                for task in tasks:
                    self.make_baseline(contestant, task)
            else:
                self.sample(contestant, tasks)
        except ValueError as error:
            for task in tasks:
                self.write_sidecar(contestant, task, {"problem": str(error)})

    def sample(self, contestant: Contestant, tasks: list[Task]) -> None:
        """Samples the missing clips of a batch at once."""
        model = self.first_frame_model(contestant)
        if model not in self.backbone.preset.first_frame_models:
            raise ValueError(f"{self.backbone.preset.name} has no first-frame model {model!r}.")
        missing = []
        for task in tasks:
            image = self.first_frame(contestant, task)
            settings = made_from(self.backbone, contestant, task.category, task.prompt, task.seed, image)
            path = self.clip_path(contestant, task)
            if not path.is_file() or read_metadata(path) != settings:
                missing.append((task, image, settings))
        if missing:
            todo, images, settings = zip(*missing, strict=True)
            prompts, seeds = [task.prompt for task in todo], [task.seed for task in todo]
            clips = make_clips(self.backbone, contestant, todo[0].category, prompts, list(images), seeds)
            for task, frames, made in zip(todo, clips, settings, strict=True):
                self.write_clip(contestant, task, frames, made)

    def make_baseline(self, contestant: Contestant, task: Task) -> None:
        """A clip by a system of others, from the prompt alone."""
        settings = {"prompt": task.prompt, "seed": task.seed, "system.baseline": contestant.baseline}
        settings |= versions(self.backbone)
        path = self.clip_path(contestant, task)
        if not path.is_file() or read_metadata(path) != settings:
            preset = self.backbone.preset
            size = (preset.num_frames, preset.width, preset.height)
            frames = make_baseline_clip(contestant.baseline, self.backbone.device, task.prompt, task.seed, *size)
            self.write_clip(contestant, task, frames, settings)

    def write_clip(self, contestant: Contestant, task: Task, frames: np.ndarray, settings: dict[str, Plain]) -> None:
        path = self.clip_path(contestant, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mp4(frames, path, self.backbone.preset.fps, settings)

    def take_over(self, contestant: Contestant, task: Task) -> None:
        """Copies a finished clip into the evaluation's folder; writes down why where it cannot."""
        try:
            copy_clip(Path(contestant.clips), clip_name(task.prompt_id, task.seed), self.clip_path(contestant, task))
        except ValueError as error:
            self.write_sidecar(contestant, task, {"problem": str(error)})

    def clip_path(self, contestant: Contestant, task: Task) -> Path:
        """Where a clip lies or will lie; an own clip may have another suffix than .mp4."""
        folder, name = self.folder / "clips" / contestant.name, clip_name(task.prompt_id, task.seed)
        return find_clip(folder, name) or folder / f"{name}.mp4"

    def measure(self, wanted: tuple[Contestant, Task]) -> None:
        """Measures one clip from its file, unless that was done; writes down why where it cannot."""
        contestant, task = wanted
        path = self.clip_path(contestant, task)
        if not path.is_file():
            return  # why is written down already
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        key = {"sha256": digest, "measures": MEASURES, "prompt": task.prompt, "judge": self.vision.names}
        known = self.read_sidecar(contestant, task)
        if {name: known.get(name) for name in key} == key:
            return
        try:
            frames, _ = read_frames(path)
            image = self.first_frame(contestant, task)
            pixels = None if image is None else np.asarray(image)
            metrics = measure_clip(self.vision, frames, task.prompt, task.category, pixels)
            self.write_sidecar(contestant, task, {**key, "metrics": metrics, "shape": frames.shape})
        except ValueError as error:
            self.write_sidecar(contestant, task, {"problem": str(error)})

    def sidecar(self, contestant: Contestant, task: Task) -> Path:
        name = f"{clip_name(task.prompt_id, task.seed)}.json"
        return self.folder / "clips" / contestant.name / name

    def write_sidecar(self, contestant: Contestant, task: Task, row: dict[str, object]) -> None:
        path = self.sidecar(contestant, task)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(row) + "\n", encoding="utf-8")

    def read_sidecar(self, contestant: Contestant, task: Task) -> dict:
        try:
            row = json.loads(self.sidecar(contestant, task).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return row if isinstance(row, dict) else {}

    def collect(self) -> Results:
        """All that was measured, with one sentence for everything that is missing or unlike the rest."""
        clips, missing, shapes = [], defaultdict(list), defaultdict(Counter)
        for contestant in self.contestants:
            for task in self.tasks:
                row = self.read_sidecar(contestant, task)
                if "metrics" in row:
                    file = self.clip_path(contestant, task).relative_to(self.folder).as_posix()
                    ids = (contestant.name, task.category, task.prompt_id, task.prompt, task.seed)
                    clips.append(ClipResult(*ids, file, row["metrics"]))
                    shapes[contestant.title][tuple(row["shape"])] += 1
                else:
                    missing[contestant.title, str(row.get("problem", "no clip was made."))].append(task)
        problems = [missing_sentence(*key, tasks) for key, tasks in missing.items()] + shape_sentences(shapes)
        categories = list(dict.fromkeys(task.category for task in self.tasks))
        systems = tuple(self.system(contestant, categories) for contestant in self.contestants)
        settings = {**self.settings, **versions(self.backbone), "tasks": len(self.tasks), "measures": MEASURES}
        settings |= {f"judge.{name}": model for name, model in self.vision.names.items()}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return Results(self.backbone.preset.name, created, settings, systems, tuple(clips), tuple(problems))

    def system(self, contestant: Contestant, categories: list[str]) -> System:
        """A contestant with its settings, in the categories where it has any."""
        settings: dict[str, Plain] = {}
        for category in categories:
            try:
                settings |= system_settings(self.backbone, contestant, [category])
            except ValueError:
                continue  # its problem is in the list
        return System(contestant.name, contestant.title, settings)


def counted(what: str, items: list, do: Callable) -> Iterator[Step]:
    """Does something with each item and says so."""
    for done, item in enumerate(items, start=1):
        do(item)
        yield Step(done, len(items), what)


def missing_sentence(title: str, problem: str, tasks: list[Task]) -> str:
    """Which clips a system lacks, and why."""
    names = [clip_name(task.prompt_id, task.seed) for task in tasks]
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{title}: no figures for {shown}. {problem}"


def shape_sentences(shapes: dict[str, Counter]) -> list[str]:
    """A sentence for every kind of clip that is not the usual one: figures of pixels do not compare across sizes."""
    every = sum(shapes.values(), Counter())
    if len(every) < 2:
        return []
    frames, height, width, _ = usual = every.most_common(1)[0][0]
    return [
        f"{title}: {count} clips have {shape[0]} frames of {shape[2]}x{shape[1]} pixels, most others {frames} of "
        f"{width}x{height}; SSIM, MSE and flicker depend on that."
        for title, counts in shapes.items()
        for shape, count in counts.items()
        if shape != usual
    ]
