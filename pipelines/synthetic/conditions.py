"""The ten conditions: how common they are, their codes and their drugs. Facts only, nothing random.

Not here: what they do to readings (`measurements`), and how they look on a film (`radiograph`, `report_text`) and in a
note (`note_text`).
"""

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
