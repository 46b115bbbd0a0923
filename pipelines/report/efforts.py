"""How long ours and the small models beside it were trained: steps and batch, to be said next to their numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from lake import Lake
from pipelines.report.cells import FEW_STEPS, OURS
from pipelines.report.formats import count
from pipelines.report.methods import in_order, title
from pipelines.report.prediction_numbers import read_rows

SMALL, SUFFIX = "radiology_small_models", "_small"
CHECKPOINTS = {OURS: "pretrain_checkpoint", "medcsp_llm": "pretrain_llm"}
TABLES = (SMALL, *CHECKPOINTS.values())


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Optimiser steps of a training, and records or films of each; None where its settings say nothing of a batch."""

    num_steps: int
    batch_size: int | None

    @property
    def words(self) -> str:
        """`300 steps of 64`."""
        of = "" if self.batch_size is None else f" of {count(self.batch_size)}"
        return f"{count(self.num_steps)} steps{of}"


def read_efforts(lake: Lake) -> dict[str, Effort]:
    """Return what was trained here, by method: ours, its variant and every small model that there is."""
    found = {
        row["method"]: Effort(num_steps=row["num_steps"], batch_size=row["batch_size"])
        for row in read_rows(lake, SMALL)
    }
    for method, table in CHECKPOINTS.items():
        steps, made = lake.scan(table).select(pl.col("step").max()).collect().item(), lake.manifest(table)
        if steps is not None and made is not None:
            settings = made.settings.get("settings", made.settings)  # the variant's lie beside its language model's
            found[method] = Effort(num_steps=steps, batch_size=settings.get("batch", {}).get("size"))
    return found


def with_effort(cell: Mapping[str, Any], efforts: Mapping[str, Effort]) -> dict[str, Any]:
    """Return a cell of `paper_tables` that knows how long its X-ray model was trained; null where nobody says."""
    effort = efforts.get(cell["row"]) if cell["value"] is not None and _is_of_x_rays(cell["exhibit"]) else None
    if effort is None:
        return {**cell, "num_steps": None, "batch_size": None}
    ours = efforts.get(OURS)
    is_short = ours is not None and cell["row"].endswith(SUFFIX) and effort.num_steps < FEW_STEPS * ours.num_steps
    return {
        **cell,
        "num_steps": effort.num_steps,
        "batch_size": effort.batch_size,
        "badges": [*cell["badges"], *(["few steps"] * is_short)],
    }


def _is_of_x_rays(exhibit: str) -> bool:
    return exhibit in ("table_2", "table_3", "table_4", "table_5", "table_6")


def beside(method: str, efforts: Mapping[str, Effort]) -> str:
    """`90 steps of 16; ours 300 of 64` for a small model, so that nobody takes them for equals; else nothing."""
    own, ours = efforts.get(method), efforts.get(OURS)
    if not method.endswith(SUFFIX) or own is None:
        return ""
    return f"{own.words}; ours {ours.words.replace(' steps', '')}" if ours else own.words


def trained_here(methods: Iterable[str], efforts: Mapping[str, Effort]) -> str:
    """A sentence about ours and the small models among some methods; nothing where none of them is small."""
    shown = in_order(set(methods) & efforts.keys())
    if not any(method.endswith(SUFFIX) for method in shown):
        return ""
    return f"Trained here: {'; '.join(f'{title(method)} {efforts[method].words}' for method in shown)}."
