"""MIMIC-IV-Note 2.2: discharge summaries and radiology reports, whose text spans lines inside quotes."""

from pipelines.sources.raw_table import RawTable, Source
from pipelines.sources.releases import Release

_COLUMNS = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")


def _table(name: str, *, optional: bool) -> RawTable:
    return RawTable(
        table=f"mimic_iv_note__{name}", source="mimic_iv_note", files=(f"note/{name}.csv.gz",), optional=optional
    )


SOURCE = Source(
    name="mimic_iv_note",
    required=False,
    tables=(
        _table("discharge", optional=False),
        _table("radiology", optional=True),
        _table("radiology_detail", optional=True),
    ),
    where="physionet.org/content/mimic-iv-note: the folder that holds note/",
    folder="mimic-iv-note",
    releases=(Release(name="2.2", columns={"note/discharge.csv.gz": _COLUMNS}),),
)
