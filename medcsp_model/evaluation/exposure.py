"""What every model has seen of every evaluation set in its training, as far as its authors say.

Sources: the papers and model cards of `medcsp_model.baselines.radiology.registry`. What nobody lists may still be
there: figures of PubMed Central hold chest X-rays of Open-I and of COVID-19 patients, and the web holds anything.

Ours is not written down but counted: what of a set stands in pre-training (`sql/checks/exposure__ours_apart.sql`). What
its towers started from had a training of its own, and counts as if it were ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Level = Literal["none_known", "possible", "same_release", "trained_on"]
WORSE = get_args(Level)
"""The levels, each worse than the one before."""


@dataclass(frozen=True)
class Seen:
    """What a model has seen of a set.

    Attributes:
        level: trained on films of the set, on others of its release, on what may hold some, or nothing known.
        what: in words.
        counted: which films that is, where it can be counted: `official_train`, or nobody (empty).
    """

    level: Level
    what: str
    counted: str = ""


_NOTHING = Seen("none_known", "no chest X-ray set is listed by its authors")
_WEB = Seen("possible", "400 million pictures of the web, not listed; open sets may be among them")
_WEB_CLOSED = Seen("none_known", "pictures of the web; the set is behind an agreement")
_FIGURES = Seen("possible", "figures of PubMed Central, which may show films of the set")
_FIGURES_CLOSED = Seen("none_known", "figures of PubMed Central; the set is behind an agreement")
_MIMIC = Seen(
    "trained_on", "the official train part of MIMIC-CXR, where most of the searched studies stand", "official_train"
)
_CHEXPERT = Seen("same_release", "the train part of CheXpert; this is the validation part, of other patients")
_RSNA = Seen("possible", "NIH ChestX-ray14, of which RSNA's films are a part, which are most of the set's Normal class")
_OWN = Seen("possible", "a folder of the user's own: its model card says what it was trained on")

SEEN: dict[str, dict[str, Seen]] = {
    "medcsp_released": {
        "mimic_cxr": Seen(
            "same_release",
            "156,837 images of 14,620 patients with an ICU stay; the searched patients have none",
        ),
        "open_i": _FIGURES,
        "covid19": _FIGURES,
        "chexpert": _FIGURES_CLOSED,
    },
    "clip": {"mimic_cxr": _WEB_CLOSED, "open_i": _WEB, "covid19": _WEB, "chexpert": _WEB_CLOSED},
    "pubmedclip": {"mimic_cxr": _FIGURES_CLOSED, "open_i": _FIGURES, "covid19": _FIGURES, "chexpert": _FIGURES_CLOSED},
    "biomedclip": {"mimic_cxr": _FIGURES_CLOSED, "open_i": _FIGURES, "covid19": _FIGURES, "chexpert": _FIGURES_CLOSED},
    "medclip": {"mimic_cxr": _MIMIC, "chexpert": _CHEXPERT},
    "cxr_clip": {"mimic_cxr": _MIMIC, "covid19": _RSNA, "chexpert": _CHEXPERT},
    "llava_med": {"mimic_cxr": _FIGURES_CLOSED, "open_i": _FIGURES, "covid19": _FIGURES, "chexpert": _FIGURES_CLOSED},
    "llava_med_v1": {
        "mimic_cxr": _FIGURES_CLOSED,
        "open_i": _FIGURES,
        "covid19": _FIGURES,
        "chexpert": _FIGURES_CLOSED,
    },
}
"""By model and evaluation set; a set that is left out: nothing is listed."""

_OURS = Seen("none_known", "what cohort_split marks pretrain: nobody of an evaluation set", "pretrain")
_SMALL = Seen("none_known", "trained here on the pre-training corpus: nobody of an evaluation set", "pretrain")


def seen_by(method: str, dataset: str, *, towers: str = "") -> Seen:
    """What a model has seen of a set; small models have seen nothing of any, of others the user must know.

    Args:
        method: the model.
        dataset: the evaluation set.
        towers: model whose weights the towers of ours, and of its variant with a language model, started from; empty
            where they started at random, as those of small models always do.
    """
    if method.endswith("_small"):
        return _SMALL
    if method.startswith("medcsp") and method != "medcsp_released":
        return _begun_from(towers, dataset) if towers else _OURS
    return SEEN[method].get(dataset, _NOTHING) if method in SEEN else _OWN


def _begun_from(towers: str, dataset: str) -> Seen:
    """What ours has seen, the worse of its own training and that of its towers."""
    before = seen_by(towers, dataset)
    worse = max((_OURS, before), key=lambda seen: WORSE.index(seen.level))
    what = f"{_OURS.what}; before that, its towers were {towers}'s: {before.what}"
    return Seen(worse.level, what, worse.counted or _OURS.counted)


def exposure_rows(dataset: str, methods: Sequence[str], *, towers: str = "") -> list[dict[str, Any]]:
    """Rows of method, dataset, exposure, is_contaminated, seen, counted; of those asked for and all known models.

    Args:
        dataset: the evaluation set.
        methods: models asked for.
        towers: as in `seen_by`.
    """
    names = dict.fromkeys([*methods, "medcsp", *SEEN])
    rows = []
    for method in names:
        found = seen_by(method, dataset, towers=towers)
        rows.append(
            {
                "method": method,
                "dataset": dataset,
                "exposure": found.level,
                "is_contaminated": found.level == "trained_on",
                "seen": found.what,
                "counted": found.counted,
            }
        )
    return rows
