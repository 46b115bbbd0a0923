"""Draws chest films: soft shapes at typical places whose size and brightness follow the findings.

Arrays are B films x H rows x W columns. x runs over -1..1 from image left (the patient's right) to image right, y from
top to bottom. Effects are additive or blended, keep their place and are coarse, so that a small model can read them;
what is no finding (exposure, position, collimation, markers, noise) varies from film to film.
Not here: the file format (`mimic_cxr`).
"""

import numpy as np

from pipelines.synthetic.randomness import generator
from pipelines.synthetic.studies import FINDINGS

Field = np.ndarray  # float32, broadcastable to (B, H, W)


def draw_films(findings: np.ndarray, *, lateral: np.ndarray, dicom_id: list[str], image_size: int, seed: int) -> Field:
    """Draw films as stored brightness, bone bright.

    Args:
        findings: float64 (B, 22), columns as `FINDINGS`.
        lateral: bool (B,), lateral rather than frontal.
        dicom_id: B names; each film's random part is drawn from its name.
        image_size: rows and columns.
        seed: the settings' seed.

    Returns:
        float32 (B, image_size, image_size), 0..1.
    """
    films = np.empty((len(findings), image_size, image_size), dtype=np.float32)
    chance = [generator(seed, "film", name) for name in dicom_id]
    for is_lateral, draw in ((False, _draw_frontal), (True, _draw_lateral)):
        rows = np.flatnonzero(lateral == is_lateral)
        if len(rows):
            films[rows] = _expose(draw, findings[rows], [chance[row] for row in rows], image_size)
    return films


class _Canvas:
    """Films in the making and the coordinates to draw in, shifted and scaled as the patient stood."""

    def __init__(self, findings: np.ndarray, chance: list[np.random.Generator], size: int) -> None:
        stand = np.array([random.normal(0, (0.025, 0.025, 0.025)) for random in chance], dtype=np.float32)
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        scale = 1 + stand[:, 2, None]
        self.x = ((axis - stand[:, 0, None]) / scale)[:, None, :]
        self.y = ((axis - stand[:, 1, None]) / scale)[:, :, None]
        self.f = {name: findings[:, at].astype(np.float32)[:, None, None] for at, name in enumerate(FINDINGS)}
        self.value = np.zeros((len(findings), size, size), dtype=np.float32)

    def blob(self, cx: Field | float, cy: Field | float, sx: Field | float, sy: Field | float) -> Field:
        """Return a Gaussian spot, 0..1."""
        return np.exp(-0.5 * ((self.x - cx) / sx) ** 2) * np.exp(-0.5 * ((self.y - cy) / sy) ** 2)

    def ellipse(self, cx: Field | float, cy: Field | float, rx: Field | float, ry: Field | float) -> Field:
        """Return a filled ellipse with a soft edge, 0..1."""
        return _step(1 - np.sqrt(((self.x - cx) / rx) ** 2 + ((self.y - cy) / ry) ** 2), 0.12)

    def path(self, x0: Field | float, y0: Field | float, x1: Field | float, y1: Field | float, width: float) -> Field:
        """Return a straight line between two points, 0..1."""
        along = np.clip(
            ((self.x - x0) * (x1 - x0) + (self.y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1
        )
        far = (self.x - x0 - along * (x1 - x0)) ** 2 + (self.y - y0 - along * (y1 - y0)) ** 2
        return np.exp(-0.5 * far / width**2)

    def blend(self, mask: Field, level: float, amount: Field | float = 1.0) -> None:
        """Move what lies under the mask towards a brightness."""
        self.value += (amount * mask) * (level - self.value)

    def add(self, mask: Field, amount: Field | float) -> None:
        """Add brightness under the mask."""
        self.value += amount * mask


def _draw_frontal(c: _Canvas) -> None:
    f = c.f
    middle = 0.06 * f["rotation"]
    floor = 0.40 + 0.085 * f["lung_volume"]
    lungs: Field = np.zeros_like(c.value)
    c.blend(_step(0.84 + 0.05 * f["soft_tissue"] - np.abs(c.x), 0.05), 0.62)
    for side, rise in ((-1, 0.11 * f["right_diaphragm"]), (1, 0.0)):
        dome = floor - rise + 0.9 * (c.x - side * 0.40) ** 2
        lung = c.ellipse(side * 0.42, 0.0, 0.33 - 0.015 * f["soft_tissue"], 0.88) * _step(dome - c.y, 0.05)
        c.blend(lung, 0.20)
        lungs = lungs + lung
    bend = 0.11 * f["spine_curve"] * np.sin(np.pi * (c.y + 0.9) / 1.5)
    c.add(np.exp(-0.5 * ((c.x - bend) / 0.06) ** 2), 0.22)
    c.blend(_step(0.13 - np.abs(c.x - middle), 0.05), 0.66, 0.8)
    c.blend(c.ellipse(0.11 + middle, floor - 0.14, 0.29 + 0.085 * f["heart_size"], 0.28 + 0.05 * f["heart_size"]), 0.72)
    knob = 0.07 + 0.022 * f["aorta"]
    c.blend(c.blob(0.16 + middle, -0.40, knob, 1.3 * knob), 0.9, np.clip(0.40 + 0.25 * f["aorta"], 0, 1))
    c.add(c.blob(0.24, -0.1, 0.06, 0.3), np.clip(0.06 + 0.07 * f["aorta"], 0, 1))
    c.add(lungs * np.sin(22 * (c.y + 0.25 * c.x**2)), 0.025)
    _draw_lung_findings(c, lungs)
    c.add(c.x * np.ones_like(c.y), 0.10 * f["rotation"])
    _draw_devices(c, middle)


def _draw_lung_findings(c: _Canvas, lungs: Field) -> None:
    f = c.f
    shadow = c.blob(-0.5, 0.25, 0.16, 0.13) + c.blob(0.5, 0.25, 0.16, 0.13)
    c.add(shadow, np.clip(0.09 + 0.07 * f["soft_tissue"], 0, 1))
    haze = c.blob(-0.27, -0.06, 0.16, 0.22) + c.blob(0.27, -0.06, 0.16, 0.22)
    c.blend(haze * lungs, 0.80, 0.2 * (f["edema"] > 0) + 0.75 * f["edema"])
    for side, name in ((-1, "right"), (1, "left")):
        base = f[f"{name}_base"]
        c.blend(c.blob(side * 0.36, 0.18, 0.15, 0.14) * lungs, 0.85, 0.25 * (base > 0) + 0.7 * base)
        fluid = f[f"{name}_effusion"]
        c.blend(c.blob(side * 0.64, 0.48, 0.17, 0.14 + 0.36 * fluid), 0.85, 0.4 * (fluid > 0) + 0.6 * fluid)
        mass = f[f"{name}_upper"]
        c.blend(
            c.blob(side * 0.36, -0.50, 0.07 + 0.09 * mass, 0.06 + 0.08 * mass), 0.85, 0.25 * (mass > 0) + 0.7 * mass
        )


def _draw_devices(c: _Canvas, middle: Field) -> None:
    f = c.f
    tube = f["tube"]
    c.blend(_column(c, middle, 0.045) * _step(-0.75 + 0.55 * tube - c.y, 0.02), 0.98, 0.8 * (tube > 0))
    feeding = f["feeding_tube"]
    c.blend(_column(c, middle - 0.10, 0.035) * _step(0.15 + 0.65 * feeding - c.y, 0.02), 0.92, 0.7 * (feeding > 0))
    depth = np.abs(f["line"])
    start, there = -0.38 * np.sign(f["line"]), 0.8 * (depth > 0)
    tip = -0.45 + 0.5 * depth
    c.blend(np.maximum(c.path(start, -0.95, -0.14, -0.5, 0.042), c.path(-0.14, -0.5, -0.14, tip, 0.042)), 0.95, there)
    box = _step(0.11 - np.abs(c.x - 0.52), 0.03) * _step(0.12 - np.abs(c.y + 0.66), 0.03)
    lead = np.maximum(c.path(0.45, -0.6, 0.02, -0.35, 0.02), c.path(0.02, -0.35, 0.15, 0.3, 0.02))
    c.blend(np.maximum(box, 0.7 * lead), 1.0, f["pacemaker"])
    knots = sum(c.blob(middle, y, 0.055, 0.035) for y in np.arange(-0.4, 0.5, 0.14))
    c.blend(np.minimum(knots, 1), 0.98, 0.8 * f["wires"])
    drain = np.abs(f["chest_tube"])
    side = np.where(f["chest_tube"] > 0, -1, 1)
    c.blend(c.path(side * 0.95, 0.10, side * 0.30, 0.10 - 0.35 * drain, 0.04), 0.97, 0.85 * (drain > 0))
    screws = sum(c.blob(x, y, 0.035, 0.05) for x in (-0.09, 0.09) for y in (0.62, 0.78, 0.94))
    c.blend(np.minimum(screws, 1), 1.0, 0.95 * f["fusion"])
    dots = sum(c.blob(x, y, 0.05, 0.05) for x, y in ((-0.66, -0.42), (0.70, -0.36), (-0.60, 0.66), (0.60, 0.74)))
    c.blend(np.minimum(dots, 1), 1.0, 0.9 * f["leads"])


def _draw_lateral(c: _Canvas) -> None:
    """Front of the chest at image left; right and left lie over each other and differ in height and depth."""
    f = c.f
    floor = 0.40 + 0.085 * f["lung_volume"]
    c.blend(_step(0.80 + 0.05 * f["soft_tissue"] - np.abs(c.x), 0.05), 0.55)
    lungs = c.ellipse(0.02, -0.05, 0.60, 0.85) * _step(floor + 0.25 * c.x - c.y, 0.05)
    c.blend(lungs, 0.22)
    c.blend(c.blob(0.05, 0.40, 0.35, 0.09), 0.6, np.clip(0.3 + 0.25 * f["right_diaphragm"], 0, 1))
    bend = 0.11 * f["spine_curve"] * np.sin(np.pi * (c.y + 0.9) / 1.5)
    c.add(np.exp(-0.5 * ((c.x - 0.58 - bend) / 0.10) ** 2), 0.25)
    c.blend(c.ellipse(-0.20, floor - 0.16, 0.29 + 0.085 * f["heart_size"], 0.28 + 0.05 * f["heart_size"]), 0.70)
    c.blend(c.blob(0.15, -0.42, 0.12, 0.09), 0.9, np.clip(0.30 + 0.20 * f["aorta"], 0, 1))
    c.add(c.blob(-0.62, 0.25, 0.12, 0.18), np.clip(0.09 + 0.09 * f["soft_tissue"], 0, 1))
    c.blend(c.blob(0.08, -0.06, 0.18, 0.22) * lungs, 0.75, 0.75 * f["edema"])
    for name, away in (("right", 0.0), ("left", 0.14)):
        for finding, cx, cy in (("base", 0.24, 0.22), ("effusion", 0.50, 0.48), ("upper", -0.12, -0.50)):
            much = f[f"{name}_{finding}"]
            c.blend(c.blob(cx + away, cy - away, 0.09, 0.09 + 0.1 * much), 0.85, 0.25 * (much > 0) + 0.6 * much)
    c.add(c.x * np.ones_like(c.y), 0.10 * f["rotation"])
    tube, feeding = f["tube"], f["feeding_tube"]
    c.blend(_column(c, 0.02, 0.045) * _step(-0.75 + 0.55 * tube - c.y, 0.02), 0.98, 0.8 * (tube > 0))
    c.blend(_column(c, 0.14, 0.035) * _step(0.15 + 0.65 * feeding - c.y, 0.02), 0.92, 0.7 * (feeding > 0))
    depth = np.abs(f["line"])
    c.blend(c.path(-0.2 * np.sign(f["line"]), -0.95, -0.06, -0.45 + 0.5 * depth, 0.042), 0.95, 0.8 * (depth > 0))
    box = _step(0.06 - np.abs(c.x + 0.60), 0.03) * _step(0.11 - np.abs(c.y + 0.62), 0.03)
    c.blend(box, 1.0, f["pacemaker"])
    knots = sum(c.blob(-0.64, y, 0.04, 0.035) for y in np.arange(-0.4, 0.5, 0.14))
    c.blend(np.minimum(knots, 1), 0.98, 0.8 * f["wires"])
    drain = f["chest_tube"]
    path = c.path(0.9, 0.10, 0.2, 0.10 - 0.35 * drain, 0.04)
    c.blend(path, 0.97, 0.85 * (drain != 0))
    screws = sum(c.blob(0.60, y, 0.09, 0.05) for y in (0.62, 0.78, 0.94))
    c.blend(np.minimum(screws, 1), 1.0, 0.95 * f["fusion"])
    dots = sum(c.blob(x, y, 0.05, 0.05) for x, y in ((-0.5, -0.42), (-0.45, 0.70)))
    c.blend(np.minimum(dots, 1), 1.0, 0.9 * f["leads"])


def _expose(draw: object, findings: np.ndarray, chance: list[np.random.Generator], image_size: int) -> Field:
    """Draw at half the resolution, enlarge, and add what differs from film to film."""
    assert callable(draw)
    films = np.empty((len(findings), image_size, image_size), dtype=np.float32)
    enlarge = _enlarging(image_size // 2, image_size)
    for start in range(0, len(findings), 32):
        part = slice(start, start + 32)
        canvas = _Canvas(findings[part], chance[part], image_size // 2)
        draw(canvas)
        _vary(canvas.value, chance[part])
        large = enlarge @ canvas.value @ enlarge.T
        noise = np.stack([random.standard_normal(large.shape[1:], dtype=np.float32) for random in chance[part]])
        films[part] = np.clip(large + 0.02 * noise, 0, 1)
    return films


def _vary(films: Field, chance: list[np.random.Generator]) -> None:
    """Vary exposure, heel effect, slow shading, marker and collimation in place."""
    size = films.shape[1]
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    waves = np.stack([np.cos(np.pi * k * (axis + 1) / 2) for k in range(4)])
    for value, random in zip(films, chance, strict=True):
        value += waves.T @ random.normal(0, 0.015, (4, 4)).astype(np.float32) @ waves
        value += np.float32(random.normal(0, 0.05)) * axis[:, None] + np.float32(random.normal(0, 0.03)) * axis[None, :]
        np.clip(value, 0.0, 1.0, out=value)
        value *= np.float32(random.uniform(0.72, 0.95))
        value += np.float32(random.uniform(0.0, 0.05))
        np.power(value, np.float32(random.uniform(0.8, 1.25)), out=value)
        row, tall = int(size * random.uniform(0.03, 0.12)), max(2, size // 20)
        column = int(size * (0.04 if random.random() < 0.5 else 0.88))
        value[row : row + tall, column : column + tall] = 0.97
        top, bottom, left, right = (int(edge) for edge in size * np.clip(random.normal(0.0, 0.025, 4), 0, 0.06))
        value[:top] = value[size - bottom :] = value[:, :left] = value[:, size - right :] = 0.0


def _column(c: _Canvas, x: Field | float, width: float) -> Field:
    return np.exp(-0.5 * ((c.x - x) / width) ** 2) * np.ones_like(c.y)


def _step(distance: Field, softness: float) -> Field:
    t = np.clip(0.5 + distance / (2 * softness), 0, 1)
    return t * t * (3 - 2 * t)


def _enlarging(small: int, large: int) -> Field:
    """Bilinear interpolation as a matrix, float32 (large, small)."""
    at = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, small - 1)
    matrix = np.zeros((large, small), dtype=np.float32)
    matrix[np.arange(large), low] += 1 - (at - low)
    matrix[np.arange(large), high] += at - low
    return matrix
