"""MIMIC-IV-Note 2.2: discharge summaries, whose text spans lines inside quotes."""

from pipelines.sources.raw_table import RawTable, Source

SOURCE = Source(
    name="mimic_iv_note",
    required=False,
    tables=(RawTable(table="mimic_iv_note__discharge", source="mimic_iv_note", files=("note/discharge.csv.gz",)),),
    where="physionet.org/content/mimic-iv-note: the folder that holds note/",
    folder="mimic-iv-note",
)
