"""Going on from shipped weights: what is kept, what follows a newer image model. On an untrained small `pocket`."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from huvidpo.adapter_weights import save_motion_adapter
from huvidpo.adapters import SHIPPED
from huvidpo.evaluation.metrics import colourfulness
from huvidpo.models.motion import load_motion_state_dict, motion_state_dict
from huvidpo.pipelines.latents import decode_frames, tensor_to_frames
from huvidpo.pocket import train_autoencoder, train_first_frames, train_motion, train_preference
from huvidpo.pocket.components import new_scheduler
from huvidpo.pocket.judge import load_judge
from huvidpo.pocket.practice_clips import ACTIONS, sample_scene
from huvidpo.pocket.practice_data import practice_frames, training_seeds
from huvidpo.pocket.train_decoder import resampled_latents
from huvidpo.pocket.train_motion import adopt_motion, adopted_motion, video_pipeline
from huvidpo.pocket.train_preference import best_pair
from huvidpo.training.loop import load_state, save_atomically

QUERIES = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"
GATE = "conv_in.conv_gate.bias"


@pytest.fixture
def image(pocket_weights: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(pocket_weights, local_files_only=True)


def test_most_timesteps_of_first_frames_lie_where_shapes_are_decided() -> None:
    """By hand: a logit-normal of location -0.2 and scale 1 has its median at 1000 / (1 + e^0.2) = 450, and within
    +-1 of it 68.3 %, from 231 to 690; with its share of 0.7 beside uniform ones 0.7 * 0.683 + 0.3 * 0.459 = 61.6 %.
    """
    timesteps = train_first_frames.middle_timesteps(new_scheduler(), 40_000, torch.Generator().manual_seed(0))
    assert timesteps.min() < 20 and timesteps.max() > 980 and timesteps.max() < 1000
    assert ((timesteps >= 231) & (timesteps < 690)).double().mean() == pytest.approx(0.616, abs=0.01)


@pytest.mark.slow
def test_an_adopted_autoencoder_keeps_the_scale_of_its_latents(tmp_path: Path, monkeypatch) -> None:
    """A scale that no measurement gives comes back; without one in the checkpoint it is measured."""
    monkeypatch.setattr(train_autoencoder, "FRAMES", 512)
    model = train_autoencoder.untrained_autoencoder(practice_frames(tmp_path, training_seeds(512)))
    model.register_to_config(scaling_factor=0.1234)
    train_autoencoder.adopt_autoencoder(model, tmp_path)
    assert train_autoencoder.load_autoencoder(tmp_path).config.scaling_factor == 0.1234
    state = load_state(tmp_path / "autoencoder.pt")
    del state["scaling_factor"]
    save_atomically(state, tmp_path / "autoencoder.pt")
    assert 0.3 < train_autoencoder.load_autoencoder(tmp_path).config.scaling_factor < 3


def test_latents_are_those_of_the_encoder_that_is_asked(image, tmp_path: Path, monkeypatch) -> None:
    """Another decoder leaves them; another encoder, or another scale, makes new ones in their place."""
    for module in (train_autoencoder, train_first_frames):
        monkeypatch.setattr(module, "FRAMES", 4)
    vae = image.vae
    first = train_first_frames.frame_latents(vae, tmp_path)
    (kept,) = tmp_path.glob("latents*")
    vae.decoder.conv_out.bias.data += 1
    train_first_frames.frame_latents(vae, tmp_path)
    assert [*tmp_path.glob("latents*")] == [kept]
    vae.quant_conv.bias.data += 1
    second = train_first_frames.frame_latents(vae, tmp_path)
    assert not torch.equal(first, second)
    vae.register_to_config(scaling_factor=2 * vae.config.scaling_factor)
    torch.testing.assert_close(train_first_frames.frame_latents(vae, tmp_path), 2 * second)
    assert len([*tmp_path.glob("latents*")]) == 1


def test_frames_of_other_seeds_have_another_file(tmp_path: Path) -> None:
    """As many, from the same first one on: by range, and as training takes them, without what is held out."""
    for seeds in ([0, 1], [0, 2], [0, 1]):
        practice_frames(tmp_path, seeds)
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.slow
def test_practice_frames_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    """64 frames take 3 MB, of which a file system of 1 MB sees the end of the file only: it is sparse at first."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    program = """
import sys
from pathlib import Path
from huvidpo.pocket.practice_data import practice_frames
try:
    practice_frames(Path(sys.argv[1]), range(64))
except ValueError as error:
    print(error)
"""
    try:
        done = subprocess.run([sys.executable, "-c", program, small], capture_output=True, text=True, check=True)
        assert "No space left on device" in done.stdout and [*small.iterdir()] == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_faces_and_wings_are_drawn_more_often() -> None:
    sums = train_first_frames.row_weights(64)
    weights = np.diff([0, *sums])
    actions = [sample_scene(seed).action for seed in training_seeds(64)]
    assert dict(zip(actions, weights, strict=True)) == {a: train_first_frames.FINE.get(a, 1.0) for a in ACTIONS}


def test_adopted_motion_is_the_mean_and_its_queries_follow_the_image_model(image, tmp_path: Path) -> None:
    """Gates 0 to 7 have the mean 3.5; an action has its own. Queries 2 above the image model stay so."""
    unet = video_pipeline(image).unet
    state = {name: value.clone() for name, value in motion_state_dict(unet).items()}
    state[QUERIES] += 2
    for number, action in enumerate(ACTIONS):
        load_motion_state_dict(unet, state | {GATE: torch.full_like(state[GATE], number)})
        save_motion_adapter(unet, tmp_path / "pocket" / action / "motion", {"backbone": "pocket", "category": action})
    adopt_motion(image, tmp_path, tmp_path)
    newer = dict(image.unet.named_parameters())[QUERIES]
    newer.data += 1
    adopted = adopted_motion(image, "start", tmp_path)
    torch.testing.assert_close(adopted[GATE], torch.full_like(state[GATE], 3.5))
    torch.testing.assert_close(adopted[QUERIES], newer.data + 2, atol=2e-3, rtol=0)  # kept in half precision
    load_motion_state_dict(video_pipeline(image).unet, adopted)
    own = adopted_motion(image, ACTIONS[2], tmp_path)
    assert own[GATE].unique().tolist() == [2]
    torch.testing.assert_close(own[QUERIES], adopted[QUERIES], atol=2e-3, rtol=0)


@pytest.mark.slow
def test_a_card_says_what_adopted_motion_goes_back_to(image, tmp_path: Path, monkeypatch) -> None:
    unet = video_pipeline(image).unet
    for action in ACTIONS:
        save_motion_adapter(unet, tmp_path / "pocket" / action / "motion", {"backbone": "pocket", "category": action})
    adopt_motion(image, tmp_path, tmp_path)
    monkeypatch.setattr(train_motion, "CATEGORY", replace(train_motion.CATEGORY, steps=1))
    card = tmp_path / "pocket" / "rain" / "motion" / "card.json"
    for start, said in (("adopted", train_motion.ADOPTED_START), ("shared", train_motion.SHARED)):
        if start == "shared":
            save_file(motion_state_dict(unet), tmp_path / train_motion.START_FILE)
        (record,) = train_motion.train_category(image, "rain", tmp_path, tmp_path, None)
        (tmp_path / "motion-rain" / "training.pt").unlink()
        assert record.step == 1 and json.loads(card.read_text())["start"] == said
        assert "the 16 clips of each of the eight actions" in said


def test_the_shipped_cards_say_what_their_motion_goes_back_to() -> None:
    cards = [json.loads((SHIPPED / "pocket" / action / "motion" / "card.json").read_text()) for action in ACTIONS]
    assert {card["start"] for card in cards} == {train_motion.ADOPTED_START}
    assert {card["license"] for card in cards} == {"apache-2.0"}
    heads = [(SHIPPED / "pocket" / action / "motion" / "README.md").read_text().split("---")[1] for action in ACTIONS]
    assert all("\nlicense: apache-2.0\n" in head for head in heads), "the Hub reads it there"


def test_resampled_latents_stay_near_the_clean_ones_and_follow_from_the_step(image) -> None:
    """An untrained network predicts next to nothing, but at most half of the steps are run from noise."""
    clean = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    found = [resampled_latents(image, clean, [3, 4], step) for step in (5, 5, 6)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    assert found[0].shape == clean.shape
    assert torch.nn.functional.cosine_similarity(found[0].flatten(), clean.flatten(), dim=0) > 0.5


def test_the_vivid_picture_wins_where_it_follows_its_caption_no_less() -> None:
    """Of 10, 30, 20 the most vivid follows least: 20 may win against 10 only. Else CLIPScore decides."""
    assert best_pair(np.array([10, 30, 20]), np.array([0.2, 0.1, 0.3])) == (2, 0)
    assert best_pair(np.array([10, 30, 20]), np.array([0.2, 0.2, 0.2])) == (1, 0)
    assert best_pair(np.array([10, 30, 20]), np.array([0.3, 0.1, 0.2])) == (0, 1)


@pytest.mark.slow
def test_pairs_of_first_frames_are_of_the_model_and_the_first_step_knows_nothing(image, tmp_path, monkeypatch) -> None:
    """Policy and reference are equal at first: the loss is log 2. The result can be loaded as the page does."""
    for name, value in {"PAIRS": 4, "BATCH": 2, "SAMPLING_STEPS": 2}.items():
        monkeypatch.setattr(train_preference, name, value)
    judge, prompts = load_judge(), train_preference.pair_prompts()
    pairs = train_preference.preference_pairs(image, judge, tmp_path)
    image.unet.conv_out.bias.data += 1
    others = train_preference.preference_pairs(image, judge, tmp_path)
    assert not torch.equal(others["winners"], pairs["winners"]), "pairs of another image model"
    image.unet.conv_out.bias.data -= 1
    pairs = train_preference.preference_pairs(image, judge, tmp_path)
    frames = {side: tensor_to_frames(decode_frames(image.vae, latents)) for side, latents in pairs.items()}
    won, lost = (judge.clip_scores(frames[side], prompts) for side in ("winners", "losers"))
    assert (won >= lost).all() and pairs["winners"].shape == (4, 16, 16, 16)
    vivid, plain = (np.array([colourfulness(frame) for frame in frames[side]]) for side in ("winners", "losers"))
    assert ((vivid > plain) | (won > lost)).all()
    steps = train_preference.train_first_frame_preference(image, judge, tmp_path, tmp_path / "weights", 3, None)
    losses = [record.loss for record in steps]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6) and losses[0] != losses[2]
    image.load_lora_weights(tmp_path / "weights" / "dpo", adapter_name="learned")
