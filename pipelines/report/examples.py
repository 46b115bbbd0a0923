"""Retrieval examples: reports with the images that they find first, of sets that may be shown.

The one section that shows texts and images. Which sets those are, the step `retrieval_examples` decides.
"""

import base64
from itertools import groupby

from lake import Lake
from pipelines.report.content import Gallery, Note, Part, Picture, Section
from pipelines.report.formats import release
from pipelines.report.prediction_numbers import read_rows

TABLE = "retrieval_examples"
HOLDS = (
    "The retrieval examples on this page show reports and images; all else on it is aggregates. They are of sets that "
    "the graph wrote or whose licence lets anyone show them, unless the profile sets report.shows_credentialed: the "
    "page then falls under the agreement of its data."
)
"""What a page with examples says of itself."""


def examples_section(lake: Lake) -> Section:
    """Lay out every example."""
    rows = read_rows(lake, TABLE)
    made = lake.manifest(TABLE)
    assert made is not None, "the tables of the page were looked up before"
    reason = made.extra.get("not_available", "")
    written = [name.removeprefix("shown:") for name, why in made.inputs.items() if why == "synthetic"]
    parts: list[Part] = []
    for (dataset, example), found in groupby(rows, key=lambda row: (row["dataset"], row["example"])):
        here = list(found)
        parts.append(
            Gallery(
                caption=f"{release(dataset)}, report {example}",
                text=here[0]["text"].strip(),
                pictures=tuple(
                    Picture(
                        png=base64.b64encode(row["picture"]).decode(),
                        text=f"{row['rank']}: {'its own study' if row['is_own'] else 'another study'}",
                        is_own=row["is_own"],
                    )
                    for row in here
                ),
                badge="synthetic" if dataset in written else "",
            )
        )
    if reason or not parts:
        parts.append(Note(text=f"Not shown: {reason or 'no film of a set that may be shown'}.", tone="missing"))
    return Section(
        name="examples",
        title="Retrieval examples",
        lead="A few reports, drawn by a hash and not by how well they do, with the images that the model finds first. "
        "Framed images are of the report’s own study.",
        num_rows=len(rows),
        bands=tuple((part,) for part in parts),
    )
