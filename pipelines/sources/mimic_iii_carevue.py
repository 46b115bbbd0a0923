"""MIMIC-III's CareVue subset 1.4: MIMIC-III's layout; what only MetaVision recorded may be left out."""

from pipelines.sources.mimic_iii import tables_of
from pipelines.sources.raw_table import Source

SOURCE = Source(
    name="mimic_iii_carevue",
    required=False,
    tables=tables_of("mimic_iii_carevue", without=frozenset({"inputevents_mv", "procedureevents_mv"})),
    where="physionet.org/content/mimic3-carevue: the folder that holds ADMISSIONS.csv.gz",
    folder="mimic-iii-carevue",
)
