"""MIMIC-III's CareVue subset 1.4: MIMIC-III's layout; what only MetaVision recorded may be left out."""

from pathlib import Path

import polars as pl

from pipelines.sources.csv_files import scan_csv
from pipelines.sources.files_below import find_below
from pipelines.sources.mimic_iii import COLUMNS, tables_of
from pipelines.sources.raw_table import Source
from pipelines.sources.releases import Release


def _is_carevue_alone(root: Path) -> bool:
    """Return whether no stay is from MetaVision: plain MIMIC-III shares those patients with MIMIC-IV."""
    path = find_below(root, "ICUSTAYS.csv.gz")
    assert path is not None
    systems = scan_csv(path, columns={"system": "dbsource"}, table="mimic_iii_carevue__icustays")
    return systems.filter(pl.col("system").is_in(["metavision", "both"])).head(1).collect().is_empty()


SOURCE = Source(
    name="mimic_iii_carevue",
    required=False,
    tables=tables_of("mimic_iii_carevue", without=frozenset({"inputevents_mv", "procedureevents_mv"})),
    where="physionet.org/content/mimic3-carevue: the folder that holds ADMISSIONS.csv.gz",
    folder="mimic-iii-carevue",
    releases=(
        Release(
            name="1.4", columns=COLUMNS, sign="no stay in ICUSTAYS is from metavision or both", look=_is_carevue_alone
        ),
    ),
)
