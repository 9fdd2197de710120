"""Procedural practice clips: short captioned animations of the eight actions from a seed. Knows nothing of models.

They teach the `pocket` backbone. Every clip's future follows from its first frame: speeds are constant, the camera and
the backdrop stand still, and the way things face shows where they go.
"""

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from random import Random

import numpy as np

from huvidpo.pocket.backdrops import paint_backdrop
from huvidpo.pocket.looks import STYLES, Canvas
from huvidpo.pocket.movers import Actor, draw_birds, draw_helicopter, draw_horse
from huvidpo.pocket.people import draw_guitar, draw_smile
from huvidpo.pocket.weather import draw_cliff, draw_firework, draw_rain, draw_waterfall

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (226, 40, 44),
    "orange": (255, 138, 20),
    "yellow": (252, 218, 40),
    "green": (46, 176, 66),
    "blue": (34, 98, 232),
    "purple": (142, 58, 198),
    "pink": (255, 132, 192),
    "white": (246, 246, 248),
}
PLACES: dict[str, str] = {
    "beach": "on the beach",
    "forest": "in the forest",
    "city": "in the city",
    "desert": "in the desert",
    "snow": "in the snow",
    "mountains": "in the mountains",
    "night": "at night",
    "mars": "on mars",
}
_OVER = {place: f"over the {place}" for place in PLACES} | {"night": "in the night sky", "mars": "over mars"}
SUBJECTS: dict[str, tuple[str, ...]] = {
    "waterfall": ("waterfall",),
    "smile": ("girl", "man", "panda", "robot"),
    "helicopter": ("helicopter",),
    "rain": ("umbrella", "car", "house"),
    "firework": ("fireworks",),
    "guitar": ("panda", "robot", "man", "girl"),
    "horse": ("horse",),
    "birds": ("birds",),
}
ACTIONS: tuple[str, ...] = tuple(SUBJECTS)
_SENTENCES: dict[str, tuple[str, ...]] = {
    "waterfall": (
        "a {colour} waterfall {where}",
        "a {colour} waterfall flows {where}",
        "{colour} water falls from a cliff {where}",
    ),
    "smile": (
        "a {subject} in a {colour} shirt turns to smile {where}",
        "a {subject} in a {colour} shirt smiles {where}",
        "a smiling {subject} with a {colour} shirt {where}",
    ),
    "helicopter": (
        "a {colour} helicopter flies {over}",
        "a {colour} helicopter is flying {over}",
        "a {colour} helicopter {over}",
    ),
    "rain": (
        "rain falls on a {colour} {subject} {where}",
        "a {colour} {subject} in the rain {where}",
        "it rains on a {colour} {subject} {where}",
    ),
    "firework": (
        "{colour} fireworks {over}",
        "{colour} fireworks explode {over}",
        "{colour} fireworks light up {over}",
    ),
    "guitar": (
        "a {subject} plays a {colour} guitar {where}",
        "a {subject} is playing a {colour} guitar {where}",
        "a {subject} playing the {colour} guitar {where}",
    ),
    "horse": (
        "a {colour} horse runs {where}",
        "a {colour} horse is running {where}",
        "a {colour} horse gallops {where}",
    ),
    "birds": (
        "{colour} birds fly {over}",
        "{colour} birds are flying {over}",
        "a flock of {colour} birds {over}",
    ),
}
_STYLE_PHRASES = (", {style} style", " in {style} style", ", {style}", "")
VARIANTS = 3 * len(_STYLE_PHRASES)


@dataclass(frozen=True)
class Scene:
    """One clip's content: `seed` decides the layout, the other fields are what the caption says."""

    action: str
    colour: str
    place: str
    style: str
    seed: int
    subject: str


def sample_scene(
    seed: int,
    action: str | None = None,
    colour: str | None = None,
    place: str | None = None,
    style: str | None = None,
) -> Scene:
    """The scene of a seed; attributes that are given replace the drawn ones without changing the others.

    Raises ValueError when an attribute is not one of ACTIONS, COLOURS, PLACES or STYLES.
    """
    rng = Random(f"scene {seed}")
    drawn = []
    for name, value, choices in (
        ("action", action, ACTIONS),
        ("colour", colour, tuple(COLOURS)),
        ("place", place, tuple(PLACES)),
        ("style", style, STYLES),
    ):
        choice = rng.choice(choices)
        if value is not None and value not in choices:
            raise ValueError(f"Unknown {name} {value!r}; choose one of: {', '.join(choices)}.")
        drawn.append(value or choice)
    subjects = SUBJECTS[drawn[0]]
    return Scene(*drawn, seed=seed, subject=subjects[int(rng.random() * len(subjects))])


@lru_cache(maxsize=1)
def held_out_combinations() -> frozenset[tuple[str, str, str, str]]:
    """Combinations (action, colour, place, style) that no model trains on: those that the first 8192 seeds lack."""
    drawn = {combination(sample_scene(seed)) for seed in range(8192)}
    return frozenset(itertools.product(ACTIONS, COLOURS, PLACES, STYLES)) - drawn


def combination(scene: Scene) -> tuple[str, str, str, str]:
    """What a report asks of a scene: (action, colour, place, style)."""
    return scene.action, scene.colour, scene.place, scene.style


def caption(scene: Scene, variant: int = 0) -> str:
    """A sentence for the scene; `variant` counts through VARIANTS wordings, 0 being the plainest."""
    sentences = _SENTENCES[scene.action]
    sentence = sentences[variant % len(sentences)] + _STYLE_PHRASES[variant // len(sentences) % len(_STYLE_PHRASES)]
    where, over = PLACES[scene.place], _OVER[scene.place]
    text = sentence.format(colour=scene.colour, subject=scene.subject, where=where, over=over, style=scene.style)
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


@lru_cache(maxsize=1)
def vocabulary() -> list[str]:
    """Every word that a caption can contain, sorted."""
    words: set[str] = set()
    for action, subjects in SUBJECTS.items():
        for colour in COLOURS:
            for place in PLACES:
                for k in range(max(len(subjects), len(STYLES))):
                    scene = Scene(action, colour, place, STYLES[k % len(STYLES)], 0, subjects[k % len(subjects)])
                    words.update(word for v in range(VARIANTS) for word in re.findall(r"[a-z]+", caption(scene, v)))
    return sorted(words)


def render_clip(scene: Scene, num_frames: int = 16, size: int = 128) -> np.ndarray:
    """The clip as uint8 (f h w 3), made to be shown at 8 frames per second.

    Raises ValueError when `num_frames` is below 1 or `size` is not a multiple of 64.
    """
    if num_frames < 1:
        raise ValueError(f"A clip needs at least one frame, not {num_frames}.")
    return np.stack([render_frame(scene, frame, num_frames, size) for frame in range(num_frames)])


def render_frame(scene: Scene, frame: int, num_frames: int = 16, size: int = 128) -> np.ndarray:
    """One frame of `render_clip(scene, num_frames, size)` as uint8 (h w 3).

    Raises ValueError when `frame` is outside the clip or `size` is not a multiple of 64.
    """
    if not 0 <= frame < num_frames:
        raise ValueError(f"Frame {frame} is outside a clip of {num_frames} frames.")
    if size < 64 or size % 64:
        raise ValueError(f"The size must be a multiple of 64, not {size}.")
    canvas, actor = _backdrop(scene, size).copy(), _actor(scene)
    {
        "waterfall": draw_waterfall, "smile": draw_smile, "helicopter": draw_helicopter, "rain": draw_rain,
        "firework": draw_firework, "guitar": draw_guitar, "horse": draw_horse, "birds": draw_birds,
    }[scene.action](canvas, actor, frame)  # fmt: skip
    return canvas.image()


def _actor(scene: Scene) -> Actor:
    rng = Random(f"layout {scene.seed}")
    return Actor(
        subject=scene.subject,
        colour=COLOURS[scene.colour],
        place=scene.place,
        x=0.5 + rng.uniform(-0.06, 0.06),
        y=0.5 + rng.uniform(-0.03, 0.03),
        scale=rng.uniform(0.92, 1.08),
        facing=rng.choice((-1, 1)),
        seed=scene.seed,
    )


@lru_cache(maxsize=8)
def _backdrop(scene: Scene, size: int) -> Canvas:
    """Everything of a clip that stands still."""
    canvas = Canvas(scene.style, size)
    paint_backdrop(scene.place, canvas, Random(f"place {scene.seed}"))
    if scene.action == "firework":
        canvas.tint((86, 86, 122), (6, 6, 26))
    if scene.action == "rain":
        canvas.tint((150, 164, 186), (6, 10, 18))
    if scene.action == "waterfall":
        draw_cliff(canvas, _actor(scene))
    return canvas
