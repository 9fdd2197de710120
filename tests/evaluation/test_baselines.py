"""Other people's models and the published judges: the real classes at tiny size, from folders."""

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
from transformers import CLIPImageProcessor, CLIPModel, ViTConfig, ViTImageProcessor, ViTModel

from huvidpo.evaluation.baselines import load_baseline, make_baseline_clip
from huvidpo.evaluation.judges import Vision, hub_vision, measure_clip
from huvidpo.evaluation.metrics import METRICS
from huvidpo.pocket.components import new_text_encoder, new_tokenizer
from huvidpo.pocket.judge import new_dual_encoder

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
    for name in ("animatediff", "animatediff_motion", "modelscope"):
        monkeypatch.setenv(f"HUVIDPO_BASELINE_{name.upper()}", str(baselines / name))
    load_baseline.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["animatediff", "modelscope"])
def test_a_baseline_makes_the_same_clip_for_the_same_seed(name: str, from_folders: None) -> None:
    first, again, other = (make_baseline_clip(name, "cpu", PROMPT, seed, 4, 32, 16) for seed in (0, 0, 1))
    assert first.shape == (4, 16, 32, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_missing_baseline_says_what_to_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUVIDPO_BASELINE_MODELSCOPE", str(tmp_path / "nothing"))
    load_baseline.cache_clear()
    with pytest.raises(ValueError, match="check the network"):
        load_baseline("modelscope", "cpu")


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
    return hub_vision("cpu", str(folder / "clip"), str(folder / "clip"), str(folder / "dino"))


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


def test_missing_judges_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--judge pocket"):
        hub_vision("cpu", *[str(tmp_path / "nothing")] * 3)
