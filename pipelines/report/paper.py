"""The paper's tables and figures side by side with ours, cell by cell, each with a way to its lineage.

Reads `paper_tables` alone. What a cell holds: `exhibits`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lake import Lake
from pipelines.report.ablation import GROUNDS, MODES, SETS
from pipelines.report.case_studies import COHORTS as DRAWN
from pipelines.report.cohorts import TASKS
from pipelines.report.content import Cell, Column, Note, Part, Row, Section, Table
from pipelines.report.efforts import Effort
from pipelines.report.formats import NONE, count, digest, interval, release, true_minus
from pipelines.report.lineage import Ancestry
from pipelines.report.methods import columns_in_order, in_order, metric_title, split_column, title
from pipelines.report.prediction_numbers import HORIZONS, PREFIX, ends, read_rows, share

TABLE = "paper_tables"
EXHIBITS = {
    "table_1": "Table 1: patients, records and cohorts",
    "table_2": "Table 2: text to image retrieval",
    "table_3": "Table 3: COVID-19 against normal, by two prompts",
    "table_4": "Table 4 (appendix C): the variant with a language model",
    "table_5": "Table 5: text to image retrieval, another hospital",
    "table_6": "Table 6: enlarged cardiomediastinum, by two prompts",
    "figure_5": "Figure 5: the critically ill",
    "figure_6": "Figure 6: readmission",
    "figure_7": "Figure 7: ablation",
    "figure_8": "Figure 8: embeddings of three patients",
    "figure_9": "Figure 9: embeddings of three diagnoses",
}
PERCENT = ("table_2", "table_3", "table_4", "table_5", "table_6")
"""Exhibits that the paper prints in percent; the others are shares."""
COUNTED = {
    "ehr": "EHR",
    "cxr": "CXR",
    "diagnosis_codes": "Diagnosis codes",
    "drugs": "Drugs",
    "arf": "Acute respiratory failure",
    "shock": "Shock",
    "readmission": "Readmission",
}
DATA, PRETRAIN = "table_1", "pretrain"
PAPERS_OWN = frozenset({"metavision", "zero_shot_covid19"})
"""Parts of panels that the paper has too: its cohort, and the films of Figure 7."""
PANELS = {
    **HORIZONS,
    PRETRAIN: "pre-training",
    "shared": "shared feature space",
    "without_codes": "without ICD codes",
    "all_views": "all views",
    "covid_or_normal": "COVID-19 or normal",
    "valid": "validation part",
    "native": "as its authors run each model",
    "native, mean over prompts": "as its authors run each model, mean over prompts",
    "paper": "released harness",
    "paper, mean over prompts": "released harness, mean over prompts",
    **GROUNDS,
    **MODES,
    **SETS,
    **DRAWN,
}
"""What the parts of a panel's name are called; others are releases, tasks or plain words."""
COUNTS = ("patients", "records", "codes", "examples", "events")
Found = dict[str, Any]


def paper_section(lake: Lake, ancestry: Ancestry) -> Section:
    """Lay out every exhibit: one table for each panel, the first of each open."""
    rows = [{**row, "is_traced": row["asset"] in ancestry.manifests} for row in read_rows(lake, TABLE)]
    bands: list[tuple[Part, ...]] = []
    for exhibit in EXHIBITS:
        found = [row for row in rows if row["exhibit"] == exhibit]
        panels = [name for name in dict.fromkeys(row["panel"] for row in _in_panels(found)) if name]
        for index, panel in enumerate(panels):
            here = [row for row in found if row["panel"] == panel]
            bands.append((_table(exhibit, panel, here, is_folded=index > 0 and exhibit != DATA),))
        bands += [(_absent(exhibit, row),) for row in found if not row["panel"]]
    reasons = _reasons(rows)
    if reasons.rows:
        bands.append((reasons,))
    if not rows:
        bands.append((Note(text="paper_tables is empty: nothing was published to fill it.", tone="missing"),))
    num_ours = sum(row["value"] is not None for row in rows)
    return Section(
        name="paper_tables",
        title="The paper’s tables and figures",
        lead=f"{count(num_ours)} numbers of this run, above the one that the paper prints where one is on record. A "
        "number leads to its lineage. The paper’s come from the whole of MIMIC-IV and MIMIC-CXR: on other data they "
        "are a reference, no comparison.",
        num_rows=len(rows),
        bands=tuple(bands),
    )


def _in_panels(rows: Sequence[Found]) -> list[Found]:
    """Rows by panel: those with numbers of ours first, then what pre-trains, then the paper's own cohort and films."""
    filled = {row["panel"] for row in rows if row["value"] is not None}

    def place(row: Found) -> tuple[bool, bool, bool, str]:
        panel: str = row["panel"]
        return panel not in filled, panel != PRETRAIN, PAPERS_OWN.isdisjoint(panel.split("/")), panel

    return sorted(rows, key=place)


def _absent(exhibit: str, row: Found) -> Note:
    return Note(text=f"{EXHIBITS[exhibit]}: not available, {row['reason']}.", tone="missing")


def _table(exhibit: str, panel: str, rows: Sequence[Found], *, is_folded: bool) -> Table:
    found, columns = {row["row"] for row in rows}, {row["column"] for row in rows if row["column"]}
    names = [name for name in COUNTED if name in found] if exhibit == DATA else in_order(found)
    shown = [name for name in COUNTS if name in columns] if exhibit == DATA else columns_in_order(columns)
    by_cell = {(row["row"], row["column"]): row for row in rows}
    everywhere = _common([row for row in rows if row["value"] is not None] or rows)
    head = {DATA: "Counted", "figure_7": "Variant", "figure_8": "Variant", "figure_9": "Variant"}
    return Table(
        caption=f"{EXHIBITS[exhibit]}: {_panel_words(panel)}",
        head=head.get(exhibit, "Method"),
        columns=tuple(Column(label=_column_words(exhibit, column)) for column in shown),
        rows=tuple(_row(exhibit, name, rows, shown, by_cell, everywhere) for name in names),
        note=_note(exhibit, rows),
        is_folded=is_folded,
        badges=everywhere,
    )


def _row(
    exhibit: str,
    name: str,
    rows: Sequence[Found],
    columns: Sequence[str],
    by_cell: dict[tuple[str, str], Found],
    everywhere: Sequence[str],
) -> Row:
    own = [row for row in rows if row["row"] == name]
    badges = _common(own)
    write = _in_words(exhibit)
    cells = [_cell(by_cell.get((name, column)), write, said={*badges, *everywhere}) for column in columns]
    seeds = {row["num_seeds"] for row in own if row["num_seeds"] is not None}
    trained = [f"{count(min(seeds))} {'training' if seeds == {1} else 'trainings'}"] if seeds else []
    trained += sorted({_effort(row).words for row in own if row["num_steps"] is not None})
    return Row(
        label=COUNTED.get(name, name) if exhibit == DATA else title(name),
        detail=", ".join(trained),
        badges=tuple(badge for badge in badges if badge not in everywhere),
        cells=tuple(cells),
    )


def _effort(row: Found) -> Effort:
    return Effort(num_steps=row["num_steps"], batch_size=row["batch_size"])


def _common(rows: Sequence[Found]) -> tuple[str, ...]:
    """Badges that all of some cells have."""
    first = rows[0]["badges"] if rows else []
    return tuple(badge for badge in first if all(badge in row["badges"] for row in rows))


def _cell(row: Found | None, write: Callable[[float], str], *, said: set[str]) -> Cell:
    """Ours, its interval, what the paper prints below it; badges that are not said of the whole row."""
    if row is None:
        return Cell()
    own = [badge for badge in row["badges"] if badge not in said]
    printed = f"paper {write(row['paper_value'])}" if row["paper_value"] is not None else ""
    words = [f"from {row['asset']}"]
    words += [f"n = {count(row['n'])}"] if row["n"] is not None else []
    words += [f"checkpoint {digest(row['fingerprint'])}"] if row["fingerprint"] else []
    if row["value"] is None:
        return Cell(text=NONE, detail=printed, badge=own[0] if own else "")
    return Cell(
        text=write(row["value"]),
        lines=(_ends(row, write),) if row["ci_low"] is not None and row["ci_high"] is not None else (),
        detail=printed,
        badge=own[0] if own else "",
        target=f"table-{row['asset']}" if row["is_traced"] else "",
        title="; ".join(words),
    )


def _in_words(exhibit: str) -> Callable[[float], str]:
    if exhibit == DATA:
        return lambda value: count(round(value))
    return (lambda value: true_minus(f"{100 * value:.2f}")) if exhibit in PERCENT else share


def _ends(row: Found, write: Callable[[float], str]) -> str:
    is_percent = write(1.0) == "100.00"
    return interval(row["ci_low"], row["ci_high"]) if is_percent else ends(row["ci_low"], row["ci_high"])


def _column_words(exhibit: str, column: str) -> str:
    return column.capitalize() if exhibit == DATA else metric_title(*split_column(column))


def _panel_words(panel: str) -> str:
    words = (PANELS.get(part) or TASKS.get(part.removeprefix(PREFIX)) or release(part) for part in panel.split("/"))
    return ", ".join(word.replace("_", " ") for word in words)


def _note(exhibit: str, rows: Sequence[Found]) -> str:
    unit = "Percent" if exhibit in PERCENT else "Counts" if exhibit == DATA else "Shares"
    words = [unit] + ["95 % intervals below"] * any(row["ci_low"] is not None for row in rows)
    words += ["then what the paper prints"] * any(row["paper_value"] is not None for row in rows)
    constant = " An F1 near that of all positive, which looks at no film, says nothing."
    has_constant = exhibit == "figure_7" and any(row["row"] == "all_positive" for row in rows)
    inferred = "That this is Table 4 is inferred from its place (docs/llm.md); of its own row R@100 alone is on record."
    partly = f" {inferred}" if exhibit == "table_4" else ""
    if exhibit == DATA and any(row["row"] == "readmission" for row in rows):
        partly = " The paper’s readmission row has the size of FIDDLE’s mortality cohort at 48 h."
    return f"{', '.join(words)}.{constant if has_constant else ''}{partly}"


def _reasons(rows: Sequence[Found]) -> Table:
    """Every reason once, with the exhibit and method it is of."""
    said = {(row["exhibit"], row["row"], row["reason"]): row for row in rows if row["reason"] and row["panel"]}
    order = {name: index for index, name in enumerate(EXHIBITS)}
    keys = sorted(said, key=lambda key: (order[key[0]], key[1], key[2]))
    return Table(
        caption=f"Why {count(sum(row['value'] is None for row in rows))} cells have no number",
        head="Row",
        columns=(Column(label="Reason", is_number=False),),
        rows=tuple(
            Row(
                label=COUNTED.get(name, title(name)), detail=EXHIBITS[exhibit].split(":")[0], cells=(Cell(text=reason),)
            )
            for exhibit, name, reason in keys
        ),
        is_folded=True,
    )
