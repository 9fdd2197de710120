"""What is said of a prompt before anybody waits for its picture: unknown words, and those that are not read."""

import copy
from dataclasses import replace

import pytest

from huvidpo.backbones import LoadedBackbone
from huvidpo.commands.evaluation import warn_of_prompts
from huvidpo.evaluation.prompts import Task
from huvidpo.pocket.components import TEXT_TOKENS
from huvidpo.words import notices, unknown_words, words_read

LONG = "a red horse runs on the beach " * 4  # 28 words, each a token


def test_a_prompt_that_is_known_and_fits_needs_no_notice(backbone: LoadedBackbone) -> None:
    assert notices(backbone, "a red horse runs on the beach", "claymation", "rain") == notices(backbone, "") == []


def test_where_the_text_encoder_stops_to_read_is_said(backbone: LoadedBackbone) -> None:
    """Of 24 tokens two are marks: 22 words are read, the 22nd is "a"."""
    assert backbone.video.tokenizer.model_max_length == TEXT_TOKENS == 24
    assert notices(backbone, LONG) == ["Beyond the first 22 words the prompt is not read: write fewer words."]
    (styled,) = notices(backbone, LONG, "cartoon")
    assert styled == "Beyond the first 22 words the prompt is not read, nor is the style: write fewer words."
    assert notices(backbone, "a horse", "any", LONG) == [
        "Beyond the first 22 words the negative prompt is not read: write fewer words."
    ]


def test_an_evaluation_warns_of_its_prompts_once(backbone: LoadedBackbone, capsys) -> None:
    tasks = [Task("horse", "horse-01", "a zebra runs", seed) for seed in (0, 1)]
    tasks.append(Task("horse", "horse-02", " ".join(["a horse runs in the snow"] * 6), 0))
    warn_of_prompts(backbone, tasks)
    unknown, cut = capsys.readouterr().err.splitlines()
    assert "these words: zebra. It knows: a, " in unknown
    assert cut.startswith("Warning: 'a horse runs") and "is not read: write fewer words." in cut
    warn_of_prompts(backbone, [Task("horse", "horse-01", "a red horse runs", 0)])
    assert capsys.readouterr().err == ""


def test_a_style_without_room_is_said(backbone: LoadedBackbone) -> None:
    """21 words, a comma and "cartoon style" are 24 tokens."""
    prompt = "a red horse runs on the beach " * 3
    assert notices(backbone, prompt) == []
    assert notices(backbone, prompt, "cartoon") == [
        "The prompt leaves no room for the style, which is not read: write fewer words."
    ]


def test_what_is_said_to_be_read_is_what_changes_the_tokens(backbone: LoadedBackbone) -> None:
    tokenizer, words = (
        backbone.video.tokenizer,
        ["an", "orange", "zebra,", "walks:", "slowly", "on", "mars", "at", "night"] * 3,
    )
    read = words_read(backbone, words)
    limit = {"truncation": True, "max_length": tokenizer.model_max_length}
    whole = tokenizer(" ".join(words), **limit).input_ids
    changed = [tokenizer(" ".join([*words[:i], "", *words[i + 1 :]]), **limit).input_ids for i in range(len(words))]
    assert 0 < read < len(words)
    assert all(other != whole for other in changed[:read])
    assert all(other == whole for other in changed[read + 1 :]), "the word at the border may be read in part"


def test_the_full_size_reads_77_tokens_and_knows_all_words(backbone: LoadedBackbone) -> None:
    tokenizer = copy.copy(backbone.video.tokenizer)
    tokenizer.model_max_length = 77
    full = replace(backbone, preset=replace(backbone.preset, name="sd14"), video=copy.copy(backbone.video))
    full.video.tokenizer = tokenizer
    assert notices(full, "a zebra") == [] == notices(full, LONG, "cartoon")
    assert "first 75 words" in notices(full, LONG * 3)[0]


@pytest.mark.parametrize(
    "prompt, unknown",
    [("a red zebra on the Moon", ["zebra", "moon"]), ("red, blurry 🎆!", ["blurry", "🎆"]), ("a horse …", [])],
)
def test_unknown_words(backbone: LoadedBackbone, prompt: str, unknown: list[str]) -> None:
    assert unknown_words(backbone, prompt) == unknown
    said = notices(backbone, prompt)
    assert len(said) == bool(unknown) and all(word in said[0] for word in unknown)
