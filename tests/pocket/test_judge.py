"""The judge: what its answers are computed from, what it must not see, and that the shipped one can be believed."""

from random import Random

import numpy as np
import pytest
import torch

from huvidpo.pocket.components import new_tokenizer
from huvidpo.pocket.judge import (
    ATTRIBUTES,
    JUDGE_WEIGHTS,
    MOTION_ANSWERS,
    Judge,
    MotionClassifier,
    brightness,
    differences,
    load_judge,
    new_dual_encoder,
    phrases,
    save_judge,
)
from huvidpo.pocket.practice_clips import (
    ACTIONS,
    COLOURS,
    PLACES,
    STYLES,
    caption,
    render_clip,
    render_frame,
    sample_scene,
    vocabulary,
)
from huvidpo.pocket.practice_data import TRAINING_SEEDS
from huvidpo.pocket.train_judge import (
    CLIP_SEEDS,
    FRAME_SEEDS,
    STILL_KINDS,
    disturb_clips,
    disturb_images,
    dual_encoder_loss,
    still_clips,
    with_one_change,
)

UNSEEN = 3_900_000  # seeds that neither the judge nor the report uses


@pytest.fixture(scope="module")
def shipped() -> Judge:
    return load_judge()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    torch.manual_seed(0)
    tokenizer = new_tokenizer(tmp_path_factory.mktemp("words"))
    return Judge(new_dual_encoder(tokenizer).eval(), tokenizer, MotionClassifier(width=4).eval())


def test_phrases_of_a_choice_leave_the_other_attributes_out():
    assert "a horse gallops" in phrases("action", "horse") and "rain falls on an umbrella" in phrases("action", "rain")
    assert {"an orange horse runs", "orange birds fly"} <= set(phrases("colour", "orange"))
    assert phrases("place", "night") == ("at night", "in the night sky")
    assert phrases("style", "pixel art") == ("pixel art style", "in pixel art style", "pixel art")
    others = {"action": {*COLOURS, *PLACES, *STYLES}, "colour": {*PLACES, *STYLES}, "place": {*ACTIONS, *COLOURS}}
    for attribute, choices in ATTRIBUTES.items():
        words = {word for choice in choices for text in phrases(attribute, choice) for word in text.split()}
        assert words <= set(vocabulary()) and not words & others.get(attribute, set())


def test_clip_score_is_two_and_a_half_cosines_of_the_model_itself(untrained):
    """2.5 * max(cos, 0) with the unit vectors that transformers' own CLIPModel.forward gives."""
    scenes = [sample_scene(UNSEEN + i) for i in range(3)]
    frames, texts = np.stack([render_frame(scene, 0) for scene in scenes]), [caption(scene) for scene in scenes]
    tokens = untrained.tokenizer(texts, padding=True, return_tensors="pt").input_ids
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        own = untrained.clip(input_ids=tokens, pixel_values=pixels)
    expected = 2.5 * (own.image_embeds * own.text_embeds).sum(dim=1).clamp(min=0)
    np.testing.assert_allclose(untrained.clip_scores(frames, texts), expected.numpy(), atol=1e-5)
    assert untrained.clip_score(frames, texts[0]) == pytest.approx(
        untrained.clip_scores(frames, [texts[0]] * 3).mean()
    )


def test_an_answer_is_the_choice_with_the_nearest_wordings(untrained):
    frames = np.stack([render_frame(sample_scene(UNSEEN + i), 0) for i in range(4)])
    vectors = untrained.frame_vectors(frames)
    for attribute, choices in ATTRIBUTES.items():
        nearest = [choices[int((untrained.choices[attribute] @ vector).argmax())] for vector in vectors]
        assert [answer[attribute] for answer in untrained.answers(frames)] == nearest
        assert untrained.choices[attribute].norm(dim=1) == pytest.approx(1, abs=1e-5)


def test_a_difference_holds_what_moves_and_nothing_of_a_flickering_picture():
    """Frame 1 is 0.5 * frame 0 + 0.2: all of that is explained by the picture. Then a square of 8x8 lights up."""
    picture = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    flicker = torch.stack([picture, 0.5 * picture + 0.2, picture])
    assert differences(flicker[None]).abs().max() < 1e-5
    moved = picture.clone()
    moved[8:16, 24:32] += 1
    seen = differences(torch.stack([picture, moved])[None])[0, 0]
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[8:16, 24:32] = True
    assert seen[inside].min() > 0.8 and seen[~inside].abs().max() < 0.1


def test_brightness_is_that_of_television():
    """Rec. 709: 0.2126 red + 0.7152 green + 0.0722 blue."""
    clip = np.zeros((1, 1, 128, 128, 3), np.uint8)
    clip[..., 0], clip[..., 1], clip[..., 2] = 255, 51, 102
    assert brightness(clip) == pytest.approx(0.2126 + 0.2 * 0.7152 + 0.4 * 0.0722, abs=1e-5)
    assert brightness(clip).shape == (1, 1, 64, 64)


def test_stills_do_not_act():
    """A held picture has no differences, a shaken or panned one is moved as a whole, and none keeps the clip."""
    clips = torch.rand(3, 16, 64, 64, generator=torch.Generator().manual_seed(0))
    for kind in STILL_KINDS:
        still = still_clips(clips, torch.Generator().manual_seed(1), kind)
        assert still.shape == clips.shape and not torch.equal(still, clips)
        if kind in ("held", "flickering"):
            assert differences(still).abs().max() < 1e-4
        if kind in ("held", "shaken", "panned"):
            assert torch.equal(
                still.flatten(2).sort().values, still[:, :1].flatten(2).sort().values.expand(-1, 16, -1)
            )


def test_disturbed_pictures_stay_pictures():
    images = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    disturbed = disturb_images(images, torch.Generator().manual_seed(1))
    assert disturbed.shape == images.shape and disturbed.abs().max() <= 1
    assert torch.equal(disturbed, disturb_images(images, torch.Generator().manual_seed(1)))
    clips = torch.rand(2, 16, 64, 64)
    assert disturb_clips(clips, torch.Generator().manual_seed(1)).shape == clips.shape


def test_a_wrong_caption_differs_in_one_attribute():
    rng = Random(0)
    for seed in range(40):
        scene = sample_scene(seed)
        other = with_one_change(scene, rng)
        assert sum(getattr(scene, name) != getattr(other, name) for name in ATTRIBUTES) == 1
        assert other.action == scene.action or caption(other) != caption(scene)


def test_the_loss_of_an_untrained_model_is_that_of_guessing(untrained):
    """Guessing: log 8 for three questions and log 4 for one; of captions log 8 (with wrong ones) and log 4."""
    scenes = [sample_scene(UNSEEN + i) for i in range(4)]
    images = torch.from_numpy(np.stack([render_frame(scene, 0) for scene in scenes])).permute(0, 3, 1, 2) / 127.5 - 1
    loss = dual_encoder_loss(untrained.clip, untrained.tokenizer, images, scenes, Random(0))
    guessed = 3 * np.log(8) + np.log(4) + (np.log(8) + np.log(4)) / 2
    assert loss.item() == pytest.approx(guessed, rel=0.25)


def test_no_generator_trains_on_the_judges_seeds():
    assert min(*FRAME_SEEDS, *CLIP_SEEDS) > TRAINING_SEEDS + 200_000 and not set(FRAME_SEEDS) & set(CLIP_SEEDS)


def test_saving_and_loading_keeps_the_answers(untrained, tmp_path):
    frames = np.stack([render_frame(sample_scene(UNSEEN + i), 0) for i in range(2)])
    clips = np.stack([render_clip(sample_scene(UNSEEN + i)) for i in range(2)])
    before = untrained.frame_vectors(frames), untrained.actions_from_motion(clips)
    save_judge(untrained, tmp_path)
    again = load_judge(tmp_path)
    assert again.clip.dtype == again.motion.dtype == torch.float32 and not again.motion.training
    torch.testing.assert_close(again.frame_vectors(frames), before[0], atol=2e-3, rtol=0)
    assert again.actions_from_motion(clips) == before[1]


def test_missing_weights_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"weights are missing from .*clone the repository"):
        load_judge(tmp_path)


def test_the_shipped_judge_is_small():
    files = [file for file in JUDGE_WEIGHTS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 4e6
    assert {file.suffix for file in files} == {".json", ".safetensors"}


def test_the_shipped_judge_sees_what_unseen_practice_frames_show(shipped):
    """The report gives the exact figures over many more; here 64 frames, of which a few may be wrong."""
    scenes = [sample_scene(UNSEEN + i) for i in range(64)]
    answers = shipped.answers(np.stack([render_frame(scene, 0) for scene in scenes]))
    for attribute in ATTRIBUTES:
        right = [answer[attribute] == getattr(scene, attribute) for answer, scene in zip(answers, scenes, strict=True)]
        assert np.mean(right) >= 0.9, attribute


def test_the_shipped_judge_prefers_the_right_caption(shipped):
    scenes, rng = [sample_scene(UNSEEN + i) for i in range(32)], Random(0)
    frames = np.stack([render_frame(scene, 0) for scene in scenes])
    right = shipped.clip_scores(frames, [caption(scene) for scene in scenes])
    wrong = shipped.clip_scores(frames, [caption(with_one_change(scene, rng)) for scene in scenes])
    assert (right > wrong).mean() > 0.9


@pytest.mark.slow
def test_the_shipped_judge_names_actions_by_their_motion_and_none_in_stills(shipped):
    scenes = [sample_scene(UNSEEN + i, action=ACTIONS[i % 8]) for i in range(24)]
    clips = np.stack([render_clip(scene) for scene in scenes])
    named = shipped.actions_from_motion(clips)
    assert sum(answer == scene.action for answer, scene in zip(named, scenes, strict=True)) >= 23
    held = np.repeat(clips[:, :1], 16, axis=1)
    assert set(shipped.actions_from_motion(held)) == {"none"}
    assert set(MOTION_ANSWERS) == {*ACTIONS, "none"}
