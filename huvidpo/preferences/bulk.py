"""Many pairs of one kind, one for each seed; a pair that is there already is not made again. Knows no page."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from huvidpo.adapters import find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.preferences.making import keep_pair
from huvidpo.preferences.pairing import pair_requests
from huvidpo.preferences.records import Pair, TakeRecord
from huvidpo.preferences.store import RatingStore
from huvidpo.requests import ClipRequest, FirstFrameRequest, starting_from
from huvidpo.takes import Progress, chosen_attention, chosen_recipe, make_takes

# What two takes share when one of them is the other made again: all that decides a clip.
IDENTITY = ("prompt", "negative_prompt", "category", "style", "seed", "shared_noise_seed", "first_frame_model")
IDENTITY += ("first_frame_seed", "first_frame_steps", "first_frame_guidance", "adapter_revision", "recipe", "steps")
IDENTITY += ("guidance", "attention", "fit", "backbone", "backbone_revision")


@dataclass(frozen=True)
class PairOrder:
    """What all pairs have in common; the seeds in the requests do not count."""

    clip: ClipRequest
    first_frame: FirstFrameRequest
    pairing: str  # any of PAIRINGS but "aligned"
    against: str | None = None  # adapter of take b, where it is another one

    def requests(self, backbone: LoadedBackbone, seed: int) -> tuple[FirstFrameRequest, tuple[ClipRequest, ...]]:
        """The first frame and both takes of a seed."""
        model = self.first_frame.model or backbone.preset.first_frame_models[0]
        first = dataclasses.replace(self.first_frame, seed=seed, model=model)
        clip = starting_from(dataclasses.replace(self.clip, seed=seed), first)
        return first, pair_requests(backbone.preset, clip, self.pairing, against=self.against)


def make_pairs(
    backbone: LoadedBackbone, store: RatingStore, order: PairOrder, seeds: list[int]
) -> Iterator[Progress | Pair]:
    """Yields progress and, for each seed in turn, its pair, which is in the store then; also where it was before.

    A broken-off run goes on when it is started again. Raises ValueError for an order that makes no sense.
    """
    for seed, pair in zip(seeds, pairs_there(backbone, store, order, seeds), strict=True):
        yield pair or (yield from make_one(backbone, store, order, *order.requests(backbone, seed)))


def pairs_there(backbone: LoadedBackbone, store: RatingStore, order: PairOrder, seeds: list[int]) -> list[Pair | None]:
    """For each seed its pair, or None where it is still to be made."""
    there = {(identity(pair.a), identity(pair.b)): pair for pair in store.pairs(order.clip.category)}
    asked = (order.requests(backbone, seed)[1] for seed in seeds)
    return [there.get(tuple(expected_identity(backbone, request) for request in requests)) for requests in asked]


def make_one(
    backbone: LoadedBackbone,
    store: RatingStore,
    order: PairOrder,
    first: FirstFrameRequest,
    requests: tuple[ClipRequest, ...],
) -> Iterator[Progress]:
    """Yields progress; returns the new pair."""
    made, asked = [], requests[0]
    for event in make_takes(backbone, first, requests, previews=False):
        if isinstance(event, Progress):
            yield event
        else:
            made.append(event)
    frame, a, b = made
    return keep_pair(store, a, b, frame.image, asked.prompt, asked.category, "queue", order.pairing)


def identity(take: TakeRecord) -> tuple[object, ...]:
    """All that decides the clip of a record."""
    return tuple(getattr(take, name) for name in IDENTITY)


def expected_identity(backbone: LoadedBackbone, request: ClipRequest) -> tuple[object, ...]:
    """The `identity` that the clip of a request will have."""
    preset = backbone.preset
    adapter, recipe = find_adapter(preset.name, request.category, request.adapter), chosen_recipe(preset, request)
    settled = {"adapter_revision": adapter.revision() if adapter else "", "backbone": preset.name}
    settled |= {"backbone_revision": backbone.revision()}
    settled |= {"steps": recipe.steps, "guidance": recipe.guidance, "attention": chosen_attention(request, adapter)}
    return tuple((vars(request) | settled)[name] for name in IDENTITY)
