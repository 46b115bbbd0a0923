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
