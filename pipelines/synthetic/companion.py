"""A synthetic MIMIC-CXR for the real subjects of a MIMIC-IV tree, and for further subjects without EHR.

Studies stand around the real admissions; findings come from the real diagnosis codes; the signature comes from age and
a few laboratory means where they exist. Everything drawn, worded and timed is synthetic. Not here: drawing and wording.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import duckdb
import numpy as np
import polars as pl

from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE
from pipelines.synthetic.latent import Admissions, Subjects, draw_admissions, draw_people, draw_subject
from pipelines.synthetic.randomness import generator, unique_ids
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.studies import draw_studies
from pipelines.synthetic.write import write_truth, write_xrays
from pipelines.synthetic.writing import new_folder

# condition -> ICD version -> prefixes of its codes
PREFIXES: dict[str, dict[int, tuple[str, ...]]] = {
    "heart_failure": {9: ("428", "425"), 10: ("I50", "I42")},
    "pneumonia": {9: ("481", "482", "483", "485", "486", "507"), 10: ("J13", "J14", "J15", "J16", "J18", "J69")},
    "copd": {9: ("490", "491", "492", "493", "494", "496"), 10: ("J40", "J41", "J42", "J43", "J44", "J45", "J47")},
    "malignancy": {9: tuple(str(code) for code in range(140, 209)), 10: ("C",)},
    "heart_surgery": {
        9: ("414", "410", "V458", "9971", "424"),
        10: ("I25", "I21", "Z951", "Z955", "I97", "I34", "I35"),
    },
    "sepsis": {9: ("038", "9959", "7855"), 10: ("A40", "A41", "R65", "R57")},
    "kidney_disease": {9: ("584", "585", "586", "403"), 10: ("N17", "N18", "N19", "I12")},
    "diabetes": {9: ("249", "250"), 10: ("E08", "E09", "E10", "E11", "E13")},
    "stroke": {9: ("430", "431", "432", "433", "434", "342", "852"), 10: ("I60", "I61", "I62", "I63", "G81", "S06")},
    "cirrhosis": {9: ("571", "572", "570"), 10: ("K70", "K72", "K74", "K76")},
}
# part of the signature -> laboratory item whose mean it follows; the aorta follows age
SIGNATURE_LABS = {
    "heart_width": 50971,
    "lung_volume": 50983,
    "spine_curve": 50893,
    "soft_tissue": 50931,
    "right_diaphragm": 51222,
}
TABLES = {
    "patients": {
        "subject_id": "bigint",
        "gender": "varchar",
        "anchor_age": "bigint",
        "anchor_year": "bigint",
        "dod": "date",
    },
    "admissions": {
        "subject_id": "bigint",
        "hadm_id": "bigint",
        "admittime": "timestamp",
        "dischtime": "timestamp",
        "hospital_expire_flag": "bigint",
    },
    "diagnoses_icd": {"hadm_id": "bigint", "seq_num": "bigint", "icd_code": "varchar", "icd_version": "bigint"},
    "labevents": {"subject_id": "bigint", "itemid": "bigint", "valuenum": "double"},
}
CSV = "read_csv($1, all_varchar = true, header = true)"
# Few real subjects get more studies each, so that there is something to train on.
LINKED_STUDIES = 240
MOST_STUDIES = 10.0


Find = Callable[[Path, str], Path | None]
"""Finds a published file below a root; the graph gives the finder that its tables are read with."""


def find_published(root: Path, file: str) -> Path | None:
    """Return a file as it was published, or unpacked."""
    names = (file, file.removesuffix(".gz"))
    return next((root / name for name in names if (root / name).is_file()), None)


def write_companion(raw: Path, *, mimic_iv: Path, settings: SyntheticSettings, find: Find = find_published) -> None:
    """Write mimic-cxr/, mimic-cxr-jpg/ and truth/ for the subjects of a MIMIC-IV tree.

    Args:
        raw: gets the three folders; replaced as a whole at the end.
        mimic_iv: folder with hosp/*.csv.gz, packed or unpacked.
        settings: `num_linked_subjects` is the most real subjects that get X-rays, `num_cxr_only_subjects` how many
            more there are without EHR; the numbers of EHR subjects and of studies follow the tree.
        find: finds the files.

    Raises:
        ValueError: a table or column is missing, or no admission is left.
    """
    real, stays = read_cohort(mimic_iv, settings=settings, find=find)
    more = unique_ids(
        settings.seed, "companion", settings.num_cxr_only_subjects, first=10_000_000, last=19_999_999,
        taken=set(real.subject_id.tolist()),
    )  # fmt: skip
    others = draw_people(more, has_ehr=np.zeros(len(more), bool), has_cxr=np.ones(len(more), bool), seed=settings.seed)
    subjects, admissions = _both(real, stays, others, draw_admissions(others, seed=settings.seed))
    wanted = float(np.clip(LINKED_STUDIES / len(real.subject_id), settings.studies_per_linked_subject, MOST_STUDIES))
    settings = replace(settings, studies_per_linked_subject=wanted)
    studies = draw_studies(subjects, admissions, settings=settings)
    with new_folder(raw) as folder:
        quirks = write_xrays(folder, subjects, studies, settings=settings)
        write_truth(folder / "truth", subjects, admissions, studies, quirks)


def read_cohort(
    mimic_iv: Path, *, settings: SyntheticSettings, find: Find = find_published
) -> tuple[Subjects, Admissions]:
    """Read who is in a MIMIC-IV tree: the latent of its real subjects and their admissions.

    Args:
        mimic_iv: folder with hosp/*.csv.gz, packed or unpacked.
        settings: at most `num_linked_subjects` subjects, chosen by a seeded draw on their id; seed.
        find: finds the files.
    """
    paths = {table: _found(mimic_iv, table, find) for table in TABLES}
    with duckdb.connect() as connection:
        patients = _read(connection, paths, "patients")
        admissions = _read(connection, paths, "admissions").drop_nulls(["admittime", "dischtime"])
        patients = patients.filter(pl.col("subject_id").is_in(admissions["subject_id"].implode())).sort("subject_id")
        if patients.is_empty():
            raise ValueError(f"{mimic_iv / 'hosp'}: no admission of any patient has both admittime and dischtime")
        ids = patients["subject_id"].to_list()
        drawn = sorted(ids, key=lambda id_: generator(settings.seed, "companion subject", id_).random())
        chosen = drawn[: max(settings.num_linked_subjects, 1)]
        patients = patients.filter(pl.col("subject_id").is_in(chosen))
        admissions = admissions.filter(pl.col("subject_id").is_in(chosen)).sort("subject_id", "admittime", "hadm_id")
        codes = _read(connection, paths, "diagnoses_icd")
        labs = _lab_means(connection, paths, chosen)
    row_of = {id_: row for row, id_ in enumerate(patients["subject_id"])}
    owner = np.array([row_of[id_] for id_ in admissions["subject_id"]], dtype=np.int64)
    level = _levels(admissions["hadm_id"].to_list(), codes)
    carried = np.zeros((len(patients), len(CONDITIONS)))
    np.maximum.at(carried, owner, level)
    acute = np.divide(level, carried[owner], out=np.zeros_like(level), where=carried[owner] > 0)
    dod = np.array([patients["dod"][row] for row in owner.tolist()], dtype="datetime64[D]")
    discharge = admissions["dischtime"].to_numpy().astype("datetime64[s]")
    soon = ~np.isnat(dod) & (dod < discharge.astype("datetime64[D]") + 29)
    draws = [draw_subject(settings.seed, id_) for id_ in patients["subject_id"]]
    number = len(patients)
    subjects = Subjects(
        subject_id=patients["subject_id"].to_numpy(),
        signature=_signatures(patients, labs, np.array([draw[0] for draw in draws])),
        carried=carried,
        side=np.array([draw[2] for draw in draws], dtype=np.int8),
        female=(patients["gender"] == "F").to_numpy(),
        age=patients["anchor_age"].to_numpy(),
        anchor_year=patients["anchor_year"].to_numpy(),
        has_ehr=np.ones(number, bool),
        has_cxr=np.ones(number, bool),
    )
    return subjects, Admissions(
        hadm_id=admissions["hadm_id"].to_numpy(),
        subject=owner,
        admit=admissions["admittime"].to_numpy().astype("datetime64[s]"),
        discharge=np.maximum(discharge, admissions["admittime"].to_numpy().astype("datetime64[s]") + 3600),
        acute=acute,
        died=soon | (admissions["hospital_expire_flag"] == 1).to_numpy(),
    )


def _found(mimic_iv: Path, table: str, find: Find) -> Path:
    path = find(mimic_iv, f"hosp/{table}.csv.gz")
    if path is None:
        raise ValueError(
            f"{mimic_iv}/hosp/{table}.csv.gz does not exist: name the folder that holds hosp/ and icu/ of MIMIC-IV"
        )
    return path


def _read(connection: duckdb.DuckDBPyConnection, paths: Mapping[str, Path], table: str) -> pl.DataFrame:
    path = _checked(connection, paths[table], table)
    columns = ", ".join(f"cast({name} as {dtype}) as {name}" for name, dtype in TABLES[table].items())
    with _counting_misfits(connection, path, table):
        return pl.DataFrame(connection.sql(f"select {columns} from {CSV}", params=[str(path)]).to_arrow_table())


@contextmanager
def _counting_misfits(connection: duckdb.DuckDBPyConnection, path: Path, table: str) -> Iterator[None]:
    """Count values that cannot be cast in place of DuckDB's message, which holds one of them, a patient's."""
    try:
        yield
    except duckdb.ConversionException:
        counts = ", ".join(
            f"count(*) filter (where {name} is not null and try_cast({name} as {dtype}) is null)"
            for name, dtype in TABLES[table].items()
        )
        (found,) = connection.execute(f"select {counts} from {CSV}", [str(path)]).fetchall()
        misfits = [f"{count} of {name}" for name, count in zip(TABLES[table], found, strict=True) if count]
        raise ValueError(f"{path}: values that are not of their column's type: {', '.join(misfits)}") from None


def _checked(connection: duckdb.DuckDBPyConnection, path: Path, table: str) -> Path:
    found = [row[0] for row in connection.execute(f"describe select * from {CSV}", [str(path)]).fetchall()]
    missing = sorted(set(TABLES[table]) - set(found))
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(found)}): use MIMIC-IV 2.2 or newer"
        )
    return path


def _lab_means(
    connection: duckdb.DuckDBPyConnection, paths: Mapping[str, Path], chosen: list[int]
) -> dict[tuple[int, int], float]:
    """Mean by (subject, item); sums are decimal, so that they do not depend on the order of rows."""
    path = _checked(connection, paths["labevents"], "labevents")
    query = f"""
        with results as (
            select cast(subject_id as bigint) as subject, cast(itemid as bigint) as item,
                cast(valuenum as double) as number
            from {CSV}
        )
        select subject, item, sum(cast(number as decimal(18, 4))) / count(*)
        from results
        where list_contains($2, item) and list_contains($3, subject) and abs(number) < 1e9
        group by all
    """
    with _counting_misfits(connection, path, "labevents"):
        rows = connection.execute(query, [str(path), list(SIGNATURE_LABS.values()), chosen]).fetchall()
    return {(subject, item): float(mean) for subject, item, mean in rows}


def _levels(hadm_ids: list[int], codes: pl.DataFrame) -> np.ndarray:
    """Severity of each condition in each admission from its codes: more codes and earlier ones mean more.

    Returns:
        float64 (m, 10), 0 without a code, else 0.45..1.
    """
    row_of = {hadm_id: row for row, hadm_id in enumerate(hadm_ids)}
    number = np.zeros((len(hadm_ids), len(CONDITIONS)))
    first = np.full_like(number, 99)
    for hadm_id, seq_num, code, version in codes.drop_nulls("icd_code").iter_rows():
        if (row := row_of.get(hadm_id)) is None:
            continue
        for at, name in enumerate(CONDITIONS):
            if str(code).strip().startswith(PREFIXES[name].get(int(version), ("?",))):
                number[row, at] += 1
                first[row, at] = min(first[row, at], seq_num)
    level = 0.45 + 0.15 * (number - 1) + 0.25 * (first <= 3) + 0.1 * (first <= 8)
    return np.where(number > 0, np.clip(level, 0, 1), 0.0)


def _signatures(patients: pl.DataFrame, labs: dict[tuple[int, int], float], drawn: np.ndarray) -> np.ndarray:
    """Signature (n, 6): mostly the subject's place among all by age or laboratory mean, else what was drawn."""
    ids = patients["subject_id"].to_list()
    signature = drawn.copy()
    for at, name in enumerate(SIGNATURE):
        if name == "aorta":
            fact = patients["anchor_age"].cast(pl.Float64).to_numpy()
        else:
            fact = np.array([labs.get((id_, SIGNATURE_LABS[name]), np.nan) for id_ in ids])
        known = np.flatnonzero(~np.isnan(fact))
        order = known[np.lexsort((known, fact[known]))]
        for place, row in enumerate(order.tolist()):
            score = NormalDist().inv_cdf((place + 0.5) / len(order))
            signature[row, at] = np.clip(0.9 * score + 0.35 * drawn[row, at], -2, 2)
    return signature


def _both(real: Subjects, stays: Admissions, others: Subjects, episodes: Admissions) -> tuple[Subjects, Admissions]:
    """Put the real subjects before the others."""
    people = {name: np.concatenate([getattr(real, name), getattr(others, name)]) for name in vars(real)}
    episodes = replace(episodes, subject=episodes.subject + len(real.subject_id))
    visits = {name: np.concatenate([getattr(stays, name), getattr(episodes, name)]) for name in vars(stays)}
    return Subjects(**people), Admissions(**visits)
