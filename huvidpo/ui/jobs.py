"""What the page asks of the model, as plain data, which ZeroGPU pickles; what comes before. Knows no components."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import find_category
from huvidpo.requests import ClipRequest, FirstFrameRequest, check_request
from huvidpo.takes import Clip, FirstFrame, Progress, downloading
from huvidpo.training.preference import PreferenceRecord
from huvidpo.training.runs import RunPlan
from huvidpo.training.strength import Measuring


@dataclass(frozen=True)
class MakeTakes:
    """A first frame, to be made or there already, and the clips that continue it, if any."""

    first: FirstFrameRequest | Image.Image
    clips: tuple[ClipRequest, ...] = ()
    previews: bool = True


@dataclass(frozen=True)
class TrainSlice:
    """The next seconds of a run that learns from ratings."""

    plan: RunPlan
    seconds: float


Job = MakeTakes | TrainSlice
Step = Progress | FirstFrame | Clip | PreferenceRecord | Measuring | Adapter
Run = Callable[[Job], Iterator[Step]]  # does a job on the accelerator, step by step


def before_computing(backbone: LoadedBackbone, job: Job) -> Iterator[Progress]:
    """Refuses what makes no sense and downloads what is missing, before a GPU that is lent by the second is asked for.

    ValueError with one sentence.
    """
    preset = backbone.preset
    if isinstance(job, TrainSlice):
        adapters = [job.plan.start]
    else:
        frames = [job.first] if isinstance(job.first, FirstFrameRequest) else []
        for request in (*frames, *job.clips):
            check_request(request)
        adapters = [find_adapter(preset.name, find_category(clip.category).name, clip.adapter) for clip in job.clips]
        for request in frames:
            yield from downloading(backbone.download_first_frames(request.model or preset.first_frame_models[0]))
    for adapter in filter(None, adapters):
        yield from downloading(adapter.download())
