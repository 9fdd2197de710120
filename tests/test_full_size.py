"""The backbone sd14 from the layouts of its real repositories, at tiny size, over HTTP: from a prompt to a clip."""

import json
import shutil
import signal
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import gradio as gr
import huggingface_hub.constants
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel

import app
from huvidpo import full_size, presets
from huvidpo.backbones import LoadedBackbone, empty_video_unet, load_backbone
from huvidpo.cli import main
from huvidpo.full_size import FIRST_FRAMES, SD14, SD15_DPO, SDXL, SDXL_DPO, SDXL_UNET, SDXL_VAE
from huvidpo.hub_models import HubFiles, cached
from huvidpo.memory import hooked
from huvidpo.models.motion import motion_state_dict
from huvidpo.pipelines.latents import fit_image
from huvidpo.presets import FirstFrameSettings
from huvidpo.requests import ClipRequest, FirstFrameRequest, request_from_metadata, starting_from
from huvidpo.takes import FirstFrame, Progress, first_frame_metadata, make_clip, make_first_frame
from huvidpo.ui.jobs import MakeTakes
from huvidpo.ui.making import Form, estimate
from huvidpo.video import read_frames
from tests.preferences.hub_server import HubServer
from tests.published_layouts import published_sd14, published_sdxl, published_unet, published_vae
from tests.tiny_models import tiny_sd14, tiny_sdxl

PROMPT = "a red horse runs on the beach"


def other_weights(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel.from_config(unet.config)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, StableDiffusionXLPipeline]:
    """The models that the repositories are made of."""
    folder = tmp_path_factory.mktemp("words")
    return tiny_sd14(folder), tiny_sdxl(folder)


@pytest.fixture
def hub(loopback_hub: HubServer, published, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """The Hub with tiny models in the layout of the real repositories; they need less room on the disk."""
    small, large = published
    for files, held in (
        (SD14, published_sd14(small)),
        (SDXL, published_sdxl(large)),
        (SDXL_VAE, published_vae(large.vae)),
        (SDXL_DPO, published_unet(other_weights(large.unet))),
        (SD15_DPO, published_unet(other_weights(small.unet))),
    ):
        loopback_hub.plant(files.repo, files.revision, held)
    parts = {model: tuple(map(little, several)) for model, several in FIRST_FRAMES.items()}
    monkeypatch.setattr(full_size, "FIRST_FRAMES", parts)
    monkeypatch.setattr(full_size, "SD14", little(SD14))
    drawn = dict.fromkeys(("dpo", "base"), FirstFrameSettings(128, 128, 30, 5.0))
    drawn |= {"dpo-small": FirstFrameSettings(64, 64, 30, 7.5)}
    preset = replace(presets.BACKBONES["sd14"], width=64, height=64, num_frames=4, first_frames=drawn)
    monkeypatch.setitem(presets.BACKBONES, "sd14", preset)
    return loopback_hub


def little(files: HubFiles) -> HubFiles:
    return replace(files, gigabytes=0.001)


@pytest.fixture
def sd14(hub: HubServer, own_home: Path) -> LoadedBackbone:
    return load_backbone("sd14")


def test_exactly_the_planned_files_are_downloaded(sd14: LoadedBackbone) -> None:
    """Of repositories that hold several times as much: pickles, other precisions, other programs' forms."""
    *_, frame = make_first_frame(sd14, FirstFrameRequest(PROMPT, steps=1))
    cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    for planned in (SD14, SDXL, SDXL_VAE, SDXL_DPO):
        (snapshot,) = (cache / f"models--{planned.repo.replace('/', '--')}" / "snapshots").iterdir()
        there = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
        assert there == set(planned.files)
    assert cached(SDXL_UNET) is None, "SDXL's own UNet is not needed for dpo"


def test_published_texts_and_weights_are_understood(sd14: LoadedBackbone, published) -> None:
    """Vocabularies in two files, weights under the names of transformers 4, a second tokenizer that pads with "!"."""
    small, large = published
    frames = sd14.first_frame_pipeline("base")
    assert isinstance(frames, StableDiffusionXLPipeline) and frames.config.force_zeros_for_empty_prompt
    ids = frames.tokenizer_2(PROMPT, padding="max_length", max_length=77).input_ids
    assert ids[-1] == 0 and ids[ids.index(0) - 1] == frames.tokenizer_2.eos_token_id
    assert sd14.video.tokenizer(PROMPT, padding="max_length", max_length=77).input_ids[-1] == 524
    assert frames.tokenizer.tokenize("a red horse!") == ["a</w>", "red</w>", "horse</w>", "!</w>"]
    for part in ("text_encoder", "vae"):
        found = getattr(sd14.video, part).state_dict()
        assert all(torch.equal(found[name], value) for name, value in getattr(small, part).state_dict().items())
    with torch.no_grad():
        for got, meant in zip(frames.encode_prompt(PROMPT), large.encode_prompt(PROMPT), strict=True):
            assert torch.allclose(got, meant, atol=1e-2), "but for the rounding to half precision"


@pytest.mark.slow
def test_from_a_prompt_to_a_clip_with_every_first_frame_model(sd14: LoadedBackbone) -> None:
    pictures, said = {}, {}
    for model in sd14.preset.first_frame_models:
        *progress, frame = make_first_frame(sd14, FirstFrameRequest(PROMPT, seed=3, steps=2, model=model))
        pictures[model] = np.asarray(frame.image)
        said[model] = [event.doing for event in progress if event.doing]
        assert isinstance(frame, FirstFrame) and pictures[model].shape == (64, 64, 3)
        assert not sd14.missing_files(model)
    assert any("mhdang/dpo-sdxl-text2image-v1" in words and "Open RAIL++-M" in words for words in said["dpo"])
    assert not np.array_equal(pictures["dpo"], pictures["base"]), "the DPO UNet draws another picture"
    *steps, clip = make_clip(sd14, frame.image, ClipRequest(PROMPT, category="horse", seed=3, steps=2))
    assert [step.step for step in steps if isinstance(step, Progress)] == [1, 2]
    assert clip.frames.shape == (4, 64, 64, 3) and clip.metadata["backbone"] == "sd14"
    assert clip.metadata["first_frame_model"] == "upload" and clip.frames.std() > 1


def test_all_parts_of_a_model_must_have_room_before_the_first_is_downloaded(
    sd14: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three parts of 1 MB each: with 2 MB free none is fetched. What is here of them needs no room again."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, 2e6))
    with pytest.raises(ValueError, match=r"stable-diffusion-xl-base-1\.0 and madebyollin/.* and mhdang/dpo-sdxl"):
        list(make_first_frame(sd14, FirstFrameRequest(PROMPT, steps=1, model="dpo")))
    assert len(sd14.missing_files("dpo")) == 3
    list(sd14.download_first_frames("dpo-small"))  # one part of two: Stable Diffusion 1.4 is here


@pytest.mark.slow
def test_zerogpus_workers_get_every_model_before_the_page_starts(
    hub: HubServer, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded in a worker is lost with it. The page itself would stay for ever, so it is not launched."""
    monkeypatch.setenv("HUVIDPO_BACKBONE", "sd14")
    monkeypatch.setattr(app, "ZERO_GPU", True)
    monkeypatch.setenv("HUVIDPO_PAIRS_AHEAD", "0")
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # the page ends its process by it
    launched, requests = [], []
    monkeypatch.setattr(gr.Blocks, "launch", lambda page, **settings: launched.append((page, settings)))
    monkeypatch.setattr(app.spaces, "GPU", lambda duration: lambda run: requests.append(run) or run)
    app.serve()
    ((page, settings),) = launched
    assert isinstance(page, gr.Blocks) and settings["max_file_size"] == app.UPLOAD and len(requests) == 1
    before = hub.requests.copy()
    for model in ("dpo", "base", "dpo-small"):
        *_, frame = requests[0](MakeTakes(FirstFrameRequest(PROMPT, steps=1, model=model)))
        assert frame.image.size == (64, 64)
    assert hub.requests == before


def test_the_dpo_unet_goes_onto_the_base_pipeline(sd14: LoadedBackbone) -> None:
    """Same text encoders and autoencoder, other UNet; the autoencoder is the one that half precision suits."""
    dpo = sd14.first_frame_pipeline("dpo")
    base = sd14.first_frame_pipeline("base")
    assert torch.equal(dpo.text_encoder_2.text_projection.weight, base.text_encoder_2.text_projection.weight)
    assert not torch.equal(dpo.unet.conv_in.weight, base.unet.conv_in.weight)
    small = sd14.first_frame_pipeline("dpo-small")
    assert isinstance(small, StableDiffusionPipeline) and small.safety_checker is None
    spatial = sd14.video.unet.state_dict()["conv_in.weight"]
    assert small.unet.conv_in.weight.shape == spatial.shape and not torch.equal(small.unet.conv_in.weight, spatial)


def test_a_second_sdxl_costs_one_unet(sd14: LoadedBackbone) -> None:
    """What both have in common is there once, and each draws what it draws alone."""
    alone = {}
    for model in ("dpo", "base"):
        sd14.first_frames.clear()
        *_, frame = make_first_frame(sd14, FirstFrameRequest(PROMPT, seed=3, steps=2, model=model))
        alone[model] = np.asarray(frame.image)
    base, dpo = sd14.first_frames["base"], sd14.first_frame_pipeline("dpo")
    for part in ("text_encoder", "text_encoder_2", "vae"):
        assert getattr(dpo, part) is getattr(base, part)
    assert dpo.unet is not base.unet and dpo.scheduler is not base.scheduler
    assert sd14.first_frame_pipeline("dpo-small").vae is not base.vae
    for model in ("dpo", "base", "dpo"):
        *_, frame = make_first_frame(sd14, FirstFrameRequest(PROMPT, seed=3, steps=2, model=model))
        assert np.array_equal(frame.image, alone[model])


def test_hooks_of_shared_networks_are_those_of_whose_turn_it_is(
    sd14: LoadedBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a picture is decoded the autoencoder's hook sends a UNet away: it must be the one that has worked."""
    monkeypatch.setattr(LoadedBackbone, "memory_modes", lambda self: self.preset.gigabytes)
    request = FirstFrameRequest(PROMPT, seed=3, steps=1, model="dpo")
    *_, before = make_first_frame(sd14, request)
    dpo = sd14.first_frame_pipeline("dpo")
    sd14.set_memory("sequential")  # its weights wait behind empty ones while the other model is loaded
    base = sd14.first_frame_pipeline("base")
    for mode in ("offload", "sequential", "offload"):
        sd14.set_memory(mode)
        for pipeline in (dpo, base, dpo):
            sd14.take_turn(pipeline)
            assert hooked(pipeline)
            if mode == "offload":
                assert pipeline.vae._hf_hook.prev_module_hook.model is pipeline.unet
    sd14.set_memory("all")
    assert not hooked(dpo) and not hooked(base)
    assert {weight.device.type for one in (dpo, base) for weight in one.unet.parameters()} == {"cpu"}
    *_, after = make_first_frame(sd14, request)
    assert np.array_equal(before.image, after.image)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["all", "turns", "offload"])
def test_two_visitors_at_once_get_what_each_gets_alone(
    sd14: LoadedBackbone, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Their models share networks, hooks and the solver's class; the memory mode changes while both wait."""
    monkeypatch.setattr(LoadedBackbone, "memory_modes", lambda self: self.preset.gigabytes)
    requests = [
        FirstFrameRequest(PROMPT, seed=seed, steps=3, model=model) for seed in (1, 2) for model in ("dpo", "base")
    ]

    def draw(request: FirstFrameRequest) -> np.ndarray:
        *_, frame = make_first_frame(sd14, request)
        return np.asarray(frame.image)

    alone = [draw(request) for request in requests]
    with ThreadPoolExecutor(len(requests)) as visitors:
        drawn = [visitors.submit(draw, request) for request in requests]
        sd14.set_memory(mode)
        for picture, found in zip(alone, drawn, strict=True):
            assert np.array_equal(picture, found.result(60))


@pytest.mark.parametrize("model", FIRST_FRAMES)
def test_a_first_frame_is_the_picture_of_the_published_call(sd14: LoadedBackbone, model: str) -> None:
    """diffusers' own call with a prompt and nothing negative: for SDXL an empty text would be another picture."""
    settings = sd14.preset.first_frames[model]
    *steps, frame = make_first_frame(sd14, FirstFrameRequest(PROMPT, seed=3, steps=2, model=model))
    published = sd14.first_frame_pipeline(model)(
        PROMPT,
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=2,
        guidance_scale=settings.guidance,
        width=settings.width,
        height=settings.height,
    ).images[0]
    assert np.array_equal(frame.image, fit_image(published, 64, 64, "crop"))
    counted = [step.step for step in steps if isinstance(step, Progress) and not step.doing]
    assert counted[:2] == [1, 2] and max(counted) == 2


def test_the_whole_backbone_loads_from_the_cache_without_a_network(
    sd14: LoadedBackbone, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sd14.first_frame_pipeline("dpo-small")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    before = hub.requests.copy()
    again = load_backbone("sd14")
    again.first_frame_pipeline("dpo-small")
    assert hub.requests == before
    weights, same = motion_state_dict(sd14.video.unet), motion_state_dict(again.video.unet)
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    with pytest.raises(ValueError, match=r"stable-diffusion-xl-base-1\.0 is not complete in the cache"):
        again.first_frame_pipeline("base")


def test_the_shapes_are_known_without_the_weights(hub: HubServer, sd14: LoadedBackbone) -> None:
    empty = empty_video_unet("sd14")
    assert empty.device.type == "meta"
    shapes = {name: value.shape for name, value in empty.state_dict().items()}
    assert shapes == {name: value.shape for name, value in sd14.video.unet.state_dict().items()}


def test_the_licences_are_said_before_the_click(sd14: LoadedBackbone) -> None:
    values = dict.fromkeys((field.name for field in fields(Form)), None) | {"prompt": PROMPT, "recipe": "default"}
    form = Form(**values | {"frame_model": "dpo"})
    said = estimate(sd14, form)
    for words in ("Before that it downloads", "mhdang/dpo-sdxl-text2image-v1", "Open RAIL++-M", "sdxl-vae-fp16-fix"):
        assert words in said
    list(sd14.download_first_frames("dpo"))
    assert "downloads" not in estimate(sd14, form)


@pytest.mark.slow
def test_the_command_shows_downloads_and_licences(
    hub: HubServer, own_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "x.mp4"
    arguments = ["video", "--backbone", "sd14", "--prompt", PROMPT, "--category", "horse", "--steps", "2"]
    assert main([*arguments, "--model", "dpo-small", "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["settings"]["first_frame_model"] == "dpo-small"
    for repo, licence in (("CompVis/stable-diffusion-v1-4", "RAIL-M"), ("mhdang/dpo-sd1.5-text2image-v1", "RAIL++-M")):
        assert any(f"Downloading {repo}" in line and licence in line for line in said.err.splitlines())
    assert read_frames(out)[0].shape == (4, 64, 64, 3)


def test_revisions_are_commits_where_one_is_known() -> None:
    for files in (SD14, SDXL, SDXL_UNET, SDXL_VAE):
        assert len(files.revision) == 40 and set(files.revision) <= set("0123456789abcdef")


def test_a_repository_without_a_known_commit_stays_at_the_first_one_and_is_named(
    sd14: LoadedBackbone, hub: HubServer
) -> None:
    """The authors may push a new UNet: what is here stays what it was, and its commit stands in what it made."""
    list(sd14.download_first_frames("dpo-small"))
    ((first, held),) = hub.repositories[SD15_DPO.repo].commits
    hub.plant(SD15_DPO.repo, "main", held | {"unet/config.json": b"{}", "new.txt": b"pushed later"})
    assert not sd14.missing_files("dpo-small")
    request = FirstFrameRequest(PROMPT, seed=3, steps=1, model="dpo-small")
    *_, frame = make_first_frame(sd14, request)
    asked = starting_from(ClipRequest(PROMPT, category="horse", seed=3, steps=1), frame.request)
    *_, clip = make_clip(sd14, frame.image, asked)
    assert first_frame_metadata(sd14, request)["first_frame_commit"] == clip.metadata["first_frame_commit"] == first
    assert request_from_metadata(clip.metadata)[0].model == "dpo-small"
