"""Four ways to paint: a `Pen` draws plain shapes, a `Canvas` gives them a style's look. Knows no place and no action.

Coordinates are fractions of the frame, x to the right and y down. Colours are `(r, g, b)` or `(r, g, b, a)`, 0 to 255.
"""

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

STYLES = ("realistic", "cartoon", "pixel art", "claymation")
SUPERSAMPLE = 2
PIXEL_GRID = 32
GREY = np.full(3, 1 / 3, np.float32)
INK = (58, 44, 66, 255)
INK_WIDTH = {"cartoon": 0.028, "pixel art": 0.036}
FAR_INK_WIDTH = {"cartoon": 0.016}
LENS = 1 / 142  # blur of the finished picture as a share of its size: like a lens, and easy on a small autoencoder

Colour = tuple[int, ...]
Points = tuple[tuple[float, float], ...]


def mix(a: Colour, b: Colour, amount: float) -> Colour:
    """Blend two RGB colours; `amount` 0 gives `a`, 1 gives `b`."""
    return tuple(round(x + (y - x) * amount) for x, y in zip(a[:3], b[:3], strict=True))


def light(colour: Colour, amount: float = 0.45) -> Colour:
    """A lighter tint for highlights."""
    return mix(colour, (255, 255, 255), amount)


def dark(colour: Colour, amount: float = 0.35) -> Colour:
    """A darker shade, slightly blue as shadows are."""
    return mix(colour, (28, 22, 60), amount)


@lru_cache(maxsize=512)
def smooth(points: Points, steps: int = 5) -> np.ndarray:
    """Round a closed outline: a Catmull-Rom curve through `points`, `steps` points per side."""
    p = np.array(points)
    before, after, later = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    out = []
    for t in np.arange(steps) / steps:
        linear, square, cube = (
            after - before,
            2 * before - 5 * p + 4 * after - later,
            3 * p - before - 3 * after + later,
        )
        out.append(p + 0.5 * (linear * t + square * t * t + cube * t**3))
    return np.stack(out, 1).reshape(-1, 2)


@lru_cache(maxsize=512)
def _oval(rx: float, ry: float, angle: float, sides: int = 30) -> np.ndarray:
    turn = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    x, y = rx * np.cos(turn), ry * np.sin(turn)
    return np.stack([x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)], 1)


class Pen:
    """Draws filled shapes on one transparent sheet, with a dark outline where the style has one."""

    def __init__(self, size: int, style: str, far: bool = False):
        self.pixels = size * SUPERSAMPLE
        self.style = style
        self.sheet = Image.new("RGBa", (self.pixels, self.pixels))  # alpha-premultiplied
        self.draw = ImageDraw.Draw(self.sheet)
        self.ink_width = (FAR_INK_WIDTH if far else INK_WIDTH).get(style, 0) * self.pixels
        self.matrix, self.origin, self.scale = np.eye(2), np.zeros(2), 1.0

    def at(self, x: float, y: float, scale: float = 1.0, facing: int = 1, angle: float = 0.0) -> "Pen":
        """The same sheet with its origin at (x, y), scaled, mirrored if `facing` is -1, and turned by `angle`."""
        inner = object.__new__(Pen)
        inner.__dict__.update(self.__dict__)
        cos, sin = math.cos(angle), math.sin(angle)
        inner.origin = self.origin + self.matrix @ np.array([x, y])
        inner.matrix = self.matrix @ np.diag([facing, 1.0]) @ np.array([[cos, -sin], [sin, cos]]) * scale
        inner.scale = self.scale * scale
        return inner

    def shape(self, fill: Colour, *outlines: Points, ink: bool = True) -> None:
        """Fill the union of closed outlines in one colour."""
        outlines = [self._to_pixels(points) for points in outlines]
        if ink and self.ink_width:
            for points in outlines:
                self._thick(points + points[:2], self.ink_width, INK)
        for points in outlines:
            self.draw.polygon(points, fill=self._tone(fill))

    def oval(
        self, fill: Colour, x: float, y: float, rx: float, ry: float | None = None, angle=0.0, ink: bool = True
    ) -> None:
        """Fill an ellipse around (x, y)."""
        self.shape(fill, self.ring(x, y, rx, ry, angle), ink=ink)

    @staticmethod
    def ring(x: float, y: float, rx: float, ry: float | None = None, angle: float = 0.0) -> np.ndarray:
        """The outline of an ellipse, to be joined with others in `shape`."""
        return _oval(rx, rx if ry is None else ry, angle) + np.array([x, y])

    def limb(self, fill: Colour, points: Points, width: float, ink: bool = True) -> None:
        """Draw a thick line with round ends and joints."""
        path, width = self._to_pixels(points), width * self.scale * self.pixels
        if ink and self.ink_width:
            self._thick(path, width + self.ink_width, INK)
        self._thick(path, width, self._tone(fill))

    def _to_pixels(self, points) -> list[float]:
        """Pixel coordinates in Pillow's flat form x, y, x, y, ..."""
        return ((np.asarray(points) @ self.matrix.T + self.origin) * self.pixels).ravel().tolist()

    def _thick(self, path, width: float, fill: Colour) -> None:
        self.draw.line(path, fill=fill, width=max(2, round(width)))
        if len(path) > 32 or width < 5:
            return
        r = width / 2
        for x, y in zip(path[::2], path[1::2], strict=True):
            self.draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def _tone(self, fill: Colour) -> Colour:
        rgb, alpha = fill[:3], fill[3] if len(fill) == 4 else 255
        if self.style == "claymation":
            grey = sum(rgb) / 3
            rgb = tuple(
                round(0.84 * (0.86 * c + 0.14 * grey) + warm) for c, warm in zip(rgb, (26, 18, 12), strict=True)
            )
        return (*(round(c * alpha / 255) for c in rgb), alpha) if alpha < 255 else (*rgb, 255)


class Canvas:
    """The picture so far, `pixels` (n n 3) float32 in 0..255; layers are put on it back to front."""

    def __init__(self, style: str, size: int):
        self.style, self.size = style, size
        self.n = PIXEL_GRID if style == "pixel art" else size
        self.pixels = np.zeros((self.n, self.n, 3), np.float32)

    def copy(self) -> "Canvas":
        """An independent canvas with the same picture."""
        other = Canvas(self.style, self.size)
        other.pixels = self.pixels.copy()
        return other

    def pen(self, far: bool = False) -> Pen:
        """A pen with an empty sheet of this canvas's size and style; `far` things get a thinner outline or none."""
        return Pen(self.size, self.style, far)

    def sky(self, top: Colour, bottom: Colour, horizon: float = 0.7) -> None:
        """Fill the whole picture with a vertical gradient that ends at the horizon."""
        amount = np.clip(np.linspace(0, 1 / horizon, self.n), 0, 1)
        if self.style == "cartoon":
            amount = np.floor(amount * 3.99) / 3
        ends = np.array([top[:3], bottom[:3]], np.float32)
        self.pixels[:] = (ends[0] + (ends[1] - ends[0]) * amount[:, None])[:, None]

    def tint(self, factor: Colour, floor: Colour = (0, 0, 0)) -> None:
        """Multiply the picture by `factor` / 255 and add `floor`: dusk, rain."""
        self.pixels = self.pixels * (np.array(factor, np.float32) / 255) + np.array(floor, np.float32)

    def haze(self, colour: Colour, amount: float) -> None:
        """Atmosphere between near and far, in the realistic style only."""
        if self.style == "realistic":
            self.pixels += (np.array(colour, np.float32) - self.pixels) * amount

    def put(self, pen: Pen, lit: bool = True, shadow: float = 0.0) -> None:
        """Lay a sheet over the picture; `lit` sheets get the style's light and a drop shadow of the given strength."""
        layer, alpha = self._layer(pen, lumpy=lit)
        if self.style in ("realistic", "claymation"):
            if shadow:
                self.pixels *= 1 - shadow * _shift(_blur(alpha, self.size // 32), self.size // 40)[..., None]
            if lit:
                layer = self._lit(layer, alpha)
        self.pixels *= 1 - alpha[..., None]
        self.pixels += layer

    def glow(self, pen: Pen, spread: float = 0.03, strength: float = 1.0) -> None:
        """Add a sheet as light, with a soft halo."""
        layer, alpha = self._layer(pen)
        halo = Image.fromarray(np.clip(layer, 0, 255).astype(np.uint8)).filter(
            ImageFilter.BoxBlur(max(1, spread * self.n))
        )
        self.pixels += np.asarray(halo, np.float32) * strength
        self.pixels *= 1 - alpha[..., None]
        self.pixels += layer

    def image(self) -> np.ndarray:
        """The finished picture, uint8 (h w 3)."""
        pixels = self.pixels
        if self.style == "pixel art":
            pixels = np.round(np.clip(pixels, 0, 255) / 28.34) * 28.34
            pixels = pixels.repeat(self.size // self.n, 0).repeat(self.size // self.n, 1)
        if self.style == "claymation":
            pixels = pixels * _fingerprints(self.size)
        if self.style == "realistic":
            pixels = pixels * _vignette(self.size)
        picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(LENS * self.size)))

    def _layer(self, pen: Pen, lumpy: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """A sheet at the canvas's resolution: premultiplied colour (n n 3) and alpha (n n) in 0..1."""
        sheet = pen.sheet
        if lumpy and self.style == "claymation":
            warped = np.asarray(sheet).view(np.uint32)[..., 0].take(_lumps(pen.pixels))
            sheet = Image.frombuffer("RGBa", sheet.size, warped, "raw", "RGBa", 0, 1)
        sheet = np.asarray(
            sheet.reduce(pen.pixels // self.n if self.n == self.size else pen.pixels // self.n // 2), np.float32
        )
        if self.n < self.size:
            sheet = sheet[1::2, ::2]
        colour, alpha = sheet[..., :3], sheet[..., 3] / 255
        if self.style == "pixel art":
            solid = (alpha > 0.33).astype(np.float32)
            return colour * (solid / np.maximum(alpha, 1e-3))[..., None], solid
        return colour, alpha

    def _lit(self, layer: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """Light a sheet from the upper left as if it were a relief."""
        unit = self.size // 64
        if self.style == "claymation":
            height = _blur(alpha * 0.6 + layer @ GREY / 430, 1.2 * unit)
            edge = height - _shift(height, 2 * unit)
            return layer * (1 + np.clip(1.25 * edge, -0.5, 0.55)[..., None]) + 26 * (edge.clip(0) * alpha)[..., None]
        height = _blur(alpha, 3 * unit)
        edge = height - _shift(height, 3 * unit)
        return layer * (1 + np.clip(0.55 * edge, -0.42, 0.4)[..., None]) + 34 * (edge.clip(0) * alpha)[..., None]


def _blur(field: np.ndarray, radius: float) -> np.ndarray:
    """Blur a field (n n) in 0..1."""
    image = Image.fromarray(np.clip(field * 255, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius)), np.float32) / 255


def _shift(field: np.ndarray, by: int) -> np.ndarray:
    """Move a field down and to the right, repeating its edge."""
    moved = np.empty_like(field)
    moved[by:, by:] = field[:-by, :-by]
    moved[:by], moved[:, :by] = field[0], field[:, :1]
    return moved


@lru_cache(maxsize=4)
def _waves(size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    a = np.sin(19 * x + 7 * y + 2 * np.sin(9 * y)) + np.sin(23 * y - 8 * x + 2 * np.sin(11 * x))
    b = np.sin(17 * y + 9 * x + 1.7) + np.sin(25 * x - 6 * y + 2 * np.sin(8 * y))
    return a, b


@lru_cache(maxsize=4)
def _lumps(size: int) -> np.ndarray:
    """Flat pixel indices (n n) that make straight edges a little uneven, as if pressed by hand."""
    a, b = _waves(size)
    rows, columns = np.mgrid[0:size, 0:size]
    reach = 0.007 * size
    index = [np.clip(np.round(i + reach * w), 0, size - 1).astype(np.intp) for i, w in ((rows, a), (columns, b))]
    return index[0] * size + index[1]


@lru_cache(maxsize=4)
def _fingerprints(size: int) -> np.ndarray:
    """A soft pressed texture (n n 1) around 1, fixed to the screen."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    a, b = _waves(size)
    ridges = np.sin(62 * np.hypot(x - 0.3 + 0.02 * a, y - 0.6 + 0.02 * b)) * (a > -0.6)
    return (1 + 0.035 * ridges + 0.022 * b)[..., None]


@lru_cache(maxsize=4)
def _vignette(size: int) -> np.ndarray:
    """Soft light from the left and darker corners (n n 1)."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    return (1.05 - 0.08 * x - 0.36 * (x * x + y * y))[..., None]
