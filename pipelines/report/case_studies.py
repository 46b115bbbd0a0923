"""Case studies: embeddings of three patients and three diagnoses drawn side by side, and numbers that say the same.

Reads what the case studies published; no id stands in it. Where a point lies on paper: `scatter`.
"""

from collections.abc import Sequence
from typing import Any, Literal

from lake import Lake
from pipelines.report.content import Cell, Cloud, Column, Note, Part, Row, Scatter, Section, Table
from pipelines.report.formats import count
from pipelines.report.methods import in_order, metric_title, title
from pipelines.report.prediction_numbers import ends, read_rows, share

TABLE, POINTS = "case_studies", "case_study_points"
TABLES = (TABLE, POINTS)
FIGURES = {"patients": "Figure 8, three patients", "diagnoses": "Figure 9, three diagnoses"}
PROJECTIONS = {"tsne": "t-SNE", "umap": "UMAP"}
COHORTS = {"all_subjects": "all unseen subjects", "patients": "the three patients", "diagnoses": "the three diagnoses"}
HOLDS = (
    "The points on this page are records of a few unseen patients, embedded and brought to two dimensions, without "
    "identifier, text or image; all else on it is aggregates."
)
"""What a page with drawings says of itself."""
COLOURS: tuple[Literal["main", "first", "second"], ...] = ("main", "first", "second")
Found = dict[str, Any]


def case_studies_section(lake: Lake) -> Section:
    """Draw every figure by every projection, the variants side by side, and list the numbers."""
    numbers, points = read_rows(lake, TABLE), read_rows(lake, POINTS)
    bands: list[tuple[Part, ...]] = []
    for figure in FIGURES:
        for projection in PROJECTIONS:
            here = [row for row in points if (row["figure"], row["projection"]) == (figure, projection)]
            methods = in_order(row["method"] for row in here)[::-1]  # A alone left, the recipe right, as in the paper
            band = [_drawing(figure, projection, [r for r in here if r["method"] == m], m) for m in methods]
            bands += [tuple(band)] if band else []
    if numbers:
        bands.insert(0, (_numbers(numbers),))
    if not bands:
        made = lake.manifest(TABLE)
        reason = made.extra.get("not_available", "nothing was drawn") if made else "nothing was drawn"
        bands = [(Note(text=f"There are no case studies: {reason}.", tone="missing"),)]
    return Section(
        name="case_studies",
        title="Case studies",
        lead="What embeddings of unseen subjects look like with L_A alone and with the whole recipe. A point is one "
        "modality of one record, and the same points stand in both drawings. A picture of three cases proves nothing: "
        "the numbers over all unseen subjects do.",
        num_rows=len(numbers) + len(points),
        bands=tuple(bands),
    )


def _drawing(figure: str, projection: str, rows: Sequence[Found], method: str) -> Scatter:
    keys = sorted({(row["case"], row["case_name"] or "", row["source"]) for row in rows})
    sources = sorted({source for _, _, source in keys}, key=lambda source: (source != "ehr", source))
    clouds = [
        Cloud(
            name=f"{name or f'patient {case}'}, {source.upper()}",
            role=COLOURS[case - 1],
            is_square=source != sources[0],
            points=tuple((r["x"], r["y"]) for r in rows if (r["case"], r["source"]) == (case, source)),
        )
        for case, name, source in keys
    ]
    return Scatter(
        caption=f"{FIGURES[figure]}: {title(method)}, {PROJECTIONS[projection]}",
        description=f"{count(len(rows))} points of {count(len({case for case, *_ in keys}))} cases.",
        clouds=tuple(clouds),
    )


def _numbers(rows: Sequence[Found]) -> Table:
    named = in_order(row["method"] for row in rows)[::-1]
    methods = sorted(named, key=lambda method: method == "chance")
    cells = {(row["metric"], row["k"], row["cohort"], row["method"]): row for row in rows}
    order = {name: index for index, name in enumerate(COHORTS)}
    names = sorted({key[:3] for key in cells}, key=lambda key: (order.get(key[2], len(order)), key))
    return Table(
        caption="What the eye should see, as numbers",
        head="Measure",
        columns=tuple(Column(label=title(method)) for method in methods),
        rows=tuple(
            Row(
                label=metric_title(metric, k),
                detail=f"{COHORTS.get(cohort, cohort)}, n = {count(max(_sizes(cells, metric, k, cohort)))}",
                cells=tuple(_cell(cells.get((metric, k, cohort, method))) for method in methods),
            )
            for metric, k, cohort in names
        ),
        note="Higher is better, but for the silhouette by modality. Agreement: Spearman’s correlation of the "
        "similarity of embeddings with that of diagnosis histories. Chance: embeddings at random, on average. "
        "Neighbours are points of other studies. One training of each.",
    )


def _sizes(cells: dict[Any, Found], metric: str, k: int, cohort: str) -> list[int]:
    return [row["n"] for key, row in cells.items() if key[:3] == (metric, k, cohort)]


def _cell(row: Found | None) -> Cell:
    if row is None:
        return Cell()
    return Cell(text=share(row["value"]), detail=ends(row["ci_low"], row["ci_high"]))
