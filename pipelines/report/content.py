"""What a page is made of: sections of tables, charts, flows, notes, chains and folds, as plain data a template draws.

What does not belong here: HTML, and where the data comes from. The digest of a section is taken over these values, so a
change of layout leaves it as it was.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal

from lake.files import canonical_json
from pipelines.report.formats import NONE, median, plain


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says; empty where nothing applies.
        lines: what else it says, each on a line of its own.
        detail: a last, smaller line.
        bar: share of a bar behind the number, 0 to 1.
        badge: a word in a box, such as `synthetic`.
        links: names of tables on the page of lineage that the cell points to.
        target: the anchor that its text points to, on whichever page it lies.
        title: what it says when pointed at.
        is_code: set in a fixed-width face.
    """

    text: str = ""
    lines: tuple[str, ...] = ()
    detail: str = ""
    bar: float | None = None
    badge: str = ""
    links: tuple[str, ...] = ()
    target: str = ""
    title: str = ""
    is_code: bool = False


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's head; numbers stand right, text left, and a muted column is a reference, not ours."""

    label: str
    is_number: bool = True
    is_muted: bool = False
    badge: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table: its head, then a cell for every other column."""

    label: str
    cells: tuple[Cell, ...]
    detail: str = ""
    anchor: str = ""
    badge: str = ""
    badges: tuple[str, ...] = ()
    is_muted: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a caption; folded away behind its caption where `is_folded`; `anchor` is where links find it."""

    caption: str
    head: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    is_folded: bool = False
    anchor: str = ""
    badges: tuple[str, ...] = ()
    kind: Literal["table"] = "table"


Role = Literal["ours", "own", "baseline", "simple"]
"""How a bar is drawn: our model, its variants, published baselines, simple references."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: label with its unit, and ticks where they are not to be chosen.

    Attributes:
        starts_at_zero: whether chosen ticks include zero.
    """

    label: str
    ticks: tuple[float, ...] = ()
    is_log: bool = False
    is_percent: bool = False
    starts_at_zero: bool = True


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a line, with an interval where there is one, and what it says when pointed at."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line; `role` says how it is drawn: a colour by number, or reference lines that stand back."""

    name: str
    role: Literal["main", "first", "second", "third", "fourth", "chance", "paper"]
    points: tuple[Point, ...]
    has_marks: bool = False


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over one pair of axes."""

    caption: str
    description: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    note: str = ""
    badges: tuple[str, ...] = ()
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a histogram, from `low` to `high` on the axis; `is_point` marks a single value, drawn apart."""

    low: float
    high: float
    count: int
    text: str
    is_point: bool = False


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts over the ranges of one number."""

    caption: str
    description: str
    x: Axis
    y: Axis
    bars: tuple[Bar, ...]
    note: str = ""
    badges: tuple[str, ...] = ()
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One bar of a group: a value with its interval; `role` says how it is drawn."""

    label: str
    role: Role
    value: float
    text: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class BarGroup:
    """Bars that are compared with each other, and a value that is marked across them."""

    title: str
    detail: str
    bars: tuple[Reading, ...]
    mark: float | None = None


@dataclass(frozen=True, kw_only=True)
class GroupedBars:
    """Lying bars with intervals, one per method, in groups below each other.

    Attributes:
        start: value at which bars begin.
        roles: each role that is drawn, and what it stands for.
        mark: what the marked value of a group is; empty where none is marked.
    """

    caption: str
    description: str
    x: Axis
    groups: tuple[BarGroup, ...]
    start: float
    roles: tuple[tuple[Role, str], ...]
    mark: str = ""
    note: str = ""
    kind: Literal["bars"] = "bars"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Points of one colour and shape in a scatter chart: places without a unit."""

    name: str
    role: Literal["main", "first", "second"]
    is_square: bool
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Points of several kinds on one sheet; axes mean nothing, nearness does."""

    caption: str
    description: str
    clouds: tuple[Cloud, ...]
    note: str = ""
    kind: Literal["scatter"] = "scatter"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A small image as a base64 PNG file; `is_own` where it is what was looked for."""

    png: str
    text: str
    is_own: bool


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """A text and the pictures that it finds, the first one first."""

    caption: str
    text: str
    pictures: tuple[Picture, ...]
    badge: str = ""
    kind: Literal["gallery"] = "gallery"


@dataclass(frozen=True, kw_only=True)
class Note:
    """A paragraph: what is missing and why, or how to read what follows."""

    text: str
    tone: Literal["plain", "missing", "warning"] = "plain"
    kind: Literal["note"] = "note"


@dataclass(frozen=True, kw_only=True)
class Link:
    """One step of a chain from a number back to its files."""

    title: str
    text: str
    code: str = ""
    badge: str = ""
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Steps that lead from one to the next."""

    caption: str
    links: tuple[Link, ...]
    kind: Literal["chain"] = "chain"


@dataclass(frozen=True, kw_only=True)
class Out:
    """How many leave a flow, and why."""

    number: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One box of a flow: who leaves before it, who is in it, and what becomes of them."""

    title: str
    text: str
    outs: tuple[Out, ...]
    ends: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A flow diagram: boxes one below the other, then boxes beside each other that the last one divides into."""

    caption: str
    trunk: tuple[Stage, ...]
    branches: tuple[Stage, ...]
    badge: str = ""
    note: str = ""
    is_folded: bool = False
    kind: Literal["flow"] = "flow"


@dataclass(frozen=True, kw_only=True)
class KeyNumber:
    """A number for the head of the page; the text below it says what it is and of how many."""

    label: str
    value: str
    detail: str
    badge: str = ""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Parts behind a caption, in bands as those of a section: folded away unless `is_open`."""

    caption: str
    bands: tuple[tuple["Part", ...], ...]
    badge: str = ""
    note: str = ""
    is_open: bool = False
    kind: Literal["fold"] = "fold"


Part = Table | LineChart | Histogram | GroupedBars | Scatter | Gallery | Note | Chain | Flow | Fold


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of a page.

    Attributes:
        name: in the contract, the page's anchors and the digest.
        title: its heading.
        lead: a sentence or two under the heading.
        num_rows: rows of data shown in it.
        bands: parts from top to bottom; those of one band stand beside each other where there is room.
        key_numbers: what the head of the page takes from it.
    """

    name: str
    title: str
    lead: str
    num_rows: int
    bands: tuple[tuple[Part, ...], ...]
    key_numbers: tuple[KeyNumber, ...] = field(default=())

    @property
    def content_sha256(self) -> str:
        """Digest of everything the section shows."""
        return hashlib.sha256(canonical_json(_plain_values(self)).encode()).hexdigest()


def _plain_values(value: Any) -> Any:
    """What JSON takes; the values of `dataclasses.asdict` without its copies."""
    if isinstance(value, tuple):
        return [_plain_values(item) for item in value]
    return {k: _plain_values(v) for k, v in vars(value).items()} if is_dataclass(value) else value


def mean_cell(values: Sequence[int]) -> Cell:
    """Return mean and median of whole numbers: sums of integers, so the same on every machine."""
    if not values:
        return Cell(text=NONE)
    return Cell(text=f"{sum(values) / len(values):,.1f}", detail=f"median {plain(median(values))}")
