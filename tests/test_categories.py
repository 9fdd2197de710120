import dataclasses
import re

import pytest

from huvidpo import categories
from huvidpo.backbones import LoadedBackbone, varied_prompt
from huvidpo.categories import (
    ADDED,
    CATEGORIES,
    STYLES,
    Category,
    add_category,
    check_prompt,
    find_category,
    known_categories,
    label_of,
    remove_category,
    styled_prompt,
)
from huvidpo.evaluation.critics import find_critic
from huvidpo.evaluation.judges import measure_clip, pocket_vision
from huvidpo.evaluation.prompts import SHIPPED_PROMPTS, chosen_categories, read_tasks
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


DOG = Category(
    "dog-jump", "Dog jumps", "dog jumps", "🏃‍♂️", ("a dog jumps on the beach", "a red dog jumps", "a dog jumps")
)


def test_an_action_of_one_s_own_is_kept_replaced_and_forgotten(own_home):
    add_category(DOG)
    assert find_category("dog-jump") == DOG and [*known_categories()] == [*CATEGORIES, "dog-jump"]
    other = dataclasses.replace(DOG, title="A dog that jumps")
    add_category(dataclasses.replace(DOG, name="cat2"))
    add_category(other)
    assert find_category("dog-jump") == other and [*known_categories()][8:] == ["dog-jump", "cat2"]
    remove_category("dog-jump")
    assert [*known_categories()][8:] == ["cat2"] and label_of("dog-jump") == "dog-jump"
    for name in ("dog-jump", "horse"):
        with pytest.raises(ValueError, match="is no action that was added here"):
            remove_category(name)


def test_actions_can_ship_with_a_copy_of_the_program(own_home, tmp_path, monkeypatch):
    monkeypatch.setattr(categories, "SHIPPED", tmp_path / ADDED)
    add_category(DOG)
    (own_home / ADDED).rename(tmp_path / ADDED)
    assert find_category("dog-jump") == DOG
    add_category(dataclasses.replace(DOG, title="Mine"))
    assert find_category("dog-jump").title == "Mine", "the home's comes after it"
    remove_category("dog-jump")
    assert find_category("dog-jump") == DOG


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"name": "horse"}, "'horse' is taken"),
        ({"name": "all"}, "'all' is taken"),
        ({"name": "Dog"}, "small letters, digits and hyphens, not 'Dog'"),
        ({"name": "../dog"}, "small letters, digits and hyphens"),
        ({"name": "d" * 41}, "may have 40 characters, not 41"),
        ({"title": "two\nlines"}, "The title of an action must be a line of text"),
        ({"motion_prompt": " "}, "The motion prompt of an action must be a line of text"),
        ({"emoji": "no emoji at all"}, "The emoji of an action may have 8 characters, not 15"),
        ({"example_prompts": ("a dog",)}, "needs 2 to 20 different example prompts"),
        ({"example_prompts": ("a dog", "a dog")}, "needs 2 to 20 different example prompts"),
        ({"example_prompts": ("a dog", "!!!")}, "The prompt has no words"),
        ({"title": 7}, "An action is made of texts"),
    ],
)
def test_an_action_that_cannot_be_is_refused_and_nothing_is_written(own_home, changes, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        add_category(dataclasses.replace(DOG, **changes))
    assert not (own_home / ADDED).exists()


@pytest.mark.parametrize("text", ["no JSON", "{}x", "[1]", '[{"name": "dog"}]', '[{"name": "horse"}]', "[[]]", "7"])
def test_a_file_that_holds_no_actions_is_named_and_left_as_it_is(own_home, text):
    own_home.mkdir(exist_ok=True)
    (own_home / ADDED).write_text(text)
    for asked in (known_categories, lambda: add_category(DOG)):
        with pytest.raises(ValueError, match=f"{ADDED} does not hold actions"):
            asked()
    assert (own_home / ADDED).read_text() == text


def test_what_knows_the_eight_only_leaves_an_action_of_one_s_own_alone(own_home, backbone: LoadedBackbone):
    """Its examples stand in for practice captions and prompt files; pocket's judge was never shown it."""
    add_category(DOG)
    *rated, kept = DOG.example_prompts
    prompts = {varied_prompt(backbone, "dog-jump", number, unseen=False) for number in range(20)}
    assert prompts == {styled_prompt(prompt, style) for prompt in rated for style in STYLES}
    assert kept in varied_prompt(backbone, "dog-jump", 3, unseen=True)
    tasks = read_tasks(chosen_categories("dog-jump"), SHIPPED_PROMPTS, seeds=1)
    assert [task.prompt for task in tasks] == list(DOG.example_prompts)
    assert chosen_categories("all") == list(CATEGORIES), "the paper's"
    with pytest.raises(ValueError, match="knows the eight actions only, not dog-jump"):
        find_critic("judge", "dog-jump", "pocket")
    clip, vision = practice_clips.render_clip(practice_clips.sample_scene(3, action="horse")), pocket_vision()
    assert "action_seen" in measure_clip(vision, clip, "a horse", "horse", None)
    assert "action_seen" not in measure_clip(vision, clip, "a dog", "dog-jump", None)
