"""Other people's models and the published judges: the real classes at tiny size, from folders."""

import io
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    StableDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
)
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel, ViTConfig, ViTImageProcessor, ViTModel

from huvidpo.backbones import LoadedBackbone
from huvidpo.evaluation.baselines import BASELINES, PARTS, load_baseline, make_baseline_clip, show_licence
from huvidpo.evaluation.contestants import Contestant
from huvidpo.evaluation.judges import HubModel, Vision, hub_vision, measure_clip, weights_digest
from huvidpo.evaluation.metrics import METRICS
from huvidpo.evaluation.suite import Evaluation
from huvidpo.pipelines.latents import fit_image
from huvidpo.pocket.components import new_text_encoder, new_tokenizer
from huvidpo.pocket.judge import new_dual_encoder
from tests.evaluation.test_suite import PLAIN, TASKS, run

PROMPT = "a red horse runs on the beach"


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both baselines' folders, untrained."""
    folder = tmp_path_factory.mktemp("baselines")
    torch.manual_seed(0)
    tokenizer = new_tokenizer(folder / "words")
    text = new_text_encoder(tokenizer)
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        norm_num_groups=4,
    )
    sizes = {"block_out_channels": (8, 8), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4}
    sizes |= {"sample_size": 8, "cross_attention_dim": text.config.hidden_size}
    image = UNet2DConditionModel(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **sizes,
    )
    video = UNet3DConditionModel(
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        **sizes,
    )
    parts = {"vae": vae, "text_encoder": text, "tokenizer": tokenizer, "scheduler": DDIMScheduler()}
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    StableDiffusionPipeline(unet=image, **parts, **none).save_pretrained(folder / "animatediff")
    TextToVideoSDPipeline(unet=video, **parts).save_pretrained(folder / "modelscope")
    motion = MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=4, motion_num_attention_heads=2
    )
    motion.save_pretrained(folder / "animatediff_motion")
    return folder


@pytest.fixture
def from_folders(baselines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These folders in the place of the Hub's, at the size of their networks and in two steps."""
    for name in PARTS:
        monkeypatch.setenv(f"HUVIDPO_BASELINE_{name.upper()}", str(baselines / name))
    for name, baseline in BASELINES.items():
        monkeypatch.setitem(BASELINES, name, replace(baseline, width=32, height=32, steps=2))
    load_baseline.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["animatediff", "modelscope"])
def test_a_baseline_makes_the_same_clip_for_the_same_seed(name: str, from_folders: None) -> None:
    """At its own square size, then scaled and cropped to the one that is asked for."""
    first, again, other = (make_baseline_clip(name, "cpu", PROMPT, seed, 4, 48, 24) for seed in (0, 0, 1))
    assert first.shape == (4, 24, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    square = make_baseline_clip(name, "cpu", PROMPT, 0, 4, 32, 32)
    cropped = np.asarray(fit_image(Image.fromarray(square[2]), 48, 24, "crop"))
    assert np.array_equal(cropped, first[2])


@pytest.mark.slow
def test_baselines_sample_as_their_cards_do(from_folders: None) -> None:
    for name, baseline in BASELINES.items():
        assert type(load_baseline(name, "cpu").scheduler).__name__ == baseline.scheduler


@pytest.mark.slow
def test_a_baseline_from_elsewhere_makes_new_clips(
    backbone: LoadedBackbone, from_folders: None, baselines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights under another name: whether they are the same nobody knows before they are loaded."""
    modelscope = Contestant("modelscope", "ModelScope", baseline="modelscope")
    evaluation = Evaluation(backbone, PLAIN, [modelscope], TASKS[:1], tmp_path / "out")
    results, _ = run(evaluation)
    (system,) = results.systems
    assert system.settings["baseline.repository.modelscope"] == str(baselines / "modelscope")
    assert system.settings["baseline.steps"] == 2 and system.settings["baseline.width"] == 32
    assert "first_frame_psnr" not in results.clips[0].metrics, "it is given words only"
    file = tmp_path / "out" / results.clips[0].file
    before = file.stat().st_mtime_ns
    run(evaluation)
    assert file.stat().st_mtime_ns == before
    (tmp_path / "moved").symlink_to(baselines / "modelscope")
    monkeypatch.setenv("HUVIDPO_BASELINE_MODELSCOPE", str(tmp_path / "moved"))
    run(evaluation)
    assert file.stat().st_mtime_ns != before


def test_what_cannot_be_loaded_is_named(baselines: Path, from_folders: None, tmp_path: Path, monkeypatch) -> None:
    """A folder that is not there, one without its files, and of two parts the one that is to blame."""
    monkeypatch.setenv("HUVIDPO_BASELINE_MODELSCOPE", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=f"There is no folder {tmp_path}/nothing: check HUVIDPO_BASELINE_MODELSCOPE"):
        load_baseline("modelscope", "cpu")
    monkeypatch.setenv("HUVIDPO_BASELINE_MODELSCOPE", str(tmp_path))
    with pytest.raises(ValueError, match=f"{tmp_path} could not be loaded: a file is missing there, or broken"):
        load_baseline("modelscope", "cpu")
    monkeypatch.setenv("HUVIDPO_BASELINE_ANIMATEDIFF_MOTION", str(tmp_path / "motion"))
    with pytest.raises(ValueError, match=f"There is no folder {tmp_path}/motion"):
        load_baseline("animatediff", "cpu")


@pytest.mark.slow
def test_licences_are_shown_before_a_download(loopback_hub, monkeypatch, capsys: pytest.CaptureFixture) -> None:
    """This Hub has none of them: its own answer is given, with the name of the model."""
    load_baseline.cache_clear()
    show_licence.cache_clear()
    for name, licence in (("modelscope", "CC BY-NC 4.0"), ("animatediff", "Apache-2.0")):
        with pytest.raises(ValueError, match=PARTS[BASELINES[name].parts[0]].repo):
            load_baseline(name, "cpu")
        said = capsys.readouterr().err
        assert f"Downloading {PARTS[BASELINES[name].parts[0]].repo}" in said and licence in said
    assert PARTS["animatediff"].licence == "CreativeML Open RAIL-M"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Vision:
    """The published judges' classes, tiny and untrained."""
    folder = tmp_path_factory.mktemp("judges")
    torch.manual_seed(0)
    tokenizer = new_tokenizer(folder / "words")
    clip: CLIPModel = new_dual_encoder(tokenizer)
    clip.save_pretrained(folder / "clip")
    tokenizer.save_pretrained(folder / "clip")
    size = {"height": 128, "width": 128}
    CLIPImageProcessor(size={"shortest_edge": 128}, crop_size=size).save_pretrained(folder / "clip")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**shape, image_size=32)).save_pretrained(folder / "dino")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "dino")
    with redirect_stderr(io.StringIO()) as said:
        vision = hub_vision("cpu", str(folder / "clip"), str(folder / "clip"), str(folder / "dino"))
    assert said.getvalue() == "", "no bars of the libraries below"
    return vision


def test_published_judges_measure_any_size(published: Vision) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 40, 64, 3), dtype=np.uint8)
    found = measure_clip(published, frames, PROMPT, "horse", frames[0])
    assert set(found) <= set(METRICS) and "action_seen" not in found
    assert found["image_highest"] == pytest.approx(100) and found["first_frame_psnr"] == 100
    vectors = published.image(frames)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert found["clip_score"] == pytest.approx(100 * (vectors @ published.text(PROMPT)).clip(0).mean())
    without = measure_clip(published, frames, PROMPT, "horse", None)
    assert not {"image_fidelity", "first_frame_psnr"} & set(without)


def test_dino_sees_whole_frames_at_their_own_shape(tmp_path: Path) -> None:
    """As VBench shows them: the shorter edge at the network's size, nothing cut off, nothing squashed.

    What is as large as the network already comes out as its own preparation has it. A frame of 20 x 41 becomes
    32 x 65; of a ramp from left to right every row has the sampled ramp.
    """
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    dino = HubModel(
        ViTModel(ViTConfig(**shape, image_size=32)).eval(), ViTImageProcessor(size={"height": 32, "width": 32})
    )
    square = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    torch.testing.assert_close(dino.whole_pixels(square), dino.pixels(square), atol=1e-5, rtol=0)
    with torch.no_grad():
        plain = dino.network(pixel_values=dino.pixels(square)).last_hidden_state[:, 0]
    np.testing.assert_allclose(dino.first_tokens(square), plain / plain.norm(dim=1, keepdim=True), atol=1e-5)
    wide = np.broadcast_to(np.arange(41, dtype=np.uint8)[:, None], (1, 20, 41, 3))
    seen = dino.whole_pixels(wide)
    assert seen.shape == (1, 3, 32, 65)
    ramp = np.interp((np.arange(65) + 0.5) * 41 / 65 - 0.5, np.arange(41), np.arange(41)).round() / 255
    torch.testing.assert_close(seen[0, 0], torch.tensor((ramp - 0.5) / 0.5, dtype=torch.float32).expand(32, 65))
    edge = wide.copy()
    edge[:, :, -6:] = 255  # outside of the square in the middle
    assert not np.allclose(dino.first_tokens(wide), dino.first_tokens(edge))


def test_missing_judges_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--judge pocket"):
        hub_vision("cpu", *[str(tmp_path / "nothing")] * 3)


def test_other_weights_have_another_digest() -> None:
    """One number in one tensor is enough; half precision is another set of weights too."""
    network = torch.nn.Linear(3, 2)
    digest = weights_digest(network)
    assert digest == weights_digest(network) and len(digest) == 64
    with torch.no_grad():
        network.bias[0] += 1e-3
    assert digest != weights_digest(network) != weights_digest(network.half())
