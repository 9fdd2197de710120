"""The practice clips' travellers: a helicopter, a horse and a flock of birds. Knows nothing of places or captions."""

import math
from dataclasses import dataclass
from random import Random

from huvidpo.pocket.looks import Canvas, Colour, Pen, dark, light, smooth

FRAMES_ACROSS = 15  # frame steps in which a traveller covers its stated distance


@dataclass(frozen=True)
class Actor:
    """Where and how the main thing of a clip appears; `facing` is 1 to the right and -1 to the left."""

    subject: str
    colour: Colour
    place: str
    x: float
    y: float
    scale: float
    facing: int
    seed: int

    def rng(self) -> Random:
        """The actor's own random numbers, the same in every frame."""
        return Random(f"actor {self.seed}")

    def travel(self, distance: float, frame: int) -> float:
        """The x position in `frame` of something that crosses `distance`, centred in the middle of the clip."""
        return self.x + self.facing * distance * (frame / FRAMES_ACROSS - 0.5)


def ground_shadow(pen: Pen, x: float, y: float, width: float) -> None:
    """A dark oval on the ground."""
    pen.oval((20, 16, 40, 90), x, y, width, 0.022, ink=False)


def draw_helicopter(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Flies 35 % of the frame, bobbing, with a rotor that turns a quarter of a blade gap each frame."""
    x = actor.travel(0.35, frame) + 0.07 * actor.facing  # the tail is longer than the nose
    y = actor.y - 0.1 + 0.022 * math.sin(frame * 2 * math.pi / 8)
    pen = canvas.pen()
    body = pen.at(x, y, 0.59 * actor.scale, actor.facing, 0.07)
    _tail_boom(body, actor.colour, frame)
    _cabin(body, actor.colour)
    canvas.put(pen, shadow=0.3)
    pen = canvas.pen()
    _main_rotor(pen.at(x, y, 0.59 * actor.scale, actor.facing, 0.07), frame)
    canvas.put(pen, lit=False)


def _tail_boom(pen: Pen, colour: Colour, frame: int) -> None:
    pen.shape(dark(colour, 0.18), ((0, -0.12), (-0.58, -0.12), (-0.6, -0.02), (0, 0.14)))
    pen.shape(colour, ((-0.54, -0.06), (-0.72, -0.3), (-0.6, -0.3), (-0.46, -0.1)))
    turn = frame * math.pi / 6
    tip = (0.13 * math.cos(turn), 0.13 * math.sin(turn))
    pen.limb((60, 62, 76), ((-0.64 - tip[0], -0.2 - tip[1]), (-0.64 + tip[0], -0.2 + tip[1])), 0.04, ink=False)
    pen.oval((220, 222, 230), -0.64, -0.2, 0.03, ink=False)


def _cabin(pen: Pen, colour: Colour) -> None:
    for x in (-0.05, 0.2):
        pen.limb((92, 94, 108), ((x, 0.15), (x, 0.29)), 0.035)
    pen.limb((72, 74, 90), ((-0.2, 0.3), (0.34, 0.3), (0.4, 0.26)), 0.042)
    pen.limb((92, 94, 108), ((0.06, -0.2), (0.06, -0.33)), 0.05)
    hull = smooth(
        ((-0.24, -0.06), (-0.06, -0.22), (0.18, -0.22), (0.38, -0.04), (0.36, 0.13), (0.14, 0.21), (-0.12, 0.17))
    )
    pen.shape(colour, hull)
    pen.shape(
        dark(colour, 0.25), smooth(((-0.2, 0.08), (0.36, 0.1), (0.3, 0.17), (0.12, 0.21), (-0.12, 0.17))), ink=False
    )
    pen.shape((176, 226, 246), smooth(((0.13, -0.16), (0.24, -0.14), (0.36, -0.01), (0.34, 0.05), (0.13, 0.05))))
    pen.limb((245, 252, 255), ((0.19, -0.1), (0.25, -0.05)), 0.035, ink=False)
    pen.oval((176, 226, 246), -0.02, -0.05, 0.075, 0.08)
    pen.limb(light(colour, 0.55), ((-0.12, -0.16), (0.04, -0.185)), 0.035, ink=False)


def _main_rotor(pen: Pen, frame: int) -> None:
    pen.oval((235, 240, 248, 70), 0.06, -0.35, 0.58, 0.085, ink=False)
    for blade in range(3):
        turn = 0.35 + frame * math.pi / 6 + blade * 2 * math.pi / 3
        tip = (0.06 + 0.56 * math.cos(turn), -0.35 + 0.075 * math.sin(turn))
        pen.limb((52, 52, 66), ((0.06, -0.35), tip), 0.05, ink=False)
    pen.oval((210, 60, 60), 0.06, -0.36, 0.04, 0.035, ink=False)


def draw_horse(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Gallops 25 % of the frame; one stride takes six frames."""
    stride = 2 * math.pi * frame / 6 + actor.rng().choice((0.0, math.pi / 3, math.pi))
    x, y, scale = actor.travel(0.25, frame), actor.y + 0.14, 0.52 * actor.scale
    pen = canvas.pen()
    ground_shadow(pen, x, y + 0.53 * scale, 0.42 * scale)
    canvas.put(pen, lit=False)
    pen = canvas.pen()
    horse = pen.at(x, y + 0.025 * math.sin(stride), scale, actor.facing, 0.05 * math.cos(stride))
    coat, hair = actor.colour, dark(actor.colour, 0.58)
    _tail(horse, hair, stride)
    for hip, lag in ((-0.27, 0.5), (0.25, 3.5)):
        _leg(horse, hip, stride + lag, dark(coat, 0.32))
    for hip, lag in ((-0.22, 0.0), (0.29, 3.0)):
        _leg(horse, hip, stride + lag, coat)
    _horse_body(horse, coat)
    _mane(horse, hair, stride)
    canvas.put(pen, shadow=0.3)


def _leg(pen: Pen, hip: float, phase: float, coat: Colour) -> None:
    """One leg: swings about the hip and folds at the knee while it comes forward."""
    swing = 0.72 * math.sin(phase)
    lower = swing - 1.15 * max(0.0, math.cos(phase))
    knee = (hip + 0.23 * math.sin(swing), 0.12 + 0.23 * math.cos(swing))
    hoof = (knee[0] + 0.2 * math.sin(lower), knee[1] + 0.2 * math.cos(lower))
    pen.limb(coat, ((hip, 0.08), knee, hoof), 0.105)
    pen.oval((66, 52, 54), hoof[0], hoof[1] + 0.01, 0.058, 0.05, ink=False)


def _horse_body(pen: Pen, coat: Colour) -> None:
    barrel = smooth(
        (
            (-0.42, -0.04),
            (-0.28, -0.2),
            (0.0, -0.16),
            (0.26, -0.2),
            (0.42, -0.02),
            (0.26, 0.17),
            (0.0, 0.15),
            (-0.3, 0.17),
        )
    )
    neck = smooth(((0.14, -0.14), (0.3, -0.36), (0.42, -0.58), (0.56, -0.5), (0.5, -0.24), (0.4, 0.06), (0.2, 0.06)))
    head = smooth(
        ((0.4, -0.56), (0.54, -0.6), (0.7, -0.44), (0.8, -0.33), (0.76, -0.24), (0.64, -0.26), (0.47, -0.38))
    )
    ear = ((0.41, -0.55), (0.44, -0.72), (0.53, -0.57))
    pen.shape(coat, barrel, neck, head, ear)
    pen.oval(dark(coat, 0.2), -0.02, 0.11, 0.26, 0.055, ink=False)
    pen.oval(light(coat, 0.4), -0.24, -0.11, 0.1, 0.045, angle=-0.2, ink=False)
    pen.oval(light(coat, 0.5), 0.74, -0.3, 0.062, 0.058, ink=False)
    pen.oval((40, 30, 40), 0.76, -0.32, 0.02, ink=False)
    pen.oval((255, 255, 255), 0.57, -0.475, 0.043, 0.052, ink=False)
    pen.oval((34, 26, 40), 0.582, -0.47, 0.03, 0.038, ink=False)


def _mane(pen: Pen, hair: Colour, stride: float) -> None:
    wave = 0.03 * math.sin(stride)
    locks = ((0.46, -0.61, 0.09), (0.33, -0.54, 0.1), (0.24, -0.41, 0.1), (0.15, -0.28, 0.09))
    pen.shape(hair, *(pen.ring(x - 0.02, y + wave, r, r * 0.8, 0.6) for x, y, r in locks))


def _tail(pen: Pen, hair: Colour, stride: float) -> None:
    wave = 0.07 * math.sin(stride + 1.0)
    tail = (
        (-0.36, -0.12),
        (-0.5, -0.2 + wave),
        (-0.68, -0.14 + wave),
        (-0.8, 0.04 - wave),
        (-0.62, 0.0),
        (-0.5, -0.02),
        (-0.38, 0.0),
    )
    pen.shape(hair, smooth(tail))


def draw_birds(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Three to five birds travel 28 % of the frame; a wing beat takes six frames and starts with the wings up."""
    rng, x, y = actor.rng(), actor.travel(0.28, frame), actor.y - 0.08
    seats = ((0.02, 0.03, 0.48), (-0.27, -0.2, 0.33), (-0.26, 0.26, 0.34), (0.24, -0.24, 0.29), (0.25, 0.3, 0.28))
    pen = canvas.pen()
    for seat, (dx, dy, size) in enumerate(seats[: rng.choice((3, 4, 5))]):
        beat = 2 * math.pi * frame / 6 - 0.5 * seat
        bird = pen.at(
            x + actor.facing * (dx + 0.06), y + dy + 0.02 * math.cos(beat), size * actor.scale, actor.facing, -0.08
        )
        _bird(bird, actor.colour, math.cos(beat))
    canvas.put(pen, shadow=0.2)


def _bird(pen: Pen, colour: Colour, lift: float) -> None:
    """One bird in unit coordinates; `lift` is 1 with the wings up and -1 with the wings down."""
    tip = -0.62 * lift
    pen.shape(
        dark(colour, 0.38),
        smooth(((0.06, -0.05), (0.16, tip * 0.6 - 0.05), (0.08, tip * 0.95), (-0.08, tip * 0.5), (-0.14, -0.02))),
    )
    pen.shape(dark(colour, 0.2), ((-0.3, 0.0), (-0.56, -0.1), (-0.54, 0.0), (-0.58, 0.1)))
    pen.shape((246, 156, 40), ((0.4, -0.15), (0.58, -0.06), (0.4, -0.03)))
    body = smooth(((-0.38, 0.0), (-0.1, -0.14), (0.16, -0.15), (0.16, 0.08), (-0.1, 0.15)))
    pen.shape(colour, body, pen.ring(0.3, -0.1, 0.145))
    pen.oval(light(colour, 0.6), 0.06, 0.06, 0.15, 0.06, ink=False)
    pen.shape(
        colour,
        smooth(((0.13, -0.04), (0.08, tip * 0.7), (-0.12, tip), (-0.24, tip * 0.55), (-0.2, 0.0), (-0.02, 0.05))),
    )
    pen.oval((255, 255, 255), 0.33, -0.13, 0.055, ink=False)
    pen.oval((30, 24, 36), 0.345, -0.125, 0.036, ink=False)
