"""What the model is pre-trained on: sources and their modalities, as the profile declares them.

Not here: how a modality becomes arrays (`corpus_modalities`), and who pre-trains (`sql/links/cohort_split.sql`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

Records = Literal["ehr_records", "cxr_records"]


@dataclass(frozen=True, kw_only=True)
class PretrainSource:
    """One source of records that the model is pre-trained on.

    Attributes:
        name: of its records in cohorts, links and corpora: `ehr`, or what a release calls its films.
        records: table of its records: admissions, or films of any release.
        modalities: what a record may hold, by the names of `corpus_modalities.MODALITIES`.
        patients: `shared` with the other shared sources: records of a patient are linked across them, and of films
            those of patients with admissions pre-train. `own`: nobody else's, so without links and histories, and all
            of them pre-train.
    """

    name: str
    records: Records
    modalities: tuple[str, ...]
    patients: Literal["shared", "own"] = "own"

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError(f"source {self.name} of the profile has no modalities: name at least one")


def linked_pairs(sources: Sequence[PretrainSource]) -> list[tuple[str, str]]:
    """Return the pairs of sources whose records may be of one patient, in the order they are declared."""
    return list(combinations([source.name for source in sources if source.patients == "shared"], 2))


def check_sources(sources: Sequence[PretrainSource], *, modalities: Collection[str]) -> None:
    """Refuse a declaration that cannot be meant.

    Raises:
        ValueError: there is none, two have one name, or one has a modality that is not among the known ones.
    """
    names = [source.name for source in sources]
    if not names:
        raise ValueError("the profile declares no source to pre-train on: name at least one in `sources`")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the profile declares {', '.join(twice)} more than once: sources have names of their own")
    for source in sources:
        if unknown := sorted(set(source.modalities) - set(modalities)):
            raise ValueError(
                f"source {source.name} of the profile has no modality {unknown[0]!r}; known: {', '.join(modalities)}"
            )


ADMISSIONS = PretrainSource(
    name="ehr",
    records="ehr_records",
    modalities=("diagnosis", "drug", "demographics", "series", "note"),
    patients="shared",
)
"""Admissions with an ICU stay, of MIMIC-IV."""


def films(name: str, *, patients: Literal["shared", "own"] = "own") -> PretrainSource:
    """Return the films of a release, each with the report of its study."""
    return PretrainSource(name=name, records="cxr_records", modalities=("image", "report"), patients=patients)


CHEST_XRAYS = films("cxr", patients="shared")
"""Films of MIMIC-CXR, whose patients are MIMIC-IV's."""
