import dataclasses
import re

import pytest

from huvidpo.categories import CATEGORIES, STYLES, check_prompt, find_category, styled_prompt
from huvidpo.pocket import practice_clips


def test_the_eight_actions_carry_the_names_of_the_paper():
    motion_prompts = [category.motion_prompt for category in CATEGORIES.values()]
    assert motion_prompts == [
        "waterfall",
        "turn to smile",
        "helicopter",
        "rain",
        "firework",
        "play the guitar",
        "horse run",
        "birds fly",
    ]
    assert tuple(CATEGORIES) == practice_clips.ACTIONS
    assert [name for name in STYLES if name != "any"] == list(practice_clips.STYLES)


def test_every_example_is_made_of_words_that_pocket_knows():
    known = set(practice_clips.vocabulary())
    for category in CATEGORIES.values():
        assert 3 <= len(category.example_prompts) <= 4
        for prompt in category.example_prompts:
            for style in STYLES:
                words = re.findall(r"[a-z]+", styled_prompt(prompt, style))
                assert words and set(words) <= known, (prompt, set(words) - known)


def test_every_example_is_a_caption_of_its_own_action():
    """The pocket model has seen the very sentence with this action (not only the words)."""
    for category in CATEGORIES.values():
        captions = {
            practice_clips.caption(practice_clips.Scene(category.name, colour, place, style, 0, subject), variant)
            for colour in practice_clips.COLOURS
            for place in practice_clips.PLACES
            for style in practice_clips.STYLES[:1]
            for subject in practice_clips.SUBJECTS[category.name]
            for variant in range(practice_clips.VARIANTS)
        }
        assert set(category.example_prompts) <= captions


def test_find_category_lists_the_choices():
    assert find_category("horse").title == "Horse run"
    with pytest.raises(ValueError, match=r"There is no category 'Horse'.*waterfall, smile, .*, birds"):
        find_category("Horse")
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_category("horse").title = "x"


@pytest.mark.parametrize(
    "prompt, style, expected",
    [
        ("a red horse runs", "any", "a red horse runs"),
        ("a red horse runs", "pixel art", "a red horse runs, pixel art style"),
        ("A red horse runs. ", "cartoon", "A red horse runs, cartoon style"),
        ("a red horse, Pixel Art style", "pixel art", "a red horse, Pixel Art style"),
        ("cartoonish horse", "cartoon", "cartoonish horse, cartoon style"),
    ],
)
def test_styled_prompt(prompt, style, expected):
    assert styled_prompt(prompt, style) == expected
    assert styled_prompt(expected, style) == expected, "asking twice adds nothing"


def test_unknown_style_lists_the_choices():
    with pytest.raises(ValueError, match=r"There is no style 'oil'.*any, realistic, cartoon"):
        styled_prompt("a horse", "oil")


def test_check_prompt():
    assert check_prompt("  a horse\n") == "a horse"
    assert check_prompt(" " * 2000 + "é" * 1000) == "é" * 1000
    for empty in ("", " \n\t\u3000"):
        with pytest.raises(ValueError, match="prompt is empty"):
            check_prompt(empty)
    with pytest.raises(ValueError, match="10000 characters: write at most 1000"):
        check_prompt("x" * 10_000)
    for wordless in ("!!!", "… - ,", "“”"):
        with pytest.raises(ValueError, match="The prompt has no words"):
            check_prompt(wordless)
    assert check_prompt("🎆!") == "🎆!"
