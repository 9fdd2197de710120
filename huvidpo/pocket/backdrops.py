"""The eight places of the practice clips, painted as still backdrops. Knows nothing of what happens in front."""

import math
from random import Random

from huvidpo.pocket.looks import Canvas, Colour, Pen, dark, light, mix, smooth

HORIZON = 0.66
ROCK = {
    "beach": (196, 170, 132), "forest": (118, 116, 104), "city": (150, 150, 158), "desert": (206, 158, 104),
    "snow": (150, 176, 204), "mountains": (132, 128, 138), "night": (74, 78, 112), "mars": (150, 84, 62),
}  # fmt: skip


def paint_backdrop(place: str, canvas: Canvas, rng: Random) -> None:
    """Paint the named place over the whole canvas; `rng` moves hills, clouds and houses about."""
    painters = {
        "beach": _beach, "forest": _forest, "city": _city, "desert": _desert,
        "snow": _snow, "mountains": _mountains, "night": _night, "mars": _mars,
    }  # fmt: skip
    painters[place](canvas, rng)


def _ground(canvas: Canvas, rng: Random, y: float, swell: float, colour: Colour, ink: bool = True) -> None:
    """A rolling ground from height `y` to the bottom edge."""
    phase, pen = rng.uniform(0, 6.28), canvas.pen(far=True)
    top = [(x / 12, y + swell * math.sin(phase + x * 0.55)) for x in range(-1, 14)]
    pen.shape(colour, (*top, (1.2, 1.2), (-0.2, 1.2)), ink=ink)
    canvas.put(pen)


def _cloud(pen: Pen, x: float, y: float, s: float, colour: Colour) -> None:
    puffs = ((-0.11, 0.015, 0.055), (-0.03, -0.03, 0.08), (0.06, -0.01, 0.065), (0.12, 0.02, 0.045))
    pen.shape(colour, *(pen.ring(x + s * dx, y + s * dy, s * r * 1.15, s * r) for dx, dy, r in puffs))


def _clouds(canvas: Canvas, rng: Random, colour: Colour, count: int = 2) -> None:
    pen = canvas.pen(far=True)
    for i in range(count):
        x = (i + rng.uniform(0.2, 0.8)) / count
        _cloud(pen, x, rng.uniform(0.1, 0.26), rng.uniform(0.9, 1.3), colour)
    canvas.put(pen)


def _sun(canvas: Canvas, x: float, y: float, r: float, colour: Colour) -> None:
    pen = canvas.pen(far=True)
    pen.oval(colour, x, y, r, ink=False)
    canvas.glow(pen, spread=0.05, strength=0.35)


def _pine(pen: Pen, x: float, base: float, h: float, colour: Colour, cap: Colour | None = None) -> None:
    pen.limb((104, 72, 52), ((x, base), (x, base - 0.2 * h)), 0.07 * h)
    for k in range(3):
        bottom, w = base - h * (0.14 + 0.25 * k), h * (0.27 - 0.06 * k)
        tip = bottom - h * 0.38
        pen.shape(colour, ((x - w, bottom), (x, tip), (x + w, bottom)))
        if cap:
            pen.shape(cap, ((x - w * 0.45, bottom - 0.21 * h), (x, tip), (x + w * 0.45, bottom - 0.21 * h)), ink=False)


def _beach(canvas: Canvas, rng: Random) -> None:
    canvas.sky((92, 182, 236), (208, 238, 246), HORIZON)
    _sun(canvas, rng.choice((0.15, 0.3, 0.7, 0.85)), 0.16, 0.075, (255, 240, 170))
    _clouds(canvas, rng, (255, 255, 255))
    sea, pen = rng.uniform(0.54, 0.58), canvas.pen(far=True)
    pen.shape((36, 138, 186), ((-0.1, sea), (1.1, sea), (1.1, 1), (-0.1, 1)))
    for k in range(5):
        x, y = (k * 0.23 + rng.uniform(0, 0.1)) % 1, sea + 0.035 + 0.03 * (k % 3)
        pen.limb((132, 208, 226), ((x - 0.06, y), (x + 0.06, y)), 0.014, ink=False)
    canvas.put(pen)
    _ground(canvas, rng, 0.71, 0.012, (240, 250, 250), ink=False)
    _ground(canvas, rng, 0.735, 0.012, (242, 216, 158))
    _palm(canvas, rng.choice((0.09, 0.91)), rng.uniform(0.3, 0.36))


def _palm(canvas: Canvas, x: float, top: float) -> None:
    lean, pen = 0.06 if x < 0.5 else -0.06, canvas.pen(far=True)
    pen.limb((158, 112, 72), ((x, 0.82), (x + lean * 0.25, 0.6), (x + lean, top)), 0.04)
    for a in (-2.9, -2.2, -0.9, -0.2, 0.35, 2.8):
        end, mid = (math.cos(a) * 0.19, math.sin(a) * 0.12 + 0.06), (math.cos(a) * 0.11, math.sin(a) * 0.12 - 0.03)
        leaf = ((0, 0), (mid[0], mid[1] - 0.02), end, (mid[0], mid[1] + 0.035))
        pen.at(x + lean, top).shape((58, 148, 84), smooth(leaf))
    canvas.put(pen, shadow=0.2)


def _forest(canvas: Canvas, rng: Random) -> None:
    canvas.sky((150, 204, 196), (222, 238, 204), HORIZON)
    for row, (base, h, colour) in enumerate(((0.66, 0.5, (128, 176, 152)), (0.72, 0.62, (74, 134, 104)))):
        pen, shift = canvas.pen(far=True), rng.uniform(0, 0.1)
        for k in range(-1, 8):
            _pine(pen, k * 0.16 + shift, base, h * rng.uniform(0.8, 1.05), mix(colour, (90, 150, 90), 0.2 * (k % 2)))
        canvas.put(pen)
        canvas.haze((214, 232, 204), 0.3 - 0.2 * row)
    _ground(canvas, rng, 0.71, 0.015, (124, 162, 84))
    pen = canvas.pen(far=True)
    for x in (rng.uniform(-0.02, 0.05), rng.uniform(0.95, 1.02)):
        pen.limb((92, 66, 52), ((x, 0.86), (x, -0.1)), 0.1)
        pen.shape(
            (38, 96, 72), *(pen.ring(x + dx, dy, 0.11, 0.09) for dx, dy in ((-0.06, 0.02), (0.06, 0.0), (0, 0.1)))
        )
    for k in range(4):
        x = (k * 0.3 + rng.uniform(0, 0.12)) % 1.05
        pen.shape((62, 122, 68), *(pen.ring(x + dx, 0.99, 0.05, 0.05) for dx in (-0.04, 0, 0.04)))
    canvas.put(pen, shadow=0.2)


def _city(canvas: Canvas, rng: Random) -> None:
    canvas.sky((140, 178, 220), (244, 222, 204), HORIZON)
    _clouds(canvas, rng, (250, 246, 244), 2)
    _skyline(canvas, rng, 7, (0.26, 0.46), ((162, 176, 204), (176, 184, 208)), None)
    canvas.haze((236, 222, 214), 0.22)
    _skyline(canvas, rng, 5, (0.4, 0.6), ((112, 124, 152), (146, 126, 132), (104, 134, 150)), (250, 226, 150))
    pen = canvas.pen(far=True)
    pen.shape((176, 178, 184), ((-0.1, 0.74), (1.1, 0.74), (1.1, 0.8), (-0.1, 0.8)))
    pen.shape((86, 88, 100), ((-0.1, 0.79), (1.1, 0.79), (1.1, 1.1), (-0.1, 1.1)))
    shift = rng.uniform(0, 0.25)
    for k in range(-1, 5):
        pen.limb((236, 232, 216), ((k * 0.26 + shift, 0.93), (k * 0.26 + shift + 0.1, 0.93)), 0.026, ink=False)
    canvas.put(pen)


def _skyline(canvas: Canvas, rng: Random, count: int, top: tuple, colours: tuple, window: Colour | None) -> None:
    """A row of houses; `window` adds a grid of lit windows."""
    pen, w, start = canvas.pen(far=True), 1.1 / count, rng.randrange(3)
    for k in range(count):
        left, roof = -0.05 + k * w, 0.76 - rng.uniform(*top)
        right, colour = left + w * 0.92, colours[(k + start) % len(colours)]
        pen.shape(colour, ((left, 0.78), (left, roof), (right, roof), (right, 0.78)))
        if not window:
            continue
        for row in range(int((0.72 - roof) / 0.085)):
            for column in (0.25, 0.72):
                x, y = left + (right - left) * column, roof + 0.055 + 0.085 * row
                pen.shape(
                    window,
                    ((x - 0.022, y - 0.02), (x + 0.022, y - 0.02), (x + 0.022, y + 0.022), (x - 0.022, y + 0.022)),
                    ink=False,
                )
    canvas.put(pen, shadow=0.15)


def _desert(canvas: Canvas, rng: Random) -> None:
    canvas.sky((120, 196, 226), (255, 234, 184), HORIZON)
    _sun(canvas, rng.choice((0.2, 0.35, 0.65, 0.8)), 0.17, 0.09, (255, 250, 214))
    pen, x = canvas.pen(far=True), rng.uniform(0.1, 0.25)
    for cx, w, h in ((x, 0.16, 0.17), (x + 0.55, 0.22, 0.24)):
        pen.shape(
            (212, 160, 116), ((cx - w, 0.66), (cx - w * 0.62, 0.62 - h), (cx + w * 0.62, 0.62 - h), (cx + w, 0.66))
        )
    canvas.put(pen)
    canvas.haze((255, 234, 190), 0.3)
    _ground(canvas, rng, 0.64, 0.03, (236, 202, 138))
    _ground(canvas, rng, 0.75, 0.03, (246, 220, 160))
    pen = canvas.pen(far=True)
    for cx, base, s in ((rng.uniform(0.06, 0.14), 0.78, 1.0), (rng.uniform(0.84, 0.94), 0.74, 0.8)):
        cactus = pen.at(cx, base, s)
        for limb in (
            ((0, 0), (0, -0.26)),
            ((0, -0.1), (-0.075, -0.1), (-0.075, -0.18)),
            ((0, -0.14), (0.07, -0.14), (0.07, -0.22)),
        ):
            cactus.limb((88, 142, 92), limb, 0.05)
        cactus.limb((88, 142, 92), ((0, 0), (0, -0.25)), 0.05, ink=False)
    canvas.put(pen, shadow=0.25)


def _snow(canvas: Canvas, rng: Random) -> None:
    canvas.sky((156, 190, 222), (232, 240, 248), HORIZON)
    _ground(canvas, rng, 0.52, 0.05, (200, 216, 234))
    pen = canvas.pen(far=True)
    for k in range(6):
        x = k * 0.2 + rng.uniform(-0.04, 0.04)
        _pine(pen, x, 0.7 + 0.02 * (k % 2), rng.uniform(0.3, 0.44), (92, 134, 138), (246, 250, 255))
    canvas.put(pen)
    canvas.haze((232, 240, 248), 0.2)
    _ground(canvas, rng, 0.67, 0.025, (228, 238, 248))
    _ground(canvas, rng, 0.8, 0.025, (246, 250, 254))
    _snowman(canvas, rng.choice((0.11, 0.89)))


def _snowman(canvas: Canvas, x: float) -> None:
    pen = canvas.pen(far=True)
    pen.oval((250, 252, 255), x, 0.72, 0.075)
    pen.oval((250, 252, 255), x, 0.6, 0.055)
    pen.shape((70, 74, 92), ((x - 0.045, 0.56), (x - 0.035, 0.48), (x + 0.035, 0.48), (x + 0.045, 0.56)))
    for dx in (-0.02, 0.02):
        pen.oval((60, 60, 76), x + dx, 0.595, 0.011, ink=False)
    canvas.put(pen, shadow=0.3)


def _mountains(canvas: Canvas, rng: Random) -> None:
    canvas.sky((126, 186, 236), (226, 240, 248), HORIZON)
    _clouds(canvas, rng, (255, 255, 255), 2)
    shift = rng.uniform(-0.06, 0.06)
    far = ((0.02, 0.34, 0.3), (0.55, 0.36, 0.32), (1.0, 0.32, 0.3))
    _peaks(canvas, shift, far, (154, 170, 204), (228, 236, 248))
    canvas.haze((222, 234, 248), 0.22)
    _peaks(canvas, shift, ((0.26, 0.2, 0.34), (0.8, 0.24, 0.36)), (104, 112, 146), (250, 252, 255))
    _ground(canvas, rng, 0.66, 0.03, (128, 172, 128))
    _ground(canvas, rng, 0.77, 0.02, (164, 200, 116))
    pen = canvas.pen(far=True)
    for x in (rng.uniform(0.02, 0.1), rng.uniform(0.9, 0.98)):
        _pine(pen, x, 0.8, 0.24, (70, 124, 92))
    canvas.put(pen, shadow=0.2)


def _peaks(canvas: Canvas, shift: float, peaks: tuple, colour: Colour, snow: Colour) -> None:
    """Snow-capped peaks, each (x, top, half width), with a shaded right flank."""
    pen = canvas.pen(far=True)
    for x, top, w in peaks:
        x, h = x + shift, 0.72 - top
        pen.shape(colour, ((x - w, 0.72), (x, top), (x + w, 0.72)))
        pen.shape(dark(colour, 0.18), ((x, top), (x + w, 0.72), (x + 0.1 * w, 0.72)), ink=False)
        d, e = 0.34 * w, top + 0.34 * h
        pen.shape(
            snow,
            ((x, top), (x + d, e), (x + 0.4 * d, e - 0.04), (x, e + 0.03), (x - 0.45 * d, e - 0.04), (x - d, e)),
            ink=False,
        )
    canvas.put(pen)


def _night(canvas: Canvas, rng: Random) -> None:
    canvas.sky((16, 20, 58), (58, 62, 124), HORIZON)
    pen = canvas.pen(far=True)
    for k in range(14):
        r = 0.012 if k % 3 else 0.017
        pen.oval((255, 250, 220), (k * 0.29 + rng.uniform(0, 0.16)) % 1, rng.uniform(0.03, 0.5), r, ink=False)
    canvas.glow(pen, spread=0.02, strength=0.8)
    x, pen = rng.choice((0.17, 0.83)), canvas.pen(far=True)
    pen.oval((252, 246, 214), x, 0.17, 0.1, ink=False)
    for dx, dy, r in ((-0.03, -0.02, 0.026), (0.035, 0.03, 0.02)):
        pen.oval((222, 214, 184), x + dx, 0.17 + dy, r, ink=False)
    canvas.glow(pen, spread=0.06, strength=0.5)
    _ground(canvas, rng, 0.6, 0.05, (44, 50, 98))
    _ground(canvas, rng, 0.68, 0.03, (36, 44, 84))
    _ground(canvas, rng, 0.78, 0.02, (46, 62, 88))
    _hut(canvas, rng.choice((0.1, 0.9)))


def _hut(canvas: Canvas, x: float) -> None:
    pen = canvas.pen(far=True)
    pen.shape((58, 48, 74), ((x - 0.07, 0.78), (x - 0.07, 0.66), (x + 0.07, 0.66), (x + 0.07, 0.78)))
    pen.shape((40, 34, 60), ((x - 0.1, 0.67), (x, 0.57), (x + 0.1, 0.67)))
    pen.shape((255, 214, 112), ((x - 0.03, 0.69), (x + 0.03, 0.69), (x + 0.03, 0.745), (x - 0.03, 0.745)), ink=False)
    canvas.put(pen, lit=False)


def _mars(canvas: Canvas, rng: Random) -> None:
    canvas.sky((120, 62, 66), (232, 172, 130), HORIZON)
    pen, x = canvas.pen(far=True), rng.choice((0.2, 0.8))
    pen.oval((214, 178, 168), x, 0.17, 0.085)
    pen.oval((188, 150, 146), x + 0.03, 0.19, 0.024, ink=False)
    pen.oval((206, 170, 160), (x + 0.42) % 1, 0.1, 0.04)
    canvas.put(pen)
    pen, x = canvas.pen(far=True), rng.uniform(0.0, 0.2)
    for cx, w, h in ((x, 0.14, 0.2), (x + 0.36, 0.1, 0.12), (x + 0.8, 0.18, 0.26)):
        pen.shape((166, 92, 74), ((cx - w, 0.68), (cx - w * 0.5, 0.64 - h), (cx + w * 0.35, 0.66 - h), (cx + w, 0.68)))
    canvas.put(pen)
    canvas.haze((226, 160, 122), 0.25)
    _ground(canvas, rng, 0.65, 0.02, (178, 98, 70))
    _ground(canvas, rng, 0.76, 0.02, (160, 80, 56))
    pen = canvas.pen(far=True)
    for k, (y, r) in enumerate(((0.72, 0.07), (0.9, 0.11), (0.83, 0.07), (0.95, 0.08))):
        x = (0.1 + k * 0.28 + rng.uniform(0, 0.1)) % 1
        pen.oval(light((160, 80, 56), 0.2), x, y - 0.006, r, r * 0.36, ink=False)
        pen.oval((116, 54, 44), x, y, r * 0.84, r * 0.26, ink=False)
    canvas.put(pen)
