"""What the ten conditions look like in a hospital record: codes, drugs, readings. Facts only, nothing random.

Not here: how they look on a film (`radiograph`, `report_text`) and in a note (`note_text`).
"""

from dataclasses import dataclass

CONDITIONS = (
    "heart_failure",
    "pneumonia",
    "copd",
    "malignancy",
    "heart_surgery",
    "sepsis",
    "kidney_disease",
    "diabetes",
    "stroke",
    "cirrhosis",
)
# Share of subjects who carry the condition, and how much of it is there all the time (the rest comes with admissions).
PREVALENCE = (0.34, 0.30, 0.26, 0.20, 0.22, 0.22, 0.26, 0.28, 0.16, 0.18)
CHRONIC_SHARE = (0.6, 0.0, 0.7, 0.7, 0.3, 0.0, 0.7, 0.8, 0.4, 0.7)

# The signature: what makes a patient this patient, rendered in every source in words and numbers of its own.
SIGNATURE = ("heart_width", "lung_volume", "aorta", "spine_curve", "soft_tissue", "right_diaphragm")

# condition -> ICD version -> codes from mild to severe; the code at each place appears from that severity on.
CODES: dict[str, dict[int, tuple[tuple[str, float], ...]]] = {
    "heart_failure": {
        9: (("4280", 0.1), ("42833", 0.4), ("42823", 0.7)),
        10: (("I509", 0.1), ("I5033", 0.4), ("I5023", 0.7)),
    },
    "pneumonia": {
        9: (("486", 0.15), ("5070", 0.5), ("4829", 0.75)),
        10: (("J189", 0.15), ("J690", 0.5), ("J159", 0.75)),
    },
    "copd": {9: (("496", 0.1), ("49121", 0.5)), 10: (("J449", 0.1), ("J441", 0.5))},
    "malignancy": {
        9: (("1629", 0.1), ("1970", 0.45), ("1985", 0.7)),
        10: (("C3490", 0.1), ("C7801", 0.45), ("C7951", 0.7)),
    },
    "heart_surgery": {
        9: (("V4581", 0.1), ("41401", 0.2), ("9971", 0.6)),
        10: (("Z951", 0.1), ("I2510", 0.2), ("I97190", 0.6)),
    },
    "sepsis": {
        9: (("0389", 0.15), ("99592", 0.4), ("78552", 0.65)),
        10: (("A419", 0.15), ("R6520", 0.4), ("R6521", 0.65)),
    },
    "kidney_disease": {
        9: (("5859", 0.1), ("5849", 0.4), ("5856", 0.7)),
        10: (("N189", 0.1), ("N179", 0.4), ("N186", 0.7)),
    },
    "diabetes": {
        9: (("25000", 0.1), ("25060", 0.45), ("25002", 0.7)),
        10: (("E119", 0.1), ("E1140", 0.45), ("E1165", 0.7)),
    },
    "stroke": {
        9: (("43491", 0.15), ("43411", 0.45), ("34290", 0.6)),
        10: (("I639", 0.15), ("I6340", 0.45), ("G8190", 0.6)),
    },
    "cirrhosis": {
        9: (("5712", 0.1), ("5723", 0.4), ("5722", 0.7)),
        10: (("K7460", 0.1), ("K766", 0.4), ("K7290", 0.7)),
    },
}
COMMON_CODES = {
    9: ("4019", "2724", "53081", "2859", "311", "2449", "V1582", "5990", "2768", "78791"),
    10: ("I10", "E785", "K219", "D649", "F329", "E039", "Z87891", "N390", "E876", "R197"),
}
CODE_TITLES = {
    ("4280", 9): "Congestive heart failure, unspecified",
    ("42833", 9): "Acute on chronic diastolic heart failure",
    ("42823", 9): "Acute on chronic systolic heart failure",
    ("486", 9): "Pneumonia, organism unspecified",
    ("5070", 9): "Pneumonitis due to inhalation of food or vomitus",
    ("4829", 9): "Bacterial pneumonia, unspecified",
    ("496", 9): "Chronic airway obstruction, not elsewhere classified",
    ("49121", 9): "Obstructive chronic bronchitis with (acute) exacerbation",
    ("1629", 9): "Malignant neoplasm of bronchus and lung, unspecified",
    ("1970", 9): "Secondary malignant neoplasm of lung",
    ("1985", 9): "Secondary malignant neoplasm of bone and bone marrow",
    ("V4581", 9): "Aortocoronary bypass status",
    ("41401", 9): "Coronary atherosclerosis of native coronary artery",
    ("9971", 9): "Cardiac complications, not elsewhere classified",
    ("0389", 9): "Unspecified septicemia",
    ("99592", 9): "Severe sepsis",
    ("78552", 9): "Septic shock",
    ("5859", 9): "Chronic kidney disease, unspecified",
    ("5849", 9): "Acute kidney failure, unspecified",
    ("5856", 9): "End stage renal disease",
    ("25000", 9): "Diabetes mellitus without mention of complication, type II or unspecified type",
    ("25060", 9): "Diabetes with neurological manifestations, type II or unspecified type",
    ("25002", 9): "Diabetes mellitus without mention of complication, type II, uncontrolled",
    ("43491", 9): "Cerebral artery occlusion, unspecified with cerebral infarction",
    ("43411", 9): "Cerebral embolism with cerebral infarction",
    ("34290", 9): "Hemiplegia, unspecified, affecting unspecified side",
    ("5712", 9): "Alcoholic cirrhosis of liver",
    ("5723", 9): "Portal hypertension",
    ("5722", 9): "Hepatic encephalopathy",
    ("4019", 9): "Unspecified essential hypertension",
    ("2724", 9): "Other and unspecified hyperlipidemia",
    ("53081", 9): "Esophageal reflux",
    ("2859", 9): "Anemia, unspecified",
    ("311", 9): "Depressive disorder, not elsewhere classified",
    ("2449", 9): "Unspecified acquired hypothyroidism",
    ("V1582", 9): "Personal history of tobacco use",
    ("5990", 9): "Urinary tract infection, site not specified",
    ("2768", 9): "Hypopotassemia",
    ("78791", 9): "Diarrhea",
    ("51881", 9): "Acute respiratory failure",
    ("I509", 10): "Heart failure, unspecified",
    ("I5033", 10): "Acute on chronic diastolic (congestive) heart failure",
    ("I5023", 10): "Acute on chronic systolic (congestive) heart failure",
    ("J189", 10): "Pneumonia, unspecified organism",
    ("J690", 10): "Pneumonitis due to inhalation of food and vomit",
    ("J159", 10): "Unspecified bacterial pneumonia",
    ("J449", 10): "Chronic obstructive pulmonary disease, unspecified",
    ("J441", 10): "Chronic obstructive pulmonary disease with (acute) exacerbation",
    ("C3490", 10): "Malignant neoplasm of unspecified part of unspecified bronchus or lung",
    ("C7801", 10): "Secondary malignant neoplasm of right lung",
    ("C7951", 10): "Secondary malignant neoplasm of bone",
    ("Z951", 10): "Presence of aortocoronary bypass graft",
    ("I2510", 10): "Atherosclerotic heart disease of native coronary artery without angina pectoris",
    ("I97190", 10): "Other postprocedural cardiac functional disturbances following cardiac surgery",
    ("A419", 10): "Sepsis, unspecified organism",
    ("R6520", 10): "Severe sepsis without septic shock",
    ("R6521", 10): "Severe sepsis with septic shock",
    ("N189", 10): "Chronic kidney disease, unspecified",
    ("N179", 10): "Acute kidney failure, unspecified",
    ("N186", 10): "End stage renal disease",
    ("E119", 10): "Type 2 diabetes mellitus without complications",
    ("E1140", 10): "Type 2 diabetes mellitus with diabetic neuropathy, unspecified",
    ("E1165", 10): "Type 2 diabetes mellitus with hyperglycemia",
    ("I639", 10): "Cerebral infarction, unspecified",
    ("I6340", 10): "Cerebral infarction due to embolism of unspecified cerebral artery",
    ("G8190", 10): "Hemiplegia, unspecified affecting unspecified side",
    ("K7460", 10): "Unspecified cirrhosis of liver",
    ("K766", 10): "Portal hypertension",
    ("K7290", 10): "Hepatic failure, unspecified without coma",
    ("I10", 10): "Essential (primary) hypertension",
    ("E785", 10): "Hyperlipidemia, unspecified",
    ("K219", 10): "Gastro-esophageal reflux disease without esophagitis",
    ("D649", 10): "Anemia, unspecified",
    ("F329", 10): "Major depressive disorder, single episode, unspecified",
    ("E039", 10): "Hypothyroidism, unspecified",
    ("Z87891", 10): "Personal history of nicotine dependence",
    ("N390", 10): "Urinary tract infection, site not specified",
    ("E876", 10): "Hypokalemia",
    ("R197", 10): "Diarrhea, unspecified",
    ("J9601", 10): "Acute respiratory failure with hypoxia",
}

# condition -> (drug as the pharmacy writes it, strength, route, severity from which it is given)
DRUGS: dict[str, tuple[tuple[str, str, str, float], ...]] = {
    "heart_failure": (
        ("Furosemide", "40mg/4mL VIAL", "IV", 0.1),
        ("Metoprolol Tartrate", "25mg Tablet", "PO/NG", 0.2),
        ("Lisinopril", "5mg Tab", "PO", 0.1),
        ("Torsemide", "20 mg Tablet", "PO", 0.6),
    ),
    "pneumonia": (
        ("CeftriaXONE", "1g Frozen Bag", "IV", 0.15),
        ("Azithromycin", "250mg Tab", "PO/NG", 0.15),
        ("Levofloxacin", "750mg Tab", "PO", 0.5),
    ),
    "copd": (
        ("Albuterol 0.083% Neb Soln", "2.5mg/3mL Vial", "IH", 0.1),
        ("Ipratropium Bromide Neb", "2.5mL Vial", "NEB", 0.2),
        ("PredniSONE", "20 mg Tablet", "PO", 0.5),
        ("Tiotropium Bromide", "1 Cap", "IH", 0.1),
    ),
    "malignancy": (
        ("Ondansetron", "4mg/2mL VIAL", "IV", 0.1),
        ("Dexamethasone", "4mg Tab", "PO/NG", 0.4),
        ("Morphine Sulfate", "4mg/1mL SYR", "IV", 0.6),
    ),
    "heart_surgery": (
        ("Aspirin", "81mg Tab", "PO", 0.1),
        ("Atorvastatin", "80mg Tablet", "PO", 0.2),
        ("Amiodarone", "200mg Tab", "PO", 0.6),
    ),
    "sepsis": (
        ("Vancomycin", "1g Frozen Bag", "IV", 0.15),
        ("Piperacillin-Tazobactam", "4.5g Frozen Bag", "IV", 0.3),
        ("NORepinephrine", "8mg/250mL PREMIX", "IV DRIP", 0.6),
    ),
    "kidney_disease": (
        ("Sevelamer CARBONATE", "800mg Tab", "PO", 0.5),
        ("Sodium Bicarbonate", "650mg Tab", "PO/NG", 0.2),
        ("Calcium Acetate", "667mg Cap", "PO", 0.6),
    ),
    "diabetes": (
        ("Insulin", "Dummy Package for Sliding Scale", "SC", 0.1),
        ("Glargine", "100Units/mL-10mLVial", "SC", 0.45),
        ("MetFORMIN (Glucophage)", "500mg Tablet", "PO", 0.1),
    ),
    "stroke": (
        ("Clopidogrel", "75 mg Tab", "PO/NG", 0.15),
        ("LevETIRAcetam", "500 mg Tablet", "PO/NG", 0.5),
    ),
    "cirrhosis": (
        ("Lactulose", "30mL UDCup", "PO/NG", 0.3),
        ("Rifaximin", "550 mg Tablet", "PO/NG", 0.5),
        ("Nadolol", "20mg Tablet", "PO", 0.1),
    ),
}
COMMON_DRUGS = (
    ("Acetaminophen", "325mg Tablet", "PO/NG"),
    ("Heparin", "5000 Units / mL- 1mL Vial", "SC"),
    ("Docusate Sodium", "100mg Capsule", "PO"),
    ("Pantoprazole", "40mg Tablet", "PO"),
    ("Potassium Chloride", "20mEq Packet", "PO"),
    ("Senna", "1 Tablet", "PO"),
)


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
