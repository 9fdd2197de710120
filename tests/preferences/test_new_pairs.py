"""Pairs out of clips that people bring and out of scores; and copies that do not say what they are."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from huvidpo.images import write_png
from huvidpo.preferences import new_pairs
from huvidpo.preferences.blind import blind_copy
from huvidpo.preferences.new_pairs import (
    add_starter_pairs,
    add_uploaded_pair,
    at_one_pace,
    clips_to_score,
    rate_by_scores,
    uploads_to_score,
)
from huvidpo.preferences.store import RatingStore
from huvidpo.video import read_frames, read_metadata, write_gif, write_mp4
from tests.ui.planted import FPS, SETTINGS, drawn_clip, plant_pair

RATER = ("a" * 16, "anonymous", "")


@pytest.fixture
def store(tmp_path):
    store = RatingStore(tmp_path / "home")
    yield store
    store.close()


def clip(folder, number: int, frames: int = 4, **settings):
    return write_mp4(drawn_clip(number, frames), folder / f"clip-{number}.mp4", FPS, settings)


def test_two_uploads_become_a_pair_of_equal_length_that_says_nothing_about_its_maker(store, tmp_path):
    forged = {"huvidpo": "9", "adapter": "best", "seed": 5, "prompt": "another"}
    second = write_gif(drawn_clip(2, 5), tmp_path / "second.gif", FPS)
    pair = add_uploaded_pair(store, [clip(tmp_path, 1, 6, **forged), second], " a horse ", "horse")
    assert (pair.prompt, pair.category, pair.origin, pair.first_frame) == ("a horse", "horse", "upload", "")
    assert (pair.a.num_frames, pair.b.num_frames, pair.a.width, pair.a.fps) == (5, 5, 64, 8)
    assert (pair.a.huvidpo, pair.a.adapter, pair.a.seed) == ("", "", -1) and pair.a.motion > 0
    kept = store.video_path(pair.a.sha256)
    assert "huvidpo" not in read_metadata(kept) and len(read_frames(kept)[0]) == 5
    assert store.pairs() == [pair]


@pytest.mark.parametrize(
    "prompt, category, sentence",
    [("", "horse", "prompt is empty"), ("x" * 5000, "horse", "prompt"), ("a horse", "dragon", "dragon")],
)
def test_an_upload_without_sound_words_is_refused(store, tmp_path, prompt, category, sentence):
    with pytest.raises(ValueError, match=sentence):
        add_uploaded_pair(store, [clip(tmp_path, 1), clip(tmp_path, 2)], prompt, category)
    assert store.pairs() == []


def test_an_upload_that_is_no_pair_is_refused_with_a_sentence(store, tmp_path):
    good, broken = clip(tmp_path, 1), tmp_path / "broken.mp4"
    broken.write_bytes(b"#EXTM3U\n/etc/passwd")
    large = write_mp4(np.zeros((4, 64, 1100, 3), np.uint8), tmp_path / "large.mp4", FPS)
    cases = {
        "Choose two clips": [good, None],
        "not a readable clip": [good, broken],
        "at least 4 frames": [good, clip(tmp_path, 2, 3)],
        "scale it down": [large, good],
        "show the same": [good, good],
    }
    for sentence, files in cases.items():
        with pytest.raises(ValueError, match=sentence):
            add_uploaded_pair(store, files, "a horse", "horse")
    assert store.pairs() == []


@pytest.mark.slow
def test_scores_become_one_rating_for_each_random_pair(store, tmp_path):
    """Eight clips in a ring are eight pairs, each clip in two of them; 6 and 6 are a good tie, 2 and 2 a bad one."""
    takes = uploads_to_score(store, [clip(tmp_path, seed) for seed in range(8)], "horse")
    scores = [6, 6, 6, 2.5, 2.5, 2.5, 9, 0]
    ratings = rate_by_scores(store, takes, scores, "horse", *RATER, draw=random.Random(3))
    assert ratings == store.ratings() and len({rating.pair.pair_id for rating in ratings}) == 8
    given = {take.sha256: score for take, score in zip(takes, scores, strict=True)}
    shown = [take.sha256 for rating in ratings for take in (rating.pair.a, rating.pair.b)]
    assert sorted(shown) == sorted([*given, *given])
    for rating in ratings:
        a, b = given[rating.pair.a.sha256], given[rating.pair.b.sha256]
        assert (rating.score_a, rating.score_b) == (a, b)
        expected = "a" if a > b else "b" if b > a else {6: "tie_good", 2.5: "tie_bad"}[a]
        assert rating.preference == expected
        assert (rating.pair.prompt, rating.pair.origin, rating.pair.split) == ("horse run", "scores", "train")


def test_only_one_number_for_each_clip_is_a_score(store, tmp_path):
    takes = [plant_pair(store, tmp_path, number).a for number in range(8)]
    for scores in (None, [5] * 7, [5] * 9, [11, *[5] * 7], [-1, *[5] * 7], ["5"] * 8, [True] * 8):
        with pytest.raises(ValueError, match="0 to 10"):
            rate_by_scores(store, takes, scores, "horse", *RATER)
        assert store.ratings() == [], scores


@pytest.mark.slow
def test_eight_to_sixteen_clips_are_scored(store, tmp_path):
    for number in range(3):
        plant_pair(store, tmp_path, number)
    here = 2 * sum(pair.split == "train" for pair in store.pairs())
    with pytest.raises(ValueError, match=f"only {here} clips are here"):
        clips_to_score(store, "horse", "pocket")
    with pytest.raises(ValueError, match="8 to 16 clips at once, not 2"):
        uploads_to_score(store, [clip(tmp_path, 1), clip(tmp_path, 2)], "horse")
    rain = write_mp4(drawn_clip(3), tmp_path / "rain.mp4", FPS, {"category": "rain"})
    with pytest.raises(ValueError, match=r"rain\.mp4 was made for rain, not horse"):
        uploads_to_score(store, [rain, *(clip(tmp_path, seed) for seed in range(7))], "horse")
    for number in range(3, 14):
        plant_pair(store, tmp_path, number)
    private = add_uploaded_pair(store, [clip(tmp_path, 41), clip(tmp_path, 42)], "a horse of mine", "horse")
    for seed in range(20):
        takes = clips_to_score(store, "horse", "pocket", random.Random(seed))
        shown = {take.sha256 for take in takes}
        assert len(shown) == len(takes) == 16
        hidden = [pair for pair in store.pairs() if pair.split == "measure" or pair == private]
        assert not shown & {take.sha256 for pair in hidden for take in (pair.a, pair.b)}
    same = clip(tmp_path, 1)
    with pytest.raises(ValueError, match="are the same"):
        uploads_to_score(store, [same] * 8, "horse")


def test_a_new_page_starts_with_the_pairs_that_ship_and_a_used_one_keeps_its_own(store, tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    assert add_starter_pairs(store, folder, "pocket") == 0
    for seed, side in ((1, "a"), (2, "b")):
        settings = SETTINGS | {"prompt": "a red horse", "seed": seed, "adapter": "motion"}
        write_mp4(drawn_clip(seed), folder / f"horse-{side}.mp4", FPS, settings)
    write_png(Image.new("RGB", (64, 64)), folder / "horse.png", {})
    assert add_starter_pairs(store, folder, "sd14") == 0, "these would teach it nothing"
    assert add_starter_pairs(store, folder, "pocket") == 1 and add_starter_pairs(store, folder, "pocket") == 0
    (pair,) = store.pairs()
    assert (pair.prompt, pair.category, pair.origin) == ("a red horse", "horse", "queue")
    assert (pair.a.seed, pair.b.seed, pair.a.adapter) == (1, 2, "motion")
    assert store.frame_path(pair.first_frame).is_file()


@pytest.mark.slow
def test_the_pairs_that_ship_are_what_they_are_said_to_be(store):
    """Noise and guidance of their own, the higher one on either side."""
    assert add_starter_pairs(store, Path(__file__).parents[2] / "examples" / "pairs", "pocket") == 8
    pairs = store.pairs()
    assert all({pair.a.guidance, pair.b.guidance} == {1.0, 2.5} and pair.a.seed != pair.b.seed for pair in pairs)
    assert {pair.pairing for pair in pairs} == {"varied"} and len({pair.a.guidance for pair in pairs}) == 2


def test_a_blind_copy_has_the_same_pictures_and_nothing_else(tmp_path):
    original = clip(tmp_path, 1, huvidpo="1", adapter="gallop")
    copy = blind_copy(original, tmp_path / "shown", b"secret")
    assert read_metadata(copy) == {} and b"gallop" not in copy.read_bytes()
    np.testing.assert_array_equal(read_frames(copy)[0], read_frames(original)[0])
    assert original.stem not in copy.name and copy.name != blind_copy(original, tmp_path / "shown", b"other").name
    before = copy.stat().st_ino
    assert blind_copy(original, tmp_path / "shown", b"secret") == copy and copy.stat().st_ino == before


def test_a_blind_copy_that_nobody_asks_for_is_removed_after_a_day(tmp_path):
    clips = [write_mp4(drawn_clip(seed), tmp_path / f"{seed}.mp4", FPS) for seed in (1, 2, 3)]
    old, used = (blind_copy(clip, tmp_path / "shown", b"secret") for clip in clips[:2])
    for copy in (old, used):
        os.utime(copy, (0, 0))
    assert blind_copy(clips[1], tmp_path / "shown", b"secret") == used
    third = blind_copy(clips[2], tmp_path / "shown", b"secret")
    assert sorted((tmp_path / "shown").iterdir()) == sorted([used, third])
    assert blind_copy(clips[0], tmp_path / "shown", b"secret") == old and old.is_file()


def test_a_clip_that_cannot_be_copied_leaves_nothing_behind(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a clip")
    with pytest.raises(ValueError, match="cannot be read"):
        blind_copy(broken, tmp_path / "shown", b"secret")
    assert [*(tmp_path / "shown").iterdir()] == []


def test_two_uploads_play_on_one_clock(store, tmp_path):
    """Three seconds of 24 frames a second beside two of 8: both become two seconds of 8, each at its own speed."""
    frames = np.stack([np.full((32, 32, 3), i, np.uint8) for i in range(64)])
    fast, slow, fps = at_one_pace((frames, 24.0), (frames[:16], 8.0))
    assert (fps, len(fast), len(slow)) == (8.0, 16, 16)
    assert fast[:, 0, 0, 0].tolist() == [3 * i for i in range(16)] and np.array_equal(slow, frames[:16])


def test_a_picture_that_is_too_large_is_not_read_whole(store, tmp_path, monkeypatch):
    """A small file can hold gigabytes of pixels."""
    write_mp4(np.zeros((12, 1040, 64, 3), np.uint8), tmp_path / "tall.mp4", 8)
    asked = []
    read = new_pairs.read_frames
    monkeypatch.setattr(new_pairs, "read_frames", lambda file, most: asked.append(most) or read(file, most))
    with pytest.raises(ValueError, match="may be 1024 pixels a side"):
        new_pairs.read_upload(tmp_path / "tall.mp4")
    assert asked == [1]
