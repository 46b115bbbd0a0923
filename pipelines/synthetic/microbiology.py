"""Renders microbiologyevents of MIMIC-IV: cultures whose organisms are known days after the specimen.

Some specimens have a date and no time, some belong to no admission; a positive culture has one row per antibiotic.
"""

import numpy as np
import polars as pl

from pipelines.synthetic.conditions import CONDITIONS
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.randomness import generator

COLUMNS = (
    "microevent_id,subject_id,hadm_id,micro_specimen_id,order_provider_id,chartdate,charttime,spec_itemid,"
    "spec_type_desc,test_seq,storedate,storetime,test_itemid,test_name,org_itemid,org_name,isolate_num,quantity,"
    "ab_itemid,ab_name,dilution_text,dilution_comparison,dilution_value,interpretation,comments"
)
# specimen item, name, test item, name, share of the cultures, organisms that grow in it
CULTURES = (
    (70012, "BLOOD CULTURE", 90201, "Blood Culture, Routine", 0.4, (80002, 80023, 80155)),
    (70079, "URINE", 90039, "URINE CULTURE", 0.35, (80002, 80004, 80075)),
    (70062, "SPUTUM", 90055, "RESPIRATORY CULTURE", 0.25, (80023, 80026, 80075)),
)
ORGANISMS = {
    80002: "ESCHERICHIA COLI",
    80004: "KLEBSIELLA PNEUMONIAE",
    80023: "STAPH AUREUS COAG +",
    80026: "PSEUDOMONAS AERUGINOSA",
    80075: "YEAST",
    80155: "STAPHYLOCOCCUS, COAGULASE NEGATIVE",
}
ANTIBIOTICS = {90012: "GENTAMICIN", 90019: "CIPROFLOXACIN", 90029: "MEROPENEM", 90015: "VANCOMYCIN"}
UNTESTED = 80075  # no antibiotic is tried on yeast


def microbiologyevents(subjects: Subjects, admissions: Admissions, with_ehr: np.ndarray, *, seed: int) -> pl.DataFrame:
    """Render the cultures of these admissions.

    Args:
        subjects: everybody.
        admissions: theirs.
        with_ehr: rows of `Admissions` to render.
        seed: the settings' seed.
    """
    severity = severity_at(subjects, admissions, subject=admissions.subject, time=admissions.admit)
    infected = np.maximum(severity[:, CONDITIONS.index("sepsis")], severity[:, CONDITIONS.index("pneumonia")])
    rows: list[tuple[object, ...]] = []
    specimen = 0
    for row in with_ehr.tolist():
        subject_id, hadm_id = int(subjects.subject_id[admissions.subject[row]]), int(admissions.hadm_id[row])
        random = generator(seed, "microbiology", hadm_id)
        minutes = int((admissions.discharge[row] - admissions.admit[row]).astype(int)) // 60
        for _ in range(int(random.poisson(0.5 + 2.0 * infected[row]))):
            specimen += 1
            taken = admissions.admit[row].astype("datetime64[m]") + int(min(random.exponential(2000), minutes - 1))
            rows += _culture(random, subject_id, hadm_id, specimen, taken, float(infected[row]))
    table = pl.DataFrame(rows, schema=COLUMNS.split(",")[1:], orient="row", infer_schema_length=None)
    return table.select(pl.int_range(1, pl.len() + 1).alias("microevent_id"), pl.all())


def _culture(
    random: np.random.Generator, subject_id: int, hadm_id: int, number: int, taken: np.datetime64, infected: float
) -> list[tuple[object, ...]]:
    """One specimen's rows: one where nothing grew, else one for each antibiotic tried."""
    at = int(random.choice(len(CULTURES), p=[culture[4] for culture in CULTURES]))
    spec, specimen, test, name, _, organisms = CULTURES[at]
    known = taken + np.timedelta64(int(random.uniform(30, 120) * 60), "m")
    head = (
        subject_id, None if random.random() < 0.06 else hadm_id, 1_000_000 + number, None, _day(taken),
        None if random.random() < 0.09 else _stamp(taken), spec, specimen, 1, _day(known), _stamp(known), test, name,
    )  # fmt: skip
    if random.random() > 0.12 + 0.5 * infected:
        return [(*head, *[None] * 10, "NO GROWTH.  ")]
    organism = int(random.choice(organisms))
    grown = (*head, organism, ORGANISMS[organism], 1, None)
    if organism == UNTESTED:
        return [(*grown, *[None] * 7)]
    rows: list[tuple[object, ...]] = []
    for antibiotic in random.choice(list(ANTIBIOTICS), size=int(random.integers(2, 4)), replace=False).tolist():
        dilution = int(2 ** random.integers(0, 6))
        least = bool(random.random() < 0.5)
        resistant = "R" if dilution > 8 and not least else "S"
        text, comparison = (f"<={dilution}", "<=        ") if least else (str(dilution), "=         ")
        rows.append((*grown, antibiotic, ANTIBIOTICS[antibiotic], text, comparison, dilution, resistant, None))
    return rows


def _stamp(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).replace("T", " ")


def _day(time: np.datetime64) -> str:
    return f"{time.astype('datetime64[D]')} 00:00:00"
