"""What a backbone's text encoder makes of a prompt: words it does not know, words it does not get to read."""

from itertools import accumulate

from huvidpo.backbones import LoadedBackbone, known_words
from huvidpo.categories import CATEGORIES, STYLES, WORD, styled_prompt


def notices(backbone: LoadedBackbone, prompt: str, style: str = "any", negative_prompt: str = "") -> list[str]:
    """What people should know of a prompt before they wait for its picture, a sentence each; mostly nothing.

    The words that it does know come last: they are many.
    """
    cut = [cut_notice(backbone, prompt, style), cut_notice(backbone, negative_prompt, "any", "the negative prompt")]
    if not (unknown := unknown_words(backbone, prompt, negative_prompt)):
        return [*filter(None, cut)]
    named, known = unknown_sentences(backbone, unknown)
    why = "Every letter of an unknown word takes the room of a word." if any(cut) else ""
    *first, last = filter(None, [named, *cut, why])
    return [*first, f"{last} {known}"]


def unknown_notice(backbone: LoadedBackbone, *prompts: str) -> str:
    """Names the words that mean nothing to the model, and those that do; "" when all do."""
    unknown = unknown_words(backbone, *prompts)
    return " ".join(unknown_sentences(backbone, unknown)) if unknown else ""


def unknown_sentences(backbone: LoadedBackbone, unknown: list[str]) -> tuple[str, str]:
    """Which words it does not know, and which it does."""
    title, known = backbone.preset.title, ", ".join(known_words(backbone))
    return f"{title} does not know these words: {', '.join(unknown)}.", f"It knows: {known}."


def action_notice(category: str, prompt: str) -> str:
    """Says that a prompt names another of the eight actions than the chosen one, and not that one; else ""."""
    said = set(WORD.findall(prompt.lower()))
    named = [one for one in CATEGORIES.values() if said & {one.name, f"{one.name}s", one.name.removesuffix("s")}]
    if not named or category not in CATEGORIES or CATEGORIES[category] in named:
        return ""
    chosen = CATEGORIES[category].title
    return f"This reads like “{named[0].title}”, and the action is “{chosen}”: change one of them."


def unknown_words(backbone: LoadedBackbone, *prompts: str) -> list[str]:
    """Words of the prompts, emoji too, that mean nothing to the model, in order, each once."""
    known = set(known_words(backbone))
    words = dict.fromkeys(WORD.findall(" ".join(prompts).lower())) if known else {}
    return [word for word in words if word not in known]


def cut_notice(backbone: LoadedBackbone, prompt: str, style: str, what: str = "the prompt") -> str:
    """Says where the text encoder stops to read; "" when it reads all of the prompt and of its style."""
    styled = styled_prompt(prompt, style)
    words, of_style = styled.split(), len(STYLES[style].split()) if styled != prompt else 0
    read = words_read(backbone, words)
    if read == len(words):
        return ""
    if read >= len(words) - of_style:
        return f"{what[:1].upper()}{what[1:]} leaves no room for the style, which is not read: write fewer words."
    first = {0: "a part of the first word", 1: "the first word"}.get(read, f"the first {read} words")
    style_too = ", nor is the style" if of_style else ""
    return f"Beyond {first} {what} is not read{style_too}: write fewer words."


def words_read(backbone: LoadedBackbone, words: list[str]) -> int:
    """How many of the words, the first ones, fit into what the text encoder reads, whole."""
    tokenizer = backbone.video.tokenizer
    if not words:
        return 0
    around = len(tokenizer("").input_ids)  # the marks of beginning and end
    lengths = [len(tokens) - around for tokens in tokenizer(words).input_ids]
    return sum(end <= tokenizer.model_max_length - around for end in accumulate(lengths))
