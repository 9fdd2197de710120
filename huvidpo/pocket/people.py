"""The practice clips' characters: a portrait that turns to smile, a guitarist. Knows nothing of places or captions."""

import math

from huvidpo.pocket.looks import Canvas, Colour, Pen, dark, light, smooth
from huvidpo.pocket.movers import Actor, ground_shadow

SKIN = {"girl": (250, 204, 170), "man": (222, 164, 122), "panda": (246, 244, 240), "robot": (176, 188, 204)}
FUR = {"girl": SKIN["girl"], "man": SKIN["man"], "panda": (52, 48, 58), "robot": (132, 144, 164)}
HAIR = {"girl": (112, 66, 44), "man": (58, 44, 44)}
TURN_FRAMES, SMILE_FROM, SMILE_FRAMES = 9, 2, 10


def _ease(amount: float) -> float:
    amount = min(max(amount, 0.0), 1.0)
    return amount * amount * (3 - 2 * amount)


def draw_smile(canvas: Canvas, actor: Actor, frame: int) -> None:
    """A portrait looks aside, turns to the viewer over nine frames and smiles ever wider."""
    yaw, smile = 0.6 * (1 - _ease(frame / TURN_FRAMES)), _ease((frame - SMILE_FROM) / SMILE_FRAMES)
    r = 0.225 * actor.scale
    pen = canvas.pen()
    bust = pen.at(actor.x, actor.y - 0.02 - 0.012 * smile, r, actor.facing)
    if actor.subject == "girl":
        bust.shape(
            HAIR["girl"],
            smooth(((-1.16, 0.0), (0, -1.2), (1.16, 0.0), (1.2, 1.5), (0.6, 1.75), (-0.6, 1.75), (-1.2, 1.5))),
        )
    _shoulders(bust, actor)
    draw_head(bust, actor.subject, actor.colour, yaw, smile)
    canvas.put(pen, shadow=0.35)


def _shoulders(pen: Pen, actor: Actor) -> None:
    colour = actor.colour
    pen.limb(dark(SKIN[actor.subject], 0.15), ((0, 0.7), (0, 1.35)), 0.62)
    shirt = smooth(
        ((-1.75, 3.4), (-1.62, 1.9), (-1.1, 1.42), (-0.4, 1.22), (0.4, 1.22), (1.1, 1.42), (1.62, 1.9), (1.75, 3.4))
    )
    pen.shape(colour, shirt)
    pen.shape(
        light(colour, 0.5),
        smooth(((-0.5, 1.2), (0, 1.55), (0.5, 1.2), (0.62, 1.34), (0, 1.85), (-0.62, 1.34))),
        ink=False,
    )
    for side in (-1, 1):
        pen.limb(dark(colour, 0.3), ((side * 1.12, 2.0), (side * 1.16, 3.2)), 0.1, ink=False)


def draw_head(pen: Pen, subject: str, colour: Colour, yaw: float, smile: float) -> None:
    """A head of radius 1 around the origin; `yaw` 0 looks at the viewer, `smile` runs from 0 to 1."""
    {"girl": _human_head, "man": _human_head, "panda": _panda_head, "robot": _robot_head}[subject](
        pen, subject, colour, yaw, smile
    )


def _feature_x(angle: float, yaw: float) -> tuple[float, float]:
    """Where a feature at `angle` on a ball appears after a turn by `yaw`: its x, and how wide it still looks."""
    return math.sin(angle + yaw), max(0.35, math.cos(angle + yaw) / math.cos(angle))


def _human_head(pen: Pen, subject: str, colour: Colour, yaw: float, smile: float) -> None:
    skin, hair = SKIN[subject], HAIR[subject]
    for side in (-1, 1):
        pen.oval(dark(skin, 0.1), side * 0.97 - 0.25 * yaw, 0.12, 0.17, 0.22)
    pen.oval(skin, 0, 0, 0.96, 1.03)
    fringe = 0.2 * yaw
    top = (
        (-0.98, 0.16),
        (-0.94, -0.5),
        (0, -1.1),
        (0.94, -0.5),
        (0.98, 0.16),
        (0.76 + fringe, -0.34),
        (fringe, -0.5),
        (-0.72 + fringe, -0.36),
    )
    pen.shape(hair, smooth(top))
    _eyes(pen, yaw, smile, 0.02)
    _mouth(pen, yaw, smile, 0.46)
    x, _ = _feature_x(0.0, yaw)
    pen.oval(dark(skin, 0.2), x * 1.02, 0.2, 0.1, 0.085, ink=False)
    if subject == "girl":
        _beanie(pen, colour, 0.0, 1.0)
    else:
        _cap(pen, colour, yaw)


def _panda_head(pen: Pen, subject: str, colour: Colour, yaw: float, smile: float) -> None:
    for side in (-1, 1):
        pen.oval((48, 44, 54), side * 0.8 - 0.15 * yaw, -0.74, 0.36)
    pen.oval(SKIN[subject], 0, 0, 1.1, 1.0)
    for side in (-1, 1):
        x, width = _feature_x(side * 0.44, yaw)
        pen.oval((52, 48, 58), x, 0.02, 0.3 * width, 0.36, angle=side * 0.35, ink=False)
    _eyes(pen, yaw, smile, 0.02, 0.72)
    _mouth(pen, yaw, smile, 0.52)
    x, _ = _feature_x(0.0, yaw)
    pen.oval((48, 44, 54), x, 0.32, 0.17, 0.12, ink=False)
    _beanie(pen, colour, -0.12, 0.66)


def _robot_head(pen: Pen, subject: str, colour: Colour, yaw: float, smile: float) -> None:
    steel = SKIN[subject]
    pen.limb((120, 130, 150), ((0, -0.9), (0, -1.25)), 0.12)
    pen.oval(colour, 0, -1.34, 0.24)
    for side in (-1, 1):
        pen.oval(colour, side * 1.02 - 0.2 * yaw, 0, 0.2, 0.34)
    box = (
        (-0.98, -0.72),
        (-0.7, -0.95),
        (0.7, -0.95),
        (0.98, -0.72),
        (0.98, 0.7),
        (0.7, 0.95),
        (-0.7, 0.95),
        (-0.98, 0.7),
    )
    pen.shape(steel, smooth(box))
    turn, narrow = 0.3 * yaw, 1 - 0.12 * yaw
    screen = (
        (-0.74, -0.5),
        (-0.5, -0.66),
        (0.5, -0.66),
        (0.74, -0.5),
        (0.74, 0.55),
        (0.5, 0.7),
        (-0.5, 0.7),
        (-0.74, 0.55),
    )
    pen.shape((34, 42, 66), smooth(tuple((x * narrow + turn, y) for x, y in screen)))
    glow = (116, 246, 236)
    for side in (-1, 1):
        pen.oval(glow, side * 0.34 * narrow + turn * 1.3, -0.16, 0.16, 0.2 - 0.05 * smile, ink=False)
    mouth = [
        (turn * 1.3 + (0.22 + 0.2 * smile) * k / 3, 0.3 + smile * (0.2 - 0.2 * (k / 3) ** 2)) for k in range(-3, 4)
    ]
    pen.limb(glow, mouth, 0.13, ink=False)


def _eyes(pen: Pen, yaw: float, smile: float, y: float, size: float = 1.0) -> None:
    for side in (-1, 1):
        x, width = _feature_x(side * 0.44, yaw)
        pen.oval((255, 255, 255), x, y, 0.19 * width * size, (0.22 - 0.03 * smile) * size, ink=False)
        look = x + 0.06 * yaw
        pen.oval((44, 32, 40), look, y + 0.02, 0.13 * max(width, 0.7) * size, 0.165 * size, ink=False)
        pen.oval((255, 255, 255), look + 0.04, y - 0.05, 0.05, ink=False)


def _mouth(pen: Pen, yaw: float, smile: float, y: float) -> None:
    """A short line that opens into a wide smile, with rising cheeks."""
    if smile > 0.15:
        for side in (-1, 1):
            x, width = _feature_x(side * 0.7, yaw)
            pen.oval((248, 142, 132), x, y - 0.12, 0.19 * width * smile, 0.13 * smile, ink=False)
    x, narrow = _feature_x(0.0, yaw)
    w, lift = (0.2 + 0.3 * smile) * narrow, 0.17 * smile
    upper = [(x + w * k / 3, y + lift * (0.3 - (k / 3) ** 2)) for k in range(-3, 4)]
    lower = [
        (x + w * k / 3, y + lift * (0.3 - (k / 3) ** 2) + 0.44 * smile * (1 - (k / 3) ** 2)) for k in range(3, -4, -1)
    ]
    if smile > 0.1:
        pen.shape((140, 32, 46), upper + lower, ink=False)
        teeth = [(px, py + 0.15 * smile * (1 - ((px - x) / w) ** 2)) for px, py in reversed(upper)]
        pen.shape((255, 255, 255), upper + teeth, ink=False)
    pen.limb((110, 44, 48), upper, 0.09, ink=False)


def _beanie(pen: Pen, colour: Colour, y: float, width: float) -> None:
    pen.oval(light(colour, 0.55), 0, y - 1.3 - 0.1 * width, 0.22)
    pen.shape(
        colour,
        smooth(
            (
                (-width, y - 0.5),
                (-0.82 * width, y - 1.08),
                (0, y - 1.36),
                (0.82 * width, y - 1.08),
                (width, y - 0.5),
                (0, y - 0.66),
            )
        ),
    )
    pen.limb(dark(colour, 0.22), ((-0.92 * width, y - 0.5), (0, y - 0.64), (0.92 * width, y - 0.5)), 0.24)


def _cap(pen: Pen, colour: Colour, yaw: float) -> None:
    pen.shape(colour, smooth(((-1.0, -0.42), (-0.86, -0.98), (0, -1.3), (0.86, -0.98), (1.0, -0.42), (0, -0.56))))
    x = 0.62 * yaw
    pen.shape(
        dark(colour, 0.28),
        smooth(((x - 0.86, -0.5), (x, -0.7), (x + 0.86, -0.5), (x + 0.74, -0.34), (x, -0.42), (x - 0.74, -0.34))),
    )


def draw_guitar(canvas: Canvas, actor: Actor, frame: int) -> None:
    """A guitarist sways and strums, one stroke down and up in six frames, while notes rise."""
    beat, scale = 2 * math.pi * frame / 6, actor.scale
    sway = 0.05 * math.sin(beat / 2)
    pen = canvas.pen()
    ground_shadow(pen, actor.x, actor.y + 0.42 * scale, 0.24 * scale)
    for k in range(3):
        _note(pen.at(actor.x, actor.y, scale, actor.facing), (frame / 12 + k / 3) % 1, k)
    canvas.put(pen, lit=False)
    pen = canvas.pen()
    body = pen.at(actor.x, actor.y + 0.4 * scale, scale, actor.facing, sway).at(0, -0.37)
    _musician(body, actor)
    draw_head(body.at(0.0, -0.23, 0.17, 1, 0.8 * sway), actor.subject, actor.colour, 0.28, 0.75)
    _guitar(body.at(0.03, 0.1, 1.0, 1, -0.28), actor.colour)
    _arms(body, actor, math.cos(beat))
    canvas.put(pen, shadow=0.3)


def _musician(pen: Pen, actor: Actor) -> None:
    fur, trousers = FUR[actor.subject], (70, 84, 120)
    if actor.subject in ("panda", "robot"):
        trousers = fur
    for side in (-1, 1):
        pen.limb(trousers, ((side * 0.075, 0.18), (side * 0.09, 0.36)), 0.11)
        pen.oval((60, 50, 56), side * 0.105, 0.38, 0.075, 0.04)
    shirt = {"panda": SKIN["panda"], "robot": SKIN["robot"]}.get(actor.subject, (226, 222, 214))
    if actor.subject == "girl":
        pen.shape(
            HAIR["girl"], smooth(((-0.2, -0.2), (0.2, -0.2), (0.21, 0.0), (0.12, 0.06), (-0.12, 0.06), (-0.21, 0.0)))
        )
    pen.shape(shirt, smooth(((-0.13, -0.08), (0, -0.12), (0.13, -0.08), (0.18, 0.2), (0, 0.27), (-0.18, 0.2))))


def _guitar(pen: Pen, colour: Colour) -> None:
    """A guitar along the x axis with its sound hole at the origin."""
    pen.limb((104, 66, 46), ((0.08, 0), (0.4, 0)), 0.045)
    pen.shape((78, 50, 40), ((0.38, -0.04), (0.5, -0.05), (0.5, 0.05), (0.38, 0.04)))
    lobes = (pen.ring(-0.1, 0, 0.155, 0.145), pen.ring(0.08, 0, 0.115, 0.11))
    pen.shape(colour, *lobes)
    pen.oval(light(colour, 0.4), -0.14, -0.085, 0.06, 0.022, angle=-0.4, ink=False)
    pen.oval((52, 34, 34), 0.035, 0, 0.048, ink=False)
    pen.limb((66, 42, 38), ((-0.15, -0.045), (-0.15, 0.045)), 0.032, ink=False)
    pen.limb((250, 240, 214), ((-0.14, 0), (0.4, 0)), 0.014, ink=False)


def _arms(pen: Pen, actor: Actor, stroke: float) -> None:
    """The far hand holds the neck; the near hand sweeps across the strings, up at `stroke` 1 and down at -1."""
    sleeve, hand = FUR[actor.subject], SKIN[actor.subject]
    if actor.subject == "panda":
        hand = sleeve
    pen.limb(sleeve, ((0.14, -0.05), (0.26, 0.09), (0.3, 0.04)), 0.066)
    pen.oval(hand, 0.31, 0.02, 0.047)
    reach = (0.0 - 0.02 * stroke, 0.12 - 0.12 * stroke)
    pen.limb(sleeve, ((-0.15, -0.04), (-0.25, 0.1 - 0.03 * stroke), reach), 0.07)
    pen.oval(hand, *reach, 0.055)


def _note(pen: Pen, rise: float, k: int) -> None:
    """A note that grows out of the guitar, floats up and shrinks away; `rise` runs from 0 to 1."""
    size = 1.3 * min(1.0, 4 * rise, 4 * (1 - rise))
    if size < 0.2:
        return
    x, y = 0.3 + 0.05 * math.sin(5 * rise + 2 * k), 0.0 - 0.42 * rise
    note = pen.at(x, y, size)
    for colour, grow in (((40, 32, 60), 0.022), ((255, 246, 200), 0.0)):
        note.limb(colour, ((0.03, 0), (0.03, -0.1), (0.065, -0.075)), 0.022 + grow, ink=False)
        note.oval(colour, 0, 0, 0.038 + grow / 2, 0.03 + grow / 2, ink=False)
