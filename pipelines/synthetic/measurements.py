"""What is charted and measured: each item in health, and what a condition does to it. Facts only, nothing random."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """One charted item or lab: where it lies in health, and what moves it.

    Attributes:
        itemid: MIMIC-IV item.
        label: name in d_items or d_labitems.
        unit: valueuom, or None.
        middle: value of a healthy subject.
        spread: standard deviation between readings of one subject.
        low: smallest value written.
        high: largest value written.
        decimals: decimals written.
        effects: condition or signature part -> change at severity 1 (or per standard deviation).
        category: d_items or d_labitems category.
        normal: reference range of a lab.
    """

    itemid: int
    label: str
    unit: str | None
    middle: float
    spread: float
    low: float
    high: float
    decimals: int
    effects: dict[str, float]
    category: str
    normal: tuple[float, float] | None = None


VITALS = (
    Reading(
        220045,
        "Heart Rate",
        "bpm",
        78,
        4,
        35,
        190,
        0,
        {"sepsis": 30, "heart_failure": 14, "pneumonia": 10, "malignancy": 8, "soft_tissue": 3},
        "Routine Vital Signs",
    ),
    Reading(
        220179,
        "Non Invasive Blood Pressure systolic",
        "mmHg",
        122,
        6,
        60,
        230,
        0,
        {"heart_width": 13, "sepsis": -30, "kidney_disease": 12, "stroke": 18},
        "Routine Vital Signs",
    ),
    Reading(
        220180,
        "Non Invasive Blood Pressure diastolic",
        "mmHg",
        66,
        5,
        30,
        130,
        0,
        {"heart_width": 5, "aorta": -6, "sepsis": -14},
        "Routine Vital Signs",
    ),
    Reading(
        220210,
        "Respiratory Rate",
        "insp/min",
        18,
        2,
        6,
        50,
        0,
        {"lung_volume": -2.5, "pneumonia": 8, "heart_failure": 6, "copd": 4, "sepsis": 4},
        "Respiratory",
    ),
    Reading(
        220277,
        "O2 saturation pulseoxymetry",
        "%",
        97,
        1,
        70,
        100,
        0,
        {"pneumonia": -5, "copd": -4, "heart_failure": -3, "lung_volume": 0.8},
        "Respiratory",
    ),
)
SLOW_VITALS = (
    Reading(
        223761,
        "Temperature Fahrenheit",
        "°F",
        98.4,
        0.3,
        93,
        106,
        1,
        {"pneumonia": 1.6, "sepsis": 2.0},
        "Routine Vital Signs",
    ),
    Reading(
        225664,
        "Glucose finger stick (range 70-100)",
        None,
        118,
        14,
        40,
        600,
        0,
        {"diabetes": 110, "soft_tissue": 8, "sepsis": 20},
        "Labs",
    ),
)
LABS = (
    Reading(
        50912,
        "Creatinine",
        "mg/dL",
        0.9,
        0.07,
        0.2,
        14,
        1,
        {"kidney_disease": 3.6, "sepsis": 0.8, "soft_tissue": 0.08},
        "Chemistry",
        (0.5, 1.1),
    ),
    Reading(
        51006,
        "Urea Nitrogen",
        "mg/dL",
        16,
        1.5,
        3,
        180,
        0,
        {"kidney_disease": 42, "heart_failure": 12, "cirrhosis": 6},
        "Chemistry",
        (6, 20),
    ),
    Reading(
        50971,
        "Potassium",
        "mEq/L",
        4.0,
        0.15,
        2.2,
        8,
        1,
        {"kidney_disease": 0.9, "heart_width": 0.15},
        "Chemistry",
        (3.3, 5.1),
    ),
    Reading(
        50983,
        "Sodium",
        "mEq/L",
        139,
        1,
        110,
        165,
        0,
        {"lung_volume": -2.5, "cirrhosis": -7, "heart_failure": -4},
        "Chemistry",
        (133, 145),
    ),
    Reading(
        50902,
        "Chloride",
        "mEq/L",
        103,
        1,
        75,
        130,
        0,
        {"lung_volume": -2, "copd": -6, "cirrhosis": -5},
        "Chemistry",
        (96, 108),
    ),
    Reading(
        50882,
        "Bicarbonate",
        "mEq/L",
        25,
        0.8,
        6,
        48,
        0,
        {"copd": 8, "kidney_disease": -6, "sepsis": -6, "aorta": 1.2},
        "Chemistry",
        (22, 32),
    ),
    Reading(
        50931, "Glucose", "mg/dL", 112, 10, 35, 800, 0, {"diabetes": 120, "soft_tissue": 8}, "Chemistry", (70, 100)
    ),
    Reading(
        50893,
        "Calcium, Total",
        "mg/dL",
        8.9,
        0.12,
        5,
        15,
        1,
        {"spine_curve": 0.45, "malignancy": 1.2, "kidney_disease": -0.6},
        "Chemistry",
        (8.4, 10.3),
    ),
    Reading(
        50970,
        "Phosphate",
        "mg/dL",
        3.5,
        0.15,
        0.8,
        11,
        1,
        {"spine_curve": -0.45, "kidney_disease": 2.4},
        "Chemistry",
        (2.7, 4.5),
    ),
    Reading(
        50863,
        "Alkaline Phosphatase",
        "IU/L",
        84,
        5,
        20,
        900,
        0,
        {"spine_curve": 16, "malignancy": 90, "cirrhosis": 40},
        "Chemistry",
        (35, 105),
    ),
    Reading(
        51222,
        "Hemoglobin",
        "g/dL",
        11.6,
        0.3,
        4,
        19,
        1,
        {"right_diaphragm": 1.3, "malignancy": -2.4, "kidney_disease": -1.6},
        "Hematology",
        (12, 16),
    ),
    Reading(
        51221,
        "Hematocrit",
        "%",
        35,
        0.8,
        12,
        57,
        1,
        {"right_diaphragm": 3.9, "malignancy": -7, "kidney_disease": -5},
        "Hematology",
        (36, 48),
    ),
    Reading(
        51265,
        "Platelet Count",
        "K/uL",
        235,
        12,
        8,
        900,
        0,
        {"right_diaphragm": -45, "cirrhosis": -150, "malignancy": 60},
        "Hematology",
        (150, 440),
    ),
    Reading(
        51301,
        "White Blood Cells",
        "K/uL",
        8.0,
        0.6,
        0.3,
        60,
        1,
        {"pneumonia": 7, "sepsis": 9, "aorta": -0.7},
        "Hematology",
        (4, 11),
    ),
    Reading(
        50813, "Lactate", "mmol/L", 1.4, 0.2, 0.4, 18, 1, {"sepsis": 4.2, "cirrhosis": 1.2}, "Blood Gas", (0.5, 2.0)
    ),
    Reading(50818, "pCO2", "mm Hg", 39, 2, 18, 110, 0, {"copd": 24, "lung_volume": -1.5}, "Blood Gas", (35, 45)),
    Reading(
        50885,
        "Bilirubin, Total",
        "mg/dL",
        0.7,
        0.08,
        0.1,
        40,
        1,
        {"cirrhosis": 6.5, "sepsis": 0.8},
        "Chemistry",
        (0.0, 1.5),
    ),
    Reading(
        50862,
        "Albumin",
        "g/dL",
        3.7,
        0.12,
        1.2,
        5.5,
        1,
        {"cirrhosis": -1.3, "malignancy": -0.7, "aorta": -0.25, "soft_tissue": 0.2},
        "Chemistry",
        (3.5, 5.2),
    ),
    Reading(
        51237, "INR(PT)", None, 1.1, 0.06, 0.8, 9, 1, {"cirrhosis": 1.5, "heart_surgery": 0.8}, "Hematology", (0.9, 1.1)
    ),
    Reading(
        50963,
        "NTproBNP",
        "pg/mL",
        260,
        60,
        5,
        35000,
        0,
        {"heart_failure": 9000, "heart_width": 120, "kidney_disease": 1500},
        "Chemistry",
        (0, 738),
    ),
    Reading(
        51003,
        "Troponin T",
        "ng/mL",
        0.03,
        0.01,
        0.01,
        20,
        2,
        {"heart_surgery": 0.9, "heart_failure": 0.15},
        "Chemistry",
        (0, 0.01),
    ),
)
# In MIMIC-IV alone. Release 3.0 gave some results other items by mistake, and 3.1 took that back.
NEWER_LABS = (
    Reading(
        53132, "Absolute Lymphocyte Count", "K/uL", 1.7, 0.15, 0.1, 9, 2, {"sepsis": -0.7, "malignancy": -0.4},
        "Chemistry", (1.2, 3.7),
    ),
)  # fmt: skip
# What rises when the kidneys fail, and by which share of itself within half a day.
INJURED = {50912: 1.0, 51006: 0.6}
ITEMS_OF_3_0 = {53132: 53152}

# item id -> label, abbreviation, linksto, category, unit, type of the items that are not plain readings
OTHER_ITEMS = (
    (220048, "Heart Rhythm", "Heart Rhythm", "chartevents", "Routine Vital Signs", None, "Text"),
    (220339, "PEEP set", "PEEP set", "chartevents", "Respiratory", "cmH2O", "Numeric"),
    (220739, "GCS - Eye Opening", "Eye Opening", "chartevents", "Neurological", None, "Text"),
    (221289, "Epinephrine", "Epinephrine", "inputevents", "Medications", "mg", "Solution"),
    (221662, "Dopamine", "Dopamine", "inputevents", "Medications", "mg", "Solution"),
    (221749, "Phenylephrine", "Phenylephrine", "inputevents", "Medications", "mg", "Solution"),
    (221906, "Norepinephrine", "Norepinephrine", "inputevents", "Medications", "mg", "Solution"),
    (222315, "Vasopressin", "Vasopressin", "inputevents", "Medications", "units", "Solution"),
    (223762, "Temperature Celsius", "Temperature C", "chartevents", "Routine Vital Signs", "°C", "Numeric"),
    (223835, "Inspired O2 Fraction", "FiO2", "chartevents", "Respiratory", None, "Numeric"),
    (223900, "GCS - Verbal Response", "Verbal Response", "chartevents", "Neurological", None, "Text"),
    (223901, "GCS - Motor Response", "Motor Response", "chartevents", "Neurological", None, "Text"),
    (225792, "Invasive Ventilation", "Invasive Ventilation", "procedureevents", "2-Ventilation", None, "Processes"),
    (
        225794,
        "Non-invasive Ventilation",
        "Non-invasive Ventilation",
        "procedureevents",
        "2-Ventilation",
        None,
        "Processes",
    ),
    (226512, "Admission Weight (Kg)", "Admission Weight (Kg)", "chartevents", "General", "kg", "Numeric"),
    (226531, "Admission Weight (lbs.)", "Admission Weight (lbs.)", "chartevents", "General", None, "Numeric"),
    (226730, "Height (cm)", "Height (cm)", "chartevents", "General", "cm", "Numeric"),
)
