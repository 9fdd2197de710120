"""From what the visitor asks to a first frame and a clip, step by step. Knows nothing of components."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace

from PIL import Image, ImageOps

from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import check_prompt
from huvidpo.images import read_image
from huvidpo.pipelines.latents import to_rgb
from huvidpo.presets import seconds_for
from huvidpo.requests import ClipRequest, FirstFrameRequest, check_request, check_seed, draw_seed, starting_from
from huvidpo.takes import FirstFrame, Progress, chosen_recipe
from huvidpo.ui.history import save_take
from huvidpo.ui.jobs import MakeTakes, Run
from huvidpo.ui.phrases import duration

UNREADABLE = "This picture cannot be read: use another one, as PNG, JPEG or WebP, of at most 64 million pixels."
WAITING = "Waiting for the model …"
PREVIEW = (1024, 1024)  # pixels, at most
MARGIN = 1.4  # of an estimate in what is asked of ZeroGPU: a call that takes longer is ended
QUOTA_FACTOR = 1.5  # seconds of quota that ZeroGPU counts for a requested one, on the cards that it has now


@dataclass(frozen=True)
class Form:
    """Everything the visitor can set, as the components send it; a component is named like its field in ASKED."""

    prompt: str
    category: str
    style: str
    adapter: str
    seed: float | None
    random_seed: bool
    frame_model: str
    frame_seed: float | None  # None: the same as `seed`
    frame_steps: float | None  # None: the backbone's own
    frame_guidance: float | None
    negative_prompt: str
    recipe: str
    steps: float | None  # None: the recipe's own
    guidance: float | None
    attention: str
    fit: str
    picture: str | None  # the file of the first frame on the page
    # How `picture` was made, as its file says, which is no component; None for a picture of the visitor's own.
    made: FirstFrameRequest | None = None

    def first_frame_request(self, seed: int) -> FirstFrameRequest:
        """The first frame that the form asks for."""
        return FirstFrameRequest(
            prompt=check_prompt(self.prompt),
            style=self.style,
            negative_prompt=self.negative_prompt,
            model=self.frame_model,
            seed=seed,
            steps=_whole(self.frame_steps),
            guidance=self.frame_guidance,
        )

    def clip_request(self, seed: int, made: FirstFrameRequest | None) -> ClipRequest:
        """The clip that the form asks for, from a first frame that `made` describes."""
        request = ClipRequest(
            prompt=check_prompt(self.prompt),
            category=self.category,
            style=self.style,
            negative_prompt=self.negative_prompt,
            adapter=self.adapter,
            seed=seed,
            recipe=self.recipe,
            steps=_whole(self.steps),
            guidance=self.guidance,
            attention=self.attention,
            fit=self.fit,
        )
        return starting_from(request, made) if made else request

    def next_seed(self) -> int:
        """The seed of the next run: a new one, or the one in the form. ValueError when that is out of range."""
        return draw_seed() if self.random_seed or self.seed is None else check_seed(int(self.seed))

    def keeps_picture(self) -> bool:
        """Whether a clip can start from the picture on the page: it is the first frame that the form asks for."""
        if self.picture is None or self.made is None:
            return self.picture is not None
        seed = self.made.seed if self.frame_seed is None else int(self.frame_seed)
        wanted = self.first_frame_request(seed)
        return wanted == self.made


ASKED = [field.name for field in fields(Form) if field.name != "made"]


@dataclass(frozen=True)
class View:
    """What the page shows next. None leaves a part as it is."""

    text: str = ""
    step: int = 0
    total: int = 0
    busy: bool = True
    preview: Image.Image | None = None  # shown on the stage while busy
    first_frame: FirstFrame | None = None
    take: str | None = None  # a finished clip's name
    seed: int | None = None  # that was used


def draw_first_frame(run: Run, form: Form, fresh: bool = False) -> Iterator[View]:
    """Makes the first frame of the form; `fresh` takes a new seed whatever the form says."""
    seed = draw_seed() if fresh else form.next_seed()
    if form.frame_seed is not None and not fresh:
        seed = int(form.frame_seed)
    shown = seed if form.frame_seed is None else None  # in the field that it would come from next time
    yield View(WAITING, seed=shown)
    frame = yield from _first_frame(run, form.first_frame_request(seed), "First frame")
    said = f"First frame with seed {seed}. Make the clip, or roll again."
    yield View(said, busy=False, first_frame=frame, seed=shown)


def make_take(run: Run, form: Form) -> Iterator[View]:
    """Makes a clip from the first frame on the page, or from a new one where that does not fit what is asked."""
    seed = form.next_seed()
    check_request(form.clip_request(seed, None))  # not even shown: the page could not take such a number
    frame, picture = None, None
    if form.keeps_picture():
        picture = read_upload(form.picture)
        job = MakeTakes(picture, (form.clip_request(seed, form.made),))
    else:
        frame_seed = seed if form.frame_seed is None else int(form.frame_seed)
        job = MakeTakes(form.first_frame_request(frame_seed), (form.clip_request(seed, None),))
    yield View(WAITING, preview=picture and ImageOps.contain(picture, PREVIEW), seed=seed)
    with closing(run(job)) as steps:
        for item in steps:
            if isinstance(item, Progress):
                name = "Clip" if picture else "First frame"
                yield View(progress_words(name, item), item.step, item.total, preview=item.preview)
            elif isinstance(item, FirstFrame):
                frame, picture = item, item.image
                shown = ImageOps.contain(picture, PREVIEW)
                yield View("The first frame is there; the clip follows …", first_frame=frame, preview=shown, seed=seed)
    # The frame once more: a slow browser may have lost it among the updates that came after it.
    yield View(busy=False, take=save_take(item, picture), seed=seed, first_frame=frame)


def sampling_seconds(backbone: LoadedBackbone, job: MakeTakes) -> float:
    """A rough time for what is made on this device."""
    frames = [job.first] if isinstance(job.first, FirstFrameRequest) else []
    recipes = [chosen_recipe(backbone.preset, request) for request in job.clips]
    drawing = sum(first_frame_seconds(backbone, request.model, request.steps) for request in frames)
    return drawing + sum(clip_seconds(backbone, recipe.steps, recipe.guidance) for recipe in recipes)


def read_upload(path: str) -> Image.Image:
    """A picture that a browser has sent, in RGB. ValueError when it cannot be read."""
    try:
        return to_rgb(read_image(path))
    except ValueError as error:  # whose words name the file, which the visitor does not know
        raise ValueError(UNREADABLE) from error


def compare_models(run: Run, form: Form, models: tuple[str, ...]) -> Iterator[View]:
    """Makes the same first frame, with one seed, by each model; each comes in a view of its own."""
    seed = form.made.seed if form.made else form.next_seed()
    yield View(WAITING)
    for model in models:
        request = replace(form.first_frame_request(seed), model=model)
        frame = yield from _first_frame(run, request, f"First frame, {model}")
        yield View(f"{model} is done", first_frame=frame)
    yield View(f"Both first frames start from seed {seed}.", busy=False)


def _first_frame(run: Run, request: FirstFrameRequest, name: str) -> Iterator[View]:
    with closing(run(MakeTakes(request))) as steps:
        for item in steps:
            if isinstance(item, Progress):
                yield View(progress_words(name, item), item.step, item.total, preview=item.preview)
    return item


def progress_words(name: str, progress: Progress) -> str:
    """What is being done, and how far it is."""
    if progress.doing:
        return f"{progress.doing}: {progress.step / 1e9:.1f} of {progress.total / 1e9:.1f} GB are here"
    return f"{name}: step {progress.step} of {progress.total}"


def estimate(backbone: LoadedBackbone, form: Form) -> str:
    """What the main button is about to do and how long that takes, in one line."""
    preset = backbone.preset
    place = "GPU" if backbone.device.startswith("cuda") else "CPU"
    recipe, model = preset.recipe(form.recipe), form.frame_model or preset.first_frame_models[0]
    guidance = recipe.guidance if form.guidance is None else form.guidance
    clip = clip_seconds(backbone, _whole(form.steps) or recipe.steps, guidance)
    frame = first_frame_seconds(backbone, model, _whole(form.frame_steps))
    alone = quota_words(backbone, "Another first frame asks", frame)
    if form.prompt.strip() and form.keeps_picture():
        quota = quota_words(backbone, "That asks", clip)
        whose = f" (seed {form.made.seed})" if form.made else ""
        return f"Starts from the first frame shown{whose}: about {duration(clip)} on this {place}.{quota}{alone}"
    quota = quota_words(backbone, "Both ask", frame + clip)
    words = f"A first frame, then the clip: about {duration(frame + clip)} on this {place}.{quota}{alone}"
    missing = backbone.missing_files(model)
    if missing:
        words += " Before that it downloads " + "; ".join(wanted.notice() for wanted in missing) + "."
    return words


def asked_seconds(estimate: float) -> int:
    """Asked of ZeroGPU for one call: what it will take, 40 % more, and the start of a worker."""
    return round(10 + MARGIN * estimate)


def quota_of(asked: int) -> int:
    """Seconds of quota that a call costs a visitor of ZeroGPU, which counts what is asked for."""
    return round(QUOTA_FACTOR * asked)


def quota_words(backbone: LoadedBackbone, what: str, estimate: float) -> str:
    """On ZeroGPU, what a call of so many seconds costs the visitor's quota; else ""."""
    return f" {what} for {quota_of(asked_seconds(estimate))} s of your quota." if backbone.gpu_is_lent else ""


def pair_quota_words(backbone: LoadedBackbone, pairs: int = 1) -> str:
    """The same of pairs."""
    what = "A pair asks" if pairs == 1 else f"Each of up to {pairs} pairs asks"
    return quota_words(backbone, what, pair_seconds(backbone)).strip()


def pair_seconds(backbone: LoadedBackbone) -> float:
    """A rough time for a first frame and two takes with guidance."""
    recipe = backbone.preset.recipe("default")
    frame = first_frame_seconds(backbone, backbone.preset.first_frame_models[0], None)
    return frame + 2 * clip_seconds(backbone, recipe.steps, max(backbone.preset.pair_guidances))


def first_frame_seconds(backbone: LoadedBackbone, model: str, steps: int | None) -> float:
    """A rough time for a first frame by a model on this device; None takes the backbone's own number of steps."""
    preset = backbone.preset
    settings = preset.first_frames[model or preset.first_frame_models[0]]
    return settings.time * seconds_for(preset, backbone.device, "first_frame", steps or settings.steps)


def clip_seconds(backbone: LoadedBackbone, steps: int, guidance: float) -> float:
    """A rough time for a clip on this device; without guidance the network runs once a step, not twice."""
    return seconds_for(backbone.preset, backbone.device, "clip", steps) / (2 if guidance == 1 else 1)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
