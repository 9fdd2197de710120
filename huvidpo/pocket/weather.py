"""The practice clips' flowing things: a waterfall, rain and fireworks. Knows nothing of styles or captions."""

import math
from random import Random

from huvidpo.pocket.backdrops import ROCK
from huvidpo.pocket.looks import Canvas, Colour, Pen, dark, light, mix, smooth
from huvidpo.pocket.movers import Actor, ground_shadow

FALL_PERIOD, FALL_SPEED = 0.3, 0.075  # of the frame; four frames bring the streaks back to where they were
RAIN_SPEED, RAIN_SLANT, RAIN_WRAP = 0.115, 0.16, 1.2
FALL_WIDTH, FALL_TOP, POOL = 0.145, 0.15, 0.78


def draw_cliff(canvas: Canvas, actor: Actor) -> None:
    """The still part of a waterfall: rocks on both sides and above."""
    x, w, rock, rng = actor.x, FALL_WIDTH * actor.scale, ROCK[actor.place], actor.rng()
    for side in (-1, 1):
        inner, pen = x + side * w * 0.82, canvas.pen()
        top, reach = FALL_TOP - 0.02 + rng.uniform(-0.02, 0.03), 0.11 + rng.uniform(-0.02, 0.03)
        steps = (
            (-0.06, top),
            (0.07, top - 0.01),
            (0.08, top + 0.2),
            (reach, top + 0.23),
            (reach + 0.02, 0.62),
            (reach + 0.08, 0.66),
        )
        wall = (
            *((inner + side * dx, y) for dx, y in steps),
            (inner + side * (reach + 0.1), POOL + 0.08),
            (inner - side * 0.06, POOL + 0.08),
        )
        pen.shape(rock, wall)
        for k in range(3):
            cx, cy = inner + side * (0.045 + 0.035 * k), top + 0.14 + 0.17 * k
            pen.oval(dark(rock, 0.22), cx, cy, 0.045, 0.028, angle=side * 0.3, ink=False)
            pen.oval(light(rock, 0.25), cx, cy - 0.04, 0.045, 0.02, angle=side * 0.3, ink=False)
        pen.oval(
            (96, 148, 84) if actor.place in ("beach", "forest", "mountains", "city") else light(rock, 0.5),
            inner + side * 0.025,
            top,
            0.085,
            0.034,
        )
        canvas.put(pen, shadow=0.3)


def draw_waterfall(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Coloured water falls at a constant speed into a foaming pool."""
    x, w, colour = actor.x, FALL_WIDTH * actor.scale, actor.colour
    pen = canvas.pen()
    pen.oval(dark(colour, 0.12), x, POOL + 0.1, 0.4, 0.11)
    for k in range(3):
        r = (k + frame / 6) % 3 / 3
        for side in (-1, 1):
            cx = x + side * (0.12 + 0.19 * r)
            pen.limb(
                light(colour, 0.5),
                ((cx - 0.05, POOL + 0.1 + 0.06 * r), (cx + 0.05, POOL + 0.1 + 0.06 * r)),
                0.02,
                ink=False,
            )
    pen.shape(
        colour,
        (
            (x - w * 0.9, FALL_TOP + 0.02),
            (x, FALL_TOP),
            (x + w * 0.9, FALL_TOP + 0.02),
            (x + w, POOL + 0.06),
            (x - w, POOL + 0.06),
        ),
    )
    pen.oval(light(colour, 0.35), x, FALL_TOP + 0.025, w * 0.9, 0.032, ink=False)
    _water_streaks(pen, actor, x, w, frame)
    canvas.put(pen)
    _foam(canvas, actor, x, w, frame)


def _water_streaks(pen: Pen, actor: Actor, x: float, w: float, frame: int) -> None:
    rng = actor.rng()
    phases = [rng.random() for _ in range(5)]
    for column, phase in enumerate(phases):
        cx, bright = x + w * (column - 2) * 0.4, column % 2 == 0
        tone = light(actor.colour, 0.72) if bright else dark(actor.colour, 0.3)
        for k in range(-1, 3):
            top = FALL_TOP + (phase + k) * FALL_PERIOD + (frame * FALL_SPEED) % FALL_PERIOD
            top, end = max(top, FALL_TOP + 0.04), min(top + 0.16, POOL + 0.02)
            if end > top:
                pen.limb(tone, ((cx, top), (cx, end)), 0.034, ink=False)


def _foam(canvas: Canvas, actor: Actor, x: float, w: float, frame: int) -> None:
    pen, white = canvas.pen(), mix((255, 255, 255), actor.colour, 0.12)
    puffs = []
    for k in range(6):
        hop = math.sin(2 * math.pi * (frame / 8 + k * 0.37))
        puffs.append(pen.ring(x + w * (k - 2.5) * 0.46, POOL + 0.035 - 0.022 * hop, 0.06 + 0.012 * hop))
    pen.shape(white, *puffs)
    for k in range(6):
        age = (frame / 8 + k * 0.29) % 1
        side = -1 if k % 2 else 1
        dx, dy = side * (0.06 + 0.2 * age) * (0.6 + 0.12 * k), 0.5 * age - 0.6 * age * age
        pen.oval(white, x + dx, POOL - 0.01 - 0.9 * dy, 0.02 * (1.1 - 0.5 * age), ink=False)
    canvas.put(pen)


def draw_rain(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Rain falls at a constant speed on a still subject and splashes where it lands."""
    rng = actor.rng()
    drops = [(k / 32 * 1.3 + rng.uniform(-0.02, 0.02), rng.random() * RAIN_WRAP) for k in range(32)]
    base, pen = actor.y + 0.36 * actor.scale, canvas.pen()
    _streaks(pen, drops[::2], frame)
    ground_shadow(pen, actor.x, base, 0.34 * actor.scale)
    canvas.put(pen, lit=False)
    pen = canvas.pen()
    draw_subject, top = {
        "umbrella": (_umbrella, _umbrella_top),
        "car": (_car, _car_top),
        "house": (_house, _house_top),
    }[actor.subject]
    draw_subject(pen.at(actor.x, base, actor.scale, actor.facing), actor.colour)
    canvas.put(pen, shadow=0.3)
    pen = canvas.pen()
    reach = 0.33 * actor.scale
    surface = {
        dx: (actor.x + dx * actor.scale, base + top(dx) * actor.scale) for dx in (-0.22, -0.11, 0.0, 0.11, 0.22)
    }
    _streaks(pen, drops[1::2], frame, (actor.x - reach, actor.x + reach, base - 0.6 * actor.scale))
    _splashes(pen, list(surface.values()), frame)
    canvas.put(pen, lit=False)


def _streaks(pen: Pen, drops: list, frame: int, dry: tuple[float, float, float] = (0, 0, 0)) -> None:
    """Rain streaks, none of them below the height `dry[2]` between `dry[0]` and `dry[1]`."""
    for x0, y0 in drops:
        y = (y0 + frame * RAIN_SPEED) % RAIN_WRAP - 0.1
        x = x0 - RAIN_SLANT * y
        if dry[0] < x < dry[1] and y > dry[2]:
            continue
        pen.limb((226, 240, 255, 235), ((x + 0.1 * RAIN_SLANT, y - 0.1), (x, y)), 0.02, ink=False)


def _splashes(pen: Pen, spots: list, frame: int) -> None:
    """Little crowns of drops on the subject and on the ground, one every four frames."""
    spots = spots + [(0.06 + 0.19 * k, 0.9 + 0.05 * (k % 2)) for k in range(6)]
    for k, (x, y) in enumerate(spots):
        age = ((frame + 3 * k) % 4) / 4
        for side in (-1, 0, 1):
            dx, dy = side * (0.015 + 0.04 * age), (0.012 + 0.045 * age) * (1.0 if side else 1.4)
            pen.oval((236, 246, 255), x + dx, y - dy, 0.014 - 0.005 * age, ink=False)


def _umbrella(u: Pen, colour: Colour) -> None:
    """A cat keeps dry under an umbrella."""
    u.limb((110, 82, 66), ((0.03, -0.5), (0.03, -0.03), (0.06, 0.0), (0.1, -0.03)), 0.028)
    _cat(u.at(-0.09, -0.01))
    dome = [(0.32 * math.cos(a), -0.42 - 0.27 * math.sin(a)) for a in (k * math.pi / 12 for k in range(13))]
    scallops = [(-0.32 + 0.64 * k / 12, -0.42 - 0.035 * abs(math.sin(k * math.pi / 4))) for k in range(1, 12)]
    u.limb((110, 82, 66), ((0, -0.68), (0, -0.74)), 0.028)
    u.shape(colour, dome + scallops)
    for x in (-0.16, 0.16):
        panel = ((0, -0.69), (x * 0.75, -0.58), (x, -0.44), (x * 0.35, -0.45))
        u.shape(light(colour, 0.35) if x < 0 else dark(colour, 0.25), smooth(panel), ink=False)


def _umbrella_top(dx: float) -> float:
    return -0.42 - 0.27 * math.sqrt(max(0.0, 1 - (dx / 0.32) ** 2))


def _cat(pen: Pen) -> None:
    fur = (92, 88, 104)
    pen.limb(fur, ((-0.08, -0.04), (-0.15, -0.07), (-0.15, -0.15)), 0.036)
    ears = (((-0.085, -0.25), (-0.075, -0.34), (-0.015, -0.29)), ((0.085, -0.25), (0.075, -0.34), (0.015, -0.29)))
    pen.shape(fur, pen.ring(0, -0.09, 0.095, 0.1), pen.ring(0, -0.23, 0.095, 0.082), *ears)
    pen.oval((226, 222, 224), 0, -0.06, 0.05, 0.062, ink=False)
    for x in (-0.04, 0.04):
        pen.oval((250, 240, 150), x, -0.235, 0.026, ink=False)
        pen.oval((30, 26, 36), x, -0.235, 0.015, 0.02, ink=False)
    pen.oval((240, 150, 150), 0, -0.195, 0.016, 0.012, ink=False)


def _car(pen: Pen, colour: Colour) -> None:
    """A round little car."""
    car = pen.at(0, 0, 1.25)
    roof = smooth(((-0.22, -0.18), (-0.18, -0.31), (-0.03, -0.37), (0.1, -0.32), (0.17, -0.19)))
    hull = smooth(((-0.3, -0.07), (-0.3, -0.17), (-0.16, -0.22), (0.14, -0.22), (0.29, -0.17), (0.31, -0.07)))
    car.shape(colour, roof, hull)
    for glass in (
        ((-0.17, -0.2), (-0.14, -0.29), (-0.04, -0.32), (-0.04, -0.2)),
        ((0.0, -0.2), (0.0, -0.32), (0.07, -0.29), (0.13, -0.2)),
    ):
        car.shape((186, 222, 240), glass)
    car.limb(light(colour, 0.45), ((-0.22, -0.165), (0.16, -0.17)), 0.022, ink=False)
    car.limb(dark(colour, 0.3), ((-0.26, -0.075), (0.27, -0.075)), 0.035, ink=False)
    car.oval((255, 240, 160), 0.285, -0.14, 0.03, ink=False)
    for x in (-0.17, 0.18):
        car.oval((50, 48, 58), x, -0.05, 0.078)
        car.oval((206, 210, 218), x, -0.05, 0.036, ink=False)


def _car_top(dx: float) -> float:
    return 2.1 * dx * dx - 0.45


def _house(pen: Pen, colour: Colour) -> None:
    """A small house with a chimney."""
    house = pen.at(0, 0, 1.08)
    house.shape((150, 108, 96), ((0.1, -0.4), (0.1, -0.58), (0.17, -0.58), (0.17, -0.4)))
    house.shape(colour, ((-0.22, 0), (-0.22, -0.34), (0.22, -0.34), (0.22, 0)))
    house.shape(dark(colour, 0.2), ((-0.29, -0.31), (-0.16, -0.54), (0.16, -0.54), (0.29, -0.31)))
    house.shape((112, 76, 60), ((-0.15, 0), (-0.15, -0.2), (-0.03, -0.2), (-0.03, 0)))
    house.shape((255, 232, 150), ((0.04, -0.1), (0.04, -0.23), (0.16, -0.23), (0.16, -0.1)))
    house.limb(light(colour, 0.5), ((-0.19, -0.28), (0.19, -0.28)), 0.025, ink=False)


def _house_top(dx: float) -> float:
    return -0.58 + 1.7 * max(0.0, abs(dx) - 0.16)


def draw_firework(canvas: Canvas, actor: Actor, frame: int) -> None:
    """Bursts of sparks, small at first, open like flowers, droop and dim a little."""
    rng: Random = actor.rng()
    side = actor.facing
    bursts = ((0.0, -0.08, 0.36), (0.29 * side, -0.22, 0.22), (-0.3 * side, 0.0, 0.23))
    pen = canvas.pen()
    for dx, dy, reach in bursts[: rng.choice((2, 3))]:
        turn = rng.uniform(0, 1)
        burst = pen.at(actor.x + dx, actor.y + dy + rng.uniform(-0.03, 0.03), reach * actor.scale, 1)
        _burst(burst, actor.colour, frame, turn, reach)
    canvas.glow(pen, spread=0.035, strength=0.75 - 0.02 * frame)


def _burst(pen: Pen, colour: Colour, frame: int, turn: float, reach: float) -> None:
    """One flower of radius 1: two rings of sparks with tails that lead back to the middle."""
    age = (frame + 2.5) / 17.5
    grown, droop = 1 - math.exp(-2.8 * age), 0.15 * age * age
    fade, spark = dark(colour, 0.45 * max(0.0, age - 0.55)), 0.02 / reach
    tail = grown * (0.25 + 0.4 * age)
    rays = 14 if reach > 0.3 else 10
    for ring, (length, count, tone) in enumerate(((1.0, rays, fade), (0.6, rays - 4, light(fade, 0.5)))):
        for k in range(count):
            a = turn + (k + 0.5 * ring) * 2 * math.pi / count
            cos, sin = math.cos(a) * length, math.sin(a) * length
            pen.limb(
                dark(tone, 0.15),
                ((cos * tail, sin * tail + droop * 0.5), (cos * grown, sin * grown + droop)),
                spark,
                ink=False,
            )
            pen.oval(tone, cos * grown, sin * grown + droop, spark * (0.7 + 0.4 * min(1.0, 3 * age)), ink=False)
    if age < 0.4:
        pen.oval(light(colour, 0.8), 0, 0, 0.14 * (1 - age * 2.4), ink=False)
