"""What a backbone's text encoder makes of a prompt: words it does not know, words it does not get to read."""

from itertools import accumulate

from huvidpo.backbones import LoadedBackbone, known_words
from huvidpo.categories import STYLES, WORD, styled_prompt


def notices(backbone: LoadedBackbone, prompt: str, style: str = "any", negative_prompt: str = "") -> list[str]:
    """What people should know of a prompt before they wait for its picture, a sentence each; mostly nothing.

    The sentence that lists all known words comes last: it is long.
    """
    cut = [cut_notice(backbone, prompt, style), cut_notice(backbone, negative_prompt, "any", "the negative prompt")]
    return [*filter(None, [*cut, unknown_notice(backbone, prompt, negative_prompt)])]


def unknown_notice(backbone: LoadedBackbone, *prompts: str) -> str:
    """Names the words that mean nothing to the model, and those that do; "" when all do."""
    unknown, known = unknown_words(backbone, *prompts), ", ".join(known_words(backbone))
    if not unknown:
        return ""
    return f"{backbone.preset.title} does not know these words: {', '.join(unknown)}; it knows: {known}."


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
