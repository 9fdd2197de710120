"""Pairs from the small `pocket`: what two takes have in common, and what the store knows of them."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from huvidpo.pocket.practice_clips import render_clip, sample_scene
from huvidpo.preferences.making import adapter_difference, keep_pair
from huvidpo.preferences.pairing import default_pairing, pair_requests
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import BACKBONES
from huvidpo.recipes import RECIPES
from huvidpo.requests import ClipRequest, request_from_metadata
from huvidpo.takes import Clip, make_clip
from huvidpo.video import read_metadata

POCKET = BACKBONES["pocket"]
REQUEST = ClipRequest("a red horse runs on the beach", "horse", seed=5, steps=2, adapter="gallop")
SCENE = render_clip(sample_scene(3, action="horse"))


def sampled(backbone, request: ClipRequest, source: np.ndarray | None = None) -> Clip:
    *_, clip = make_clip(backbone, Image.fromarray(SCENE[0]), request, source)
    return clip


def test_requests_differ_in_what_the_pairing_says() -> None:
    a, b = pair_requests(POCKET, REQUEST, "shared-noise")
    assert a.seed == REQUEST.seed != b.seed and a.shared_noise_seed == b.shared_noise_seed >= 0
    assert dataclasses.replace(b, seed=a.seed) == a and pair_requests(POCKET, REQUEST, "shared-noise") == (a, b)
    a, b = pair_requests(POCKET, REQUEST, "independent")
    assert a == REQUEST and b.shared_noise_seed == -1 and b.seed != a.seed
    a, b = pair_requests(POCKET, REQUEST, "shared-noise", against="none")
    assert (a.adapter, b.adapter) == ("gallop", "none") and dataclasses.replace(b, adapter="gallop") == a
    with pytest.raises(ValueError, match="no pairing 'twins'"):
        pair_requests(POCKET, REQUEST, "twins")


def test_a_varied_pair_has_either_guidance_on_either_side() -> None:
    """Over 40 seeds the higher one comes first about as often as second; nothing but it and the seed differs."""
    higher_first = 0
    for seed in range(40):
        request = dataclasses.replace(REQUEST, seed=seed)
        a, b = pair_requests(POCKET, request, "varied")
        assert {a.guidance, b.guidance} == {1.0, 2.5} and a.seed == seed != b.seed
        assert dataclasses.replace(a, guidance=None) == request
        assert dataclasses.replace(b, guidance=None, seed=seed) == request
        higher_first += a.guidance == 2.5
    assert 10 <= higher_first <= 30
    wanted = dataclasses.replace(REQUEST, guidance=2.0)
    for request, against in ((wanted, None), (REQUEST, "none")):
        with pytest.raises(ValueError, match="choose the pairing independent"):
            pair_requests(POCKET, request, "varied", against=against)


def test_takes_of_one_adapter_are_varied_unless_the_request_says_otherwise() -> None:
    assert default_pairing(REQUEST) == "varied" and default_pairing(REQUEST, against="none") == "shared-noise"
    assert default_pairing(dataclasses.replace(REQUEST, guidance=2.0)) == "independent"
    assert default_pairing(dataclasses.replace(REQUEST, recipe="huvidpo")) == "independent"


@pytest.mark.slow
def test_two_takes_of_a_pair_are_kept_with_all_that_made_them(backbone, moving_adapter, store: RatingStore) -> None:
    requests = pair_requests(POCKET, REQUEST, "shared-noise")
    first_frame = Image.fromarray(SCENE[0])
    clips = [sampled(backbone, request) for request in requests]
    pair = keep_pair(store, *clips, first_frame, REQUEST.prompt, "horse", "live", "shared-noise")
    assert store.pairs("horse") == [pair] and (pair.a.seed, pair.b.seed) == tuple(one.seed for one in requests)
    assert pair.a.sha256 != pair.b.sha256 and min(pair.a.motion, pair.b.motion) > 0
    assert (pair.a.num_frames, pair.a.width, pair.a.height, pair.a.fps) == (16, 128, 128, 8)
    assert pair.a.adapter_revision == moving_adapter.revision() and pair.a.backbone == "pocket"
    with Image.open(store.frame_path(pair.first_frame)) as image:
        assert np.array_equal(np.asarray(image), SCENE[0])
    metadata = read_metadata(store.video_path(pair.b.sha256))
    _, again = request_from_metadata(metadata)
    own = {"steps": 2, "guidance": None, "attention": ""}
    assert again.attention == "first-previous" and dataclasses.replace(again, **own) == requests[1]
    assert request_from_metadata(pair.b.settings())[1] == again, "the record alone is enough to make the take again"
    with pytest.raises(ValueError, match="Both takes are the same"):
        keep_pair(store, clips[0], clips[0], first_frame, REQUEST.prompt, "horse", "live", "independent")


def test_two_adapters_on_the_same_noise_have_a_difference_and_nothing_else_has(store: RatingStore) -> None:
    """128 x 128 pixels of which all differ by 2; other noise, or one adapter twice, is no disagreement."""
    settings = {"huvidpo": "test", "seed": 1, "adapter": "x", "adapter_revision": "1"}
    clip = Clip(SCENE // 2, 8, settings)
    brighter = Clip(SCENE // 2 + 2, 8, settings | {"adapter": "y", "adapter_revision": "2"})
    assert adapter_difference(clip, brighter) == adapter_difference(brighter, clip) == 2
    for other in (clip, Clip(SCENE, 8, settings | {"seed": 2}), Clip(SCENE, 8, brighter.metadata | {"seed": 2})):
        assert adapter_difference(clip, other) == -1
    first_frame = Image.fromarray(SCENE[0])
    keep_pair(store, clip, brighter, first_frame, "a horse", "horse", "queue", "independent")
    assert [outline.difference for outline in store.outlines()] == [2]


@pytest.mark.slow
def test_the_shared_part_of_the_noise_is_shared(backbone, moving_adapter) -> None:
    """Takes with common frame noise are closer to each other than those without; the own part still tells them apart.

    Compared over several seeds, as one draw may go either way.
    """

    def distance(pairing: str) -> float:
        requests = [dataclasses.replace(REQUEST, seed=seed, steps=1) for seed in range(3)]
        pairs = [pair_requests(POCKET, request, pairing) for request in requests]
        takes = [[sampled(backbone, one).frames for one in pair] for pair in pairs]
        return float(np.mean([np.abs(a[1:].astype(float) - b[1:]).mean() for a, b in takes]))

    assert 0 < distance("shared-noise") < distance("independent")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_aligned_takes_start_from_the_source(backbone, moving_adapter, recipe: str) -> None:
    """With a small strength the takes stay near the source; without the source they cannot be made."""
    a, b = pair_requests(POCKET, dataclasses.replace(REQUEST, recipe=recipe), "aligned", source_sha256="a" * 64)
    gentle = [dataclasses.replace(request, source_strength=0.25, steps=4) for request in (a, b)]
    takes = [sampled(backbone, request, SCENE).frames.astype(float) for request in gentle]
    free = sampled(backbone, REQUEST).frames.astype(float)
    assert all(np.abs(take - SCENE).mean() < np.abs(free - SCENE).mean() for take in takes)
    assert np.abs(takes[0] - takes[1]).mean() > 0
    with pytest.raises(ValueError, match="starts from another clip"):
        sampled(backbone, a)
    with pytest.raises(ValueError, match="needs a clip of 16 frames"):
        sampled(backbone, a, SCENE[:9])
