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
