"""What the paper prints, for reference beside our own numbers. Shares are shares here, percentages in the paper.

The paper's numbers come from the whole of MIMIC-IV and MIMIC-CXR: on other data they are a mark on the wall, nothing to
be compared with.
"""

TABLE_1 = {
    "ehr_patients": 32_355,
    "ehr_records": 41_230,
    "cxr_patients": 14_620,
    "cxr_records": 156_837,
    "diagnosis_codes": 7_686,
    "drugs": 1_701,
}
"""Table 1: what pre-training stands on. The X-ray patients are those that have an EHR record too."""

TABLE_2 = {
    "precision_at_k": {1: 0.1206, 5: 0.0641, 10: 0.0445, 20: 0.0297, 50: 0.0164, 100: 0.0104},
    "recall_at_k": {1: 0.0874, 5: 0.2191, 10: 0.2951, 20: 0.3804, 50: 0.5049, 100: 0.6174},
}
"""Table 2, row MedCSP: text to image on MIMIC-CXR, by metric and k."""

TABLE_2_NUM_QUERIES = 1_202
TABLE_2_NUM_CANDIDATES = 2_200
"""About: the released list holds 1,202 reports; the images of those studies follow from the excluded studies' mean."""

TABLE_1_COHORTS = {"arf": (5_038, 402), "shock": (7_182, 693), "readmission": (11_695, 1_581)}
"""Table 1: examples and events of the prediction tasks, on the MetaVision stays of MIMIC-III. It has no mortality; the
readmission row has the size of FIDDLE's mortality cohort at 48 h."""

FIDDLE_STAYS = 23_620
"""ICU stays of MIMIC-III's MetaVision patients: what FIDDLE (Tang et al., JAMIA 2020) begins with."""
FIDDLE_ADULTS = 23_593
FIDDLE_COHORTS = {
    "arf": ((15_873, 2_900, 4), (14_174, 1_368, 12)),
    "shock": ((19_342, 2_890, 4), (17_588, 1_364, 12)),
    "mortality": ((8_577, 1_031, 48), (11_695, None, 48)),
}
"""Examples, events (None: not printed) and hours into the stay at which FIDDLE predicts; the first mortality cohort is
that of the mimic3-benchmarks, the second its own."""

_KS = (1, 5, 10, 20, 50, 100)
_RETRIEVAL = {
    "retrieval_mimic_cxr": {
        "clip": ((0.17, 0.18, 0.17, 0.13, 0.14, 0.12), (0.08, 0.67, 1.16, 1.75, 4.63, 7.79)),
        "medclip": ((0.08, 0.10, 0.08, 0.09, 0.08, 0.08), (0.04, 0.23, 0.44, 1.03, 2.07, 4.21)),
        "biomedclip": ((0.50, 0.53, 0.43, 0.39, 0.31, 0.26), (0.46, 2.29, 3.49, 5.89, 11.79, 18.73)),
        "pubmedclip": ((0.25, 0.13, 0.16, 0.15, 0.15, 0.12), (0.11, 0.39, 0.96, 1.71, 4.30, 7.42)),
        "cxr_clip": ((0.08, 0.10, 0.11, 0.09, 0.09, 0.08), (0.03, 0.24, 0.58, 0.96, 2.77, 4.61)),
        "llava_med": ((0.17, 0.13, 0.12, 0.12, 0.11, 0.10), (0.11, 0.44, 0.82, 1.66, 3.90, 7.00)),
        "medcsp": ((12.06, 6.41, 4.45, 2.97, 1.64, 1.04), (8.74, 21.91, 29.51, 38.04, 50.49, 61.74)),
    },
    "retrieval_open_i": {
        "clip": ((0.03, 0.05, 0.04, 0.04, 0.04, 0.04), (0.03, 0.13, 0.21, 0.45, 1.12, 2.08)),
        "medclip": ((0.18, 0.09, 0.10, 0.08, 0.07, 0.06), (0.09, 0.23, 0.51, 0.78, 1.79, 2.90)),
        "biomedclip": ((0.21, 0.10, 0.14, 0.11, 0.09, 0.08), (0.12, 0.26, 0.70, 1.10, 2.24, 3.95)),
        "pubmedclip": ((0.00, 0.03, 0.04, 0.04, 0.03, 0.03), (0.00, 0.06, 0.20, 0.41, 0.89, 1.62)),
        "cxr_clip": ((0.03, 0.04, 0.03, 0.02, 0.03, 0.02), (0.01, 0.09, 0.12, 0.21, 0.62, 1.12)),
        "llava_med": ((0.03, 0.03, 0.03, 0.03, 0.03, 0.03), (0.01, 0.05, 0.13, 0.30, 0.66, 1.43)),
        "medcsp": ((0.91, 0.63, 0.48, 0.37, 0.25, 0.19), (0.49, 1.74, 2.62, 4.09, 6.92, 10.25)),
    },
}
"""Tables 2 and 5, percent: P@K, then R@K, at K = 1, 5, 10, 20, 50, 100, by task and method."""

_ZERO_SHOT = {
    "zero_shot_covid19": {
        "clip": (26.01, 64.91, 37.14),
        "medclip": (17.80, 37.28, 24.10),
        "pubmedclip": (66.67, 0.11, 0.22),
        "biomedclip": (97.54, 21.93, 35.80),
        "cxr_clip": (30.49, 96.03, 47.43),
        "llava_med": (26.18, 100.00, 41.50),
        "medcsp": (71.98, 55.00, 62.36),
    },
    "zero_shot_chexpert": {
        "clip": (55.42, 42.20, 47.92),
        "medclip": (31.52, 26.61, 28.86),
        "pubmedclip": (36.61, 37.61, 37.10),
        "biomedclip": (68.42, 11.92, 20.31),
        "cxr_clip": (42.11, 44.04, 43.05),
        "llava_med": (46.58, 100.00, 63.56),
        "medcsp": (62.93, 66.97, 64.89),
    },
}
"""Tables 3 and 6, percent: precision, recall, F1, by task and method. CXR-CLIP's row of Table 3 contradicts itself: its
precision and recall give an F1 of 46.28. LLaVA-Med calls every image positive in both."""

TABLE_4_TASK = "retrieval_mimic_cxr"
_VARIANT_RECALL_AT_100 = 0.1619
"""Appendix C: R@100 of the variant with a language model, text to image on MIMIC-CXR, beside LLaVA-Med's of Table 2."""

FIGURE_7_LOSSES = {"single_source": 0.1536, "a_p": 0.1156}
"""Figure 7: how far F1 of Table 3's task falls below the whole recipe's, where the text says so."""

_SAME_ROW = {"medcsp_released": "medcsp", "llava_med_v1": "llava_med"}
"""The released weights are those of the paper's own row; the paper ran LLaVA-Med 1.0."""


def printed(task: str) -> list[tuple[str, str, int, float]]:
    """Return every cell of Tables 2, 3, 5 and 6: method, metric, k (0: none) and the printed share."""
    metrics = [(metric, k) for metric in ("precision_at_k", "recall_at_k") for k in _KS]
    metrics += [(metric, 0) for metric in ("precision", "recall", "f1")]
    methods = {**_RETRIEVAL.get(task, {}), **_ZERO_SHOT.get(task, {})}
    cells = [(method, metric, k, paper_value(task, method, metric, k)) for method in methods for metric, k in metrics]
    return [(method, metric, k, value) for method, metric, k, value in cells if value is not None]


def printed_in_table_4() -> dict[str, dict[tuple[str, int], float]]:
    """Return what is on record of Table 4, shares by method and (metric, k).

    Its caption is not on record. It stands between Tables 3 and 5, and what Appendix C says of the variant with a
    language model stands in no other table. Of the variant R@100 alone is known; LLaVA-Med's row is that of Table 2,
    with the same R@100.
    """
    rival = {(metric, k): value for method, metric, k, value in printed(TABLE_4_TASK) if method == "llava_med"}
    return {"medcsp_llm": {("recall_at_k", 100): _VARIANT_RECALL_AT_100}, "llava_med": rival}


def paper_value(task: str, method: str, metric: str, k: int) -> float | None:
    """Return what Tables 2, 3, 5 and 6 print, as a share; None where they print nothing."""
    row = _SAME_ROW.get(method, method)
    retrieval, zero_shot = _RETRIEVAL.get(task, {}).get(row), _ZERO_SHOT.get(task, {}).get(row)
    if retrieval is not None and k in _KS and metric in ("precision_at_k", "recall_at_k"):
        return round(retrieval[metric == "recall_at_k"][_KS.index(k)] / 100, 6)
    if zero_shot is not None and metric in ("precision", "recall", "f1"):
        return round(zero_shot[("precision", "recall", "f1").index(metric)] / 100, 6)
    return None
