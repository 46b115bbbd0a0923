"""What MIMIC-III's items are called and which CareVue item says what a MetaVision item says. Facts only.

Source: D_ITEMS and D_LABITEMS of the MIMIC-III demo 1.4 and of mimic-code. Not here: values (`mimic_iii_carevue`).
"""

# MIMIC-IV / MetaVision item -> CareVue item and unit, for numbers that are charted as they are.
NUMBERS = {
    220045: (211, "BPM"),
    220179: (455, "mmHg"),
    220180: (8441, "mmHg"),
    220210: (618, "BPM"),
    220277: (646, "%"),
    223761: (678, "Deg. F"),
    223762: (676, "Deg. C"),
    225664: (807, None),
    226512: (762, "kg"),
}
CALCULATED = {678: 677, 676: 679}
WORDS = {220739: 184, 223900: 723, 223901: 454}
HEART_RHYTHM = 212
RHYTHMS = {"AF (Atrial Fibrillation)": "Atrial Fib", "SR (Sinus Rhythm)": "Normal Sinus"}
PEEP_SET, PEEP = 506, 505
FIO2_FRACTION, FIO2_PERCENT = 190, 3420
HEIGHT_INCHES = 920
VENTILATOR_MODE, VENTILATOR_TYPE, OXYGEN_DEVICE = 720, 722, 467
BIPAP_EPAP, BIPAP_IPAP, BIPAP_MODE = 64, 66, 68
VENTILATOR_MODES = ("Assist Control", "SIMV+PS", "CPAP+PS")
# Laboratory item -> the CareVue chart items that repeat it.
LAB_COPIES = {
    50971: (829, 1535),
    50983: (837, 1536),
    50902: (788, 1523),
    50882: (787,),
    51006: (781, 1162),
    50912: (791, 1525),
    50931: (811, 1529),
    51221: (813,),
    51222: (814,),
    51265: (828,),
    51301: (861, 1542),
    50813: (818, 1531),
    50818: (778,),
    50862: (772, 1521),
    50885: (848, 1538),
    51237: (815, 1530),
    50893: (786, 1522),
    50970: (827, 1534),
}
# Pressor -> its CareVue items: dosed per minute, dosed per kilogram and minute; unit of the amount.
PRESSORS = {
    221906: (30047, 30120, "mg"),
    221289: (30044, 30119, "mg"),
    221662: (30307, 30043, "mg"),
    221749: (30127, 30128, "mg"),
    222315: (42273, 30051, "U"),
}
# Charted by hand, with rate and amount in each other's column.
SWAPPED = 42273
FLUIDS = {225158: 30018, 220949: 30013}
PROPOFOL = (222168, 30131)
URINE = {226559: 40055, 226560: 40069}
URINE_TOO = 43175
DATES = {225754: 5684, 224288: 6703}

CAREVUE_LABELS = {
    64: "BIPAP - EPAP",
    66: "BIPAP - IPAP",
    68: "BIPAP-Mode",
    184: "Eye Opening",
    190: "FiO2 Set",
    211: "Heart Rate",
    212: "Heart Rhythm",
    454: "Motor Response",
    455: "NBP [Systolic]",
    467: "O2 Delivery Device",
    505: "PEEP",
    506: "PEEP Set",
    618: "Respiratory Rate",
    646: "SpO2",
    676: "Temperature C",
    677: "Temperature C (calc)",
    678: "Temperature F",
    679: "Temperature F (calc)",
    720: "Ventilator Mode",
    722: "Ventilator Type",
    723: "Verbal Response",
    762: "Admit Wt",
    772: "Albumin (>3.2)",
    778: "Arterial PaCO2",
    781: "BUN (6-20)",
    786: "Calcium (8.4-10.2)",
    787: "Carbon Dioxide",
    788: "Chloride (100-112)",
    791: "Creatinine (0-1.3)",
    807: "Fingerstick Glucose",
    811: "Glucose (70-105)",
    813: "Hematocrit",
    814: "Hemoglobin",
    815: "INR (2-4 ref. range)",
    818: "Lactic Acid(0.5-2.0)",
    827: "Phosphorous(2.7-4.5)",
    828: "Platelets",
    829: "Potassium (3.5-5.3)",
    837: "Sodium (135-148)",
    848: "Total Bili (0-1.5)",
    861: "WBC (4-11,000)",
    920: "Admit Ht",
    1162: "BUN",
    1521: "Albumin",
    1522: "Calcium",
    1523: "Chloride",
    1525: "Creatinine",
    1529: "Glucose",
    1530: "INR",
    1531: "Lactic Acid",
    1534: "Phosphorous",
    1535: "Potassium",
    1536: "Sodium",
    1538: "Total Bili",
    1542: "WBC",
    3420: "FIO2",
    5684: "INV#1 Dsg Change [MM]",
    6703: "INV#1 Cap Change [MM]",
    8441: "NBP [Diastolic]",
    30013: "D5W",
    30018: ".9% Normal Saline",
    30043: "Dopamine",
    30044: "Epinephrine",
    30047: "Levophed",
    30051: "Vasopressin",
    30119: "Epinephrine-k",
    30120: "Levophed-k",
    30127: "Neosynephrine",
    30128: "Neosynephrine-k",
    30131: "Propofol",
    30307: "Dopamine Drip",
    40055: "Urine Out Foley",
    40069: "Urine Out Void",
    42273: "vasopressin unit/min",
    43175: "Urine .",
}
LOINC = {
    50813: "32693-4", 50818: "11557-6", 50862: "1751-7", 50863: "6768-6", 50882: "1963-8", 50885: "1975-2",
    50893: "2000-8", 50902: "2075-0", 50912: "2160-0", 50931: "2345-7", 50963: "33762-6", 50970: "2777-1",
    50971: "2823-3", 50983: "2951-2", 51003: "6598-7", 51006: "3094-0", 51221: "4544-3", 51222: "718-7",
    51237: "5895-7", 51265: "777-3", 51301: "804-5",
}  # fmt: skip


def carevue_table(itemid: int) -> str:
    """Return the table that a CareVue item's rows are in."""
    if itemid in DATES.values():
        return "datetimeevents"
    if itemid >= 40_000 and itemid != SWAPPED:
        return "outputevents"
    return "inputevents_cv" if itemid >= 30_000 else "chartevents"
