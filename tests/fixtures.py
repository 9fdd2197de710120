"""A `pocket` as small as its classes allow: the real code paths, in seconds."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig

from huvidpo import adapter_weights, adapters
from huvidpo.backbones import LoadedBackbone, load_backbone
from huvidpo.cli import main
from huvidpo.models.motion import motion_parameters
from huvidpo.pipelines.latents import frames_to_tensor
from huvidpo.pocket.autoencoder import PatchAutoencoderKL, start_from_principal_components
from huvidpo.pocket.components import new_scheduler, new_text_encoder, new_tokenizer, new_unet
from huvidpo.pocket.practice_clips import ACTIONS, render_clip, sample_scene
from tests.preferences.hub_server import TOKEN, HubServer


@pytest.fixture(scope="session")
def pocket_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained image model; its autoencoder is the best linear one, so that pictures differ."""
    folder = tmp_path_factory.mktemp("pocket")
    torch.manual_seed(0)
    vae = PatchAutoencoderKL(width=32)
    frames = [render_clip(sample_scene(i, action=action), num_frames=1)[0] for i, action in enumerate(ACTIONS)]
    start_from_principal_components(vae, torch.cat([frames_to_tensor(frame[None]) for frame in frames]))
    tokenizer = new_tokenizer(folder / "words")
    narrow = {"block_out_channels": (16, 32), "norm_num_groups": 8, "attention_head_dim": 4}
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=new_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel.from_config(new_unet().config, **narrow),
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "weights")
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=targets, init_lora_weights=False), "dpo")
    pipeline.unet.save_lora_adapter(folder / "weights" / "dpo", adapter_name="dpo")
    return folder / "weights"


@pytest.fixture(scope="session")
def shared_backbone(pocket_weights: Path) -> LoadedBackbone:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUVIDPO_POCKET_WEIGHTS", str(pocket_weights))
        backbone = load_backbone("pocket")
    backbone.video.register_to_config(mixed_precision=False)  # so that results are the same on every processor
    return backbone


@pytest.fixture
def backbone(shared_backbone: LoadedBackbone, own_home: Path) -> LoadedBackbone:
    """The small `pocket`, loaded once, without any adapter."""
    adapter_weights.remove_adapter(shared_backbone.video.unet, shared_backbone.still_motion)
    return shared_backbone


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pocket_weights: Path) -> Path:
    """An empty HUVIDPO_HOME beside no shipped adapters, with the small `pocket` as this machine's backbone."""
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", str(pocket_weights))
    monkeypatch.setenv("HUVIDPO_BACKBONE", "pocket")
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "shipped")  # the shipped ones fit the full size only
    return tmp_path / "home"


@pytest.fixture
def loopback_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty Hub on this machine that the Hub's client takes for the real one, and an empty cache."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as running:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        yield running


@pytest.fixture
def moving_adapter(backbone: LoadedBackbone, own_home: Path) -> adapters.Adapter:
    """An adapter of the category `horse` with random motion, saved in this deployment's home."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in motion_parameters(backbone.video.unet).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    folder = own_home / "adapters" / "pocket" / "horse" / "gallop"
    saved = adapter_weights.save_motion_adapter(
        backbone.video.unet, folder, {"backbone": "pocket", "category": "horse"}
    )
    adapter_weights.remove_adapter(backbone.video.unet, backbone.still_motion)
    return saved


@pytest.fixture
def run(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Runs a command in an empty folder, with the small `pocket`; gives exit code, stdout and stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HUVIDPO_DATASET", raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments])
        return code, *capsys.readouterr()

    return command
