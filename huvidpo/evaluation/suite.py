"""Evaluation: systems x prompts x seeds, made, measured and collected in one folder (its layout: `results.py`).

What is there already and was made from the same settings is kept, so a broken-off evaluation goes on, and several
processes share the work. Knows no command line and no report.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.baselines import make_baseline_clip
from huvidpo.evaluation.clip_folders import checked_clip, copy_clip
from huvidpo.evaluation.contestants import Contestant
from huvidpo.evaluation.judges import Vision, measure_clip, programs
from huvidpo.evaluation.places import ClipPlace, picture_at, settings_inside
from huvidpo.evaluation.prompts import Task
from huvidpo.evaluation.remarks import fps_sentences, missing_sentence, sentence_of, shape_sentences
from huvidpo.evaluation.results import ClipResult, Plain, Results, System, clip_name, has_clips, write_results
from huvidpo.evaluation.systems import environment, image_digest, made_from, make_clips, system_settings
from huvidpo.images import write_png
from huvidpo.memory import explained
from huvidpo.requests import FirstFrameRequest
from huvidpo.takes import first_frame_metadata, make_first_frame, versions
from huvidpo.training.processes import own_share, process_number, wait_for_all
from huvidpo.video import read_frames, read_metadata, write_mp4

MEASURES = 3  # goes up when a metric changes, so that clips are measured again


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
            if results.clips or not has_clips(self.folder):  # an older report is worth more than an empty one
                write_results(results, self.folder)
            yield results

    # First frames

    def first_frames(self) -> list[tuple[str, Task]]:
        """The first frames that the contestants need, each once: (model, task)."""
        if self.only_folder():
            return []
        made_here = [contestant for contestant in self.contestants if not contestant.clips and not contestant.baseline]
        models = dict.fromkeys(self.first_frame_model(contestant) for contestant in made_here)
        return [(model, task) for model in models for task in self.tasks]

    def first_frame_model(self, contestant: Contestant) -> str:
        """The first-frame model that a contestant goes on from."""
        return contestant.first_frame_model or self.backbone.preset.first_frame_models[0]

    def only_folder(self) -> str:
        """The first folder of finished clips when nothing else is compared; "" else. Nothing is drawn then."""
        moving = [contestant.clips for contestant in self.contestants if not contestant.still]
        return moving[0] if moving and all(moving) else ""

    def first_frame_path(self, model: str, task: Task) -> Path:
        return self.folder / "first_frames" / model / f"{clip_name(task.prompt_id, task.seed)}.png"

    def make_first_frame(self, wanted: tuple[str, Task]) -> None:
        """Draws one first frame unless it is there, made from the same settings; notes why where it cannot."""
        model, task = wanted
        if model not in self.backbone.preset.first_frame_models:
            return  # said once for the system, when its clips are made
        path = self.first_frame_path(model, task)
        request = FirstFrameRequest(task.prompt, seed=task.seed, model=model)
        weights = {"backbone_revision": self.backbone.first_frame_revision(request.model)}
        settings = first_frame_metadata(self.backbone, request) | weights
        if settings_inside(path) == settings:
            return
        try:
            *_, frame = make_first_frame(self.backbone, request)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(frame.image, path, settings)
        except (ValueError, RuntimeError) as error:
            path.unlink(missing_ok=True)
            ClipPlace(path.parent, path.stem).note({"problem": sentence_of(error)})

    def first_frame(self, contestant: Contestant, task: Task) -> Image.Image:
        """The picture that a clip is to continue. ValueError with the reason when there is none."""
        model = self.first_frame_model(contestant)
        if model not in self.backbone.preset.first_frame_models:
            raise ValueError(f"{self.backbone.preset.name} has no first-frame model {model!r}.")
        path = self.first_frame_path(model, task)
        if picture := picture_at(path):
            return picture
        raise ValueError(str(ClipPlace(path.parent, path.stem).notes().get("problem", "It has no first frame.")))

    def continued(self, clip: Path, task: Task) -> Image.Image | None:
        """The first frame of ours that a clip says it continues; None for a clip that says nothing of the kind."""
        claimed = read_metadata(clip).get("first_frame_sha256")
        for model in self.backbone.preset.first_frame_models if claimed else ():
            picture = picture_at(self.first_frame_path(model, task))
            if picture and image_digest(picture) == claimed:
                return picture
        return None

    # Clips

    def batches(self) -> list[tuple[Contestant, list[Task]]]:
        """The work in pieces of one system and one category each."""
        groups: dict[tuple[int, str], list[Task]] = defaultdict(list)
        for i in range(len(self.contestants)):
            for task in self.tasks:
                groups[i, task.category].append(task)
        size = self.backbone.preset.clips_at_once
        return [
            (self.contestants[i], tasks[start : start + size])
            for (i, _), tasks in groups.items()
            for start in range(0, len(tasks), size)
        ]

    def place(self, contestant: Contestant, task: Task) -> ClipPlace:
        """Where a clip lies or will lie."""
        return ClipPlace(self.folder / "clips" / contestant.name, clip_name(task.prompt_id, task.seed))

    @contextmanager
    def noting(self, contestant: Contestant, tasks: Sequence[Task]) -> Iterator[None]:
        """What goes wrong inside is the reason why these clips are not there; older ones would pass for them."""
        try:
            with explained(self.backbone.memory, self.backbone.memory_modes()):
                yield
        except (ValueError, RuntimeError) as error:
            for task in tasks:
                self.place(contestant, task).fail(sentence_of(error))

    def make_batch(self, batch: tuple[Contestant, list[Task]]) -> None:
        """Makes those clips of a batch that are not there; notes why where it cannot."""
        contestant, tasks = batch
        if contestant.clips:
            make = self.take_over
        elif contestant.baseline:
            make = self.make_baseline
        elif contestant.still:
            make = self.make_still
        else:
            return self.sample(contestant, tasks)
        for task in tasks:
            with self.noting(contestant, [task]):
                make(contestant, task)

    def sample(self, contestant: Contestant, tasks: list[Task]) -> None:
        """Samples the missing clips of a batch at once."""
        missing = []
        for task in tasks:
            with self.noting(contestant, [task]):
                image = self.first_frame(contestant, task)
                settings = made_from(self.backbone, contestant, task.category, task.prompt, task.seed, image)
                if not self.place(contestant, task).is_made_from(settings):
                    missing.append((task, image, settings))
        if missing:
            todo, images, settings = zip(*missing, strict=True)
            prompts, seeds = [task.prompt for task in todo], [task.seed for task in todo]
            with self.noting(contestant, todo):
                clips = make_clips(self.backbone, contestant, todo[0].category, prompts, list(images), seeds)
                for task, frames, made in zip(todo, clips, settings, strict=True):
                    self.write_clip(contestant, task, frames, made)

    def make_baseline(self, contestant: Contestant, task: Task) -> None:
        """A clip by a system of others, from the prompt alone."""
        preset = self.backbone.preset
        size = {"num_frames": preset.num_frames, "width": preset.width, "height": preset.height}
        settings = {"prompt": task.prompt, "seed": task.seed, **versions(self.backbone), **size}
        settings |= system_settings(self.backbone, contestant, [])
        if not self.place(contestant, task).is_made_from(settings):
            device = self.backbone.device
            frames = make_baseline_clip(contestant.baseline, device, task.prompt, task.seed, *size.values())
            self.write_clip(contestant, task, frames, settings)

    def make_still(self, contestant: Contestant, task: Task) -> None:
        """The first frame, repeated; where folders alone are compared, that of the first one's clip, as long as it."""
        count = self.backbone.preset.num_frames
        if folder := self.only_folder():
            frames, _ = read_frames(checked_clip(Path(folder), clip_name(task.prompt_id, task.seed)))
            count, image = len(frames), Image.fromarray(frames[0])
        else:
            image = self.first_frame(contestant, task)
        settings = made_from(self.backbone, contestant, task.category, task.prompt, task.seed, image)
        settings["num_frames"] = count
        if not self.place(contestant, task).is_made_from(settings):
            self.write_clip(contestant, task, np.repeat(np.asarray(image)[None], count, axis=0), settings)

    def write_clip(self, contestant: Contestant, task: Task, frames: np.ndarray, settings: dict[str, Plain]) -> None:
        place = self.place(contestant, task)
        place.folder.mkdir(parents=True, exist_ok=True)
        write_mp4(frames, place.folder / f"{place.name}.mp4", self.backbone.preset.fps, settings)

    def take_over(self, contestant: Contestant, task: Task) -> None:
        """Copies a finished clip into the evaluation's folder."""
        place = self.place(contestant, task)
        copy_clip(Path(contestant.clips), place.name, place.folder)
        place.make_shown()

    # Figures

    def measure(self, wanted: tuple[Contestant, Task]) -> None:
        """Measures one clip from its file, unless that was done; notes why where it cannot."""
        contestant, task = wanted
        place = self.place(contestant, task)
        if not place.clip().is_file():
            return  # why is noted already
        try:
            with explained(self.backbone.memory, self.backbone.memory_modes()):
                image = self.continued(place.clip(), task)
                key = self.measured_from(place.clip(), task, image)
                if {name: place.notes().get(name) for name in key} == key:
                    return
                frames, fps = read_frames(place.clip())
                pixels = None if image is None else np.asarray(image)
                metrics = measure_clip(self.vision, frames, task.prompt, task.category, pixels)
                place.note({**key, "metrics": metrics, "shape": frames.shape, "fps": fps})
        except (ValueError, RuntimeError) as error:
            place.note({"problem": sentence_of(error)})

    def measured_from(self, clip: Path, task: Task, image: Image.Image | None) -> dict[str, object]:
        """Everything that decides a clip's figures."""
        digest = hashlib.sha256(clip.read_bytes()).hexdigest()
        key = {"sha256": digest, "first_frame": "" if image is None else image_digest(image), "measures": MEASURES}
        key |= {"prompt": task.prompt, "category": task.category}
        return key | {"judge": self.vision.names, "judge_weights": self.vision.weights, "programs": programs()}

    def collect(self) -> Results:
        """All that was measured, with one sentence for everything that is missing or unlike the rest."""
        clips, missing, shapes, rates = [], defaultdict(list), defaultdict(Counter), defaultdict(Counter)
        for contestant in self.contestants:
            for task in self.tasks:
                place = self.place(contestant, task)
                row = place.notes()
                if "metrics" in row:
                    file = place.shown().relative_to(self.folder).as_posix()
                    ids = (contestant.name, task.category, task.prompt_id, task.prompt, task.seed)
                    clips.append(ClipResult(*ids, file, row["metrics"]))
                    shapes[contestant.title][tuple(row["shape"])] += 1
                    rates[contestant.title][row["fps"]] += 1
                else:
                    missing[contestant.title, str(row.get("problem", "No clip was made."))].append(place.name)
        problems = [missing_sentence(*key, names) for key, names in missing.items()]
        problems += shape_sentences(shapes) + fps_sentences(rates)
        categories = list(dict.fromkeys(task.category for task in self.tasks))
        systems = tuple(self.system(contestant, categories) for contestant in self.contestants)
        settings = {**self.settings, **environment(self.backbone), **programs()}
        settings |= {"measures": MEASURES, "tasks": len(self.tasks), "judge.weights": self.vision.weights[:16]}
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
