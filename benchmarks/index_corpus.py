"""Records and links without any content, for what depends on indices alone: batch plans at the paper's counts."""

import numpy as np

from medcsp_model.batches import PlanInputs

PAPER = {"num_ehr": 41_230, "ehr_patients": 32_355, "num_cxr": 156_837, "cxr_patients": 14_620}


def index_corpus(
    *, num_ehr: int, ehr_patients: int, num_cxr: int, cxr_patients: int, linked_share: float, seed: int = 0
) -> PlanInputs:
    """Records and links alone, with the skew of real counts: some patients have very many images."""
    rng = np.random.default_rng(seed)
    extra = rng.integers(0, ehr_patients, size=num_ehr - ehr_patients)
    ehr_subject = np.sort(np.concatenate([np.arange(ehr_patients), extra]))
    weight = rng.lognormal(sigma=1.0, size=cxr_patients)
    more = rng.choice(cxr_patients, size=num_cxr - cxr_patients, p=weight / weight.sum())
    cxr_subject = np.sort(np.concatenate([np.arange(cxr_patients), more]))
    first = np.searchsorted(ehr_subject, cxr_subject)
    count = np.searchsorted(ehr_subject, cxr_subject, side="right") - first
    linked = np.flatnonzero(rng.random(num_cxr) < linked_share)
    partner = first[linked] + (rng.random(len(linked)) * count[linked]).astype(np.int64)
    second = linked[count[linked] > 1][::4]
    other = first[second] + count[second] - 1
    pairs = np.unique(np.stack([np.r_[partner, other], np.r_[linked, second]], axis=1), axis=0)
    return PlanInputs(
        records={"ehr": np.arange(num_ehr), "cxr": np.arange(num_cxr)},
        subject={"ehr": ehr_subject, "cxr": cxr_subject},
        links={("ehr", "cxr"): (pairs[:, 0], pairs[:, 1])},
    )
