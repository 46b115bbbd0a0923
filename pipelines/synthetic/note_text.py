"""Discharge summaries: the same patient in the ward's words, which are never the radiologist's.

What is said follows from severities and signature; the wording varies. No film is ever described here; what is quoted
of a report comes from elsewhere (`mimic_iv_note`).
"""

import numpy as np

from pipelines.synthetic.conditions import CONDITIONS, SIGNATURE

# Three grades of each condition, two wordings each.
COURSE: dict[str, tuple[tuple[str, str], ...]] = {
    "heart_failure": (
        ("Known systolic dysfunction, euvolemic on home diuretics.", "Weight at baseline, continued home furosemide."),
        ("Gained several pounds with ankle swelling; diuresed.", "Volume overloaded, responded to IV furosemide."),
        ("Decompensated, orthopneic, needed a lasix drip.", "Cardiogenic decline with failed oral diuretics."),
    ),
    "pneumonia": (
        (
            "Treated for a presumed respiratory infection with azithromycin.",
            "Completed oral azithromycin for purulent sputum.",
        ),
        ("Febrile with rigors and sputum, got ceftriaxone.", "Rusty sputum, fevers, started on ceftriaxone."),
        ("Hypoxemic with bacteremia from a respiratory source.", "Aspiration event with escalating oxygen needs."),
    ),
    "copd": (
        ("Uses inhalers at home, no flare.", "Steady on tiotropium."),
        ("Wheezy on arrival, nebulizers and a steroid taper.", "Smoker with a bronchospastic flare, prednisone given."),
        ("Retaining carbon dioxide, needed a mask overnight.", "Hypercapnic flare with noninvasive breaths."),
    ),
    "malignancy": (
        ("Followed by oncology, on surveillance.", "Oncology is aware, outpatient surveillance."),
        ("Receiving chemotherapy, last cycle two weeks ago.", "Chemotherapy held for counts."),
        ("Widely metastatic, goals of care were discussed.", "Palliative team met the family."),
    ),
    "heart_surgery": (
        ("Remote bypass, on aspirin and statin.", "History of bypass grafting years ago."),
        ("Recovering after coronary grafting.", "Uneventful recovery after bypass grafting."),
        ("Stormy recovery after bypass with arrhythmia.", "Postcardiotomy shock, slowly weaned."),
    ),
    "sepsis": (
        ("Transient hypotension, cultures negative.", "Brief hypotension that resolved with fluids."),
        ("Bacteremic, broad antibiotics, lactate cleared.", "Septic from a urinary source, lactate cleared."),
        ("Septic shock on pressors with rising lactate.", "Profound vasoplegia, three pressors."),
    ),
    "kidney_disease": (
        ("Creatinine steady.", "Renal function at its baseline."),
        ("Tubular injury, urine output recovered.", "Creatinine doubled, then recovered."),
        ("Dialysis continued on schedule.", "Anuric, remained on hemodialysis."),
    ),
    "diabetes": (
        ("Sugars well controlled on metformin.", "Diet controlled sugars."),
        ("Sliding scale insulin, glargine adjusted.", "Neuropathy, insulin adjusted."),
        ("Insulin drip for marked hyperglycemia.", "Glucose persistently above 400, endocrine consulted."),
    ),
    "stroke": (
        ("Transient aphasia, resolved.", "Old lacunar infarct, no new deficit."),
        ("Hemiparesis improving with therapy.", "Dysarthria, passed swallow on day three."),
        ("Complete hemiplegia, obtunded.", "Whole territory infarct, not following commands."),
    ),
    "cirrhosis": (
        ("Compensated liver disease.", "Liver disease followed by hepatology."),
        ("Ascites tapped, nadolol continued.", "Variceal screening done, ascites tapped."),
        ("Encephalopathic, lactulose titrated.", "Jaundiced and encephalopathic, listed for transplant."),
    ),
}
GRADES = (0.4, 0.7)
# Three grades of each part of the signature: low, middle (unsaid for half of the notes), high.
TRAITS: dict[str, tuple[str, str, str]] = {
    "heart_width": ("Pressures run soft at home.", "Normotensive.", "Long hypertensive history, pressures run up."),
    "lung_volume": (
        "Short of stature, snores, desaturates when supine.",
        "Sleeps flat.",
        "Tall, lean runner in youth.",
    ),
    "aorta": ("Works full time, college graduate.", "Works part time.", "Retired, lives with grandchildren."),
    "spine_curve": ("Takes vitamin D for brittle bones.", "No joint complaints.", "Kidney stones from hypercalcemia."),
    "soft_tissue": ("Cachectic, supplements given.", "Regular diet.", "Morbidly obese, bariatric bed."),
    "right_diaphragm": ("Anemic, iron infusions.", "Counts steady.", "Ruddy, hematocrit runs up, phlebotomized."),
}
COMPLAINTS = ("weakness", "confusion", "shortness of breath", "abdominal pain", "fever", "fall", "nausea", "lethargy")
ALLERGIES = ("No Known Allergies / Adverse Drug Reactions", "Penicillins", "Sulfa (Sulfonamide Antibiotics)", "Codeine")
SERVICES = ("MEDICINE", "SURGERY", "CARDIOTHORACIC", "NEUROLOGY")
ADVICE = (
    'You told us you felt "better than on arrival", and we agree.',
    "It was a pleasure caring for you.",
    'Please call if you feel "not yourself", lightheaded or feverish.',
)


def write_note(
    severity: np.ndarray, signature: np.ndarray, *, female: bool, random: np.random.Generator, quoted: str = ""
) -> str:
    """Word one admission's discharge summary.

    Args:
        severity: float64 (10,), at admission, columns as `CONDITIONS`.
        signature: float64 (6,), columns as `SIGNATURE`.
        female: sex in the header.
        random: draws the wording only.
        quoted: what the summary repeats of an X-ray's report, if it does.

    Returns:
        Many lines, with quotation marks and commas in them.
    """
    course = []
    for name, much in zip(CONDITIONS, severity.tolist(), strict=True):
        if much > 0.1:
            course.append(COURSE[name][int(np.searchsorted(GRADES, much))][int(random.integers(2))])
    traits = []
    for name, value in zip(SIGNATURE, signature.tolist(), strict=True):
        grade = int(np.searchsorted((-0.5, 0.5), value))
        if grade != 1 or random.random() < 0.5:
            traits.append(TRAITS[name][grade])
    course = [course[at] for at in random.permutation(len(course))] or ["Observed overnight without events."]
    traits = [traits[at] for at in random.permutation(len(traits))]
    sex = "F" if female else "M"
    results = ["Pertinent Results:", f"CXR ___: {quoted}", " "] if quoted else []
    return "\n".join(
        [
            " ",
            "Name:  ___                     Unit No:   ___",
            " ",
            f"Date of Birth:  ___             Sex:   {sex}",
            " ",
            f"Service: {SERVICES[int(random.integers(len(SERVICES)))]}",
            " ",
            "Allergies: ",
            ALLERGIES[int(random.integers(len(ALLERGIES)))],
            " ",
            "Chief Complaint:",
            COMPLAINTS[int(random.integers(len(COMPLAINTS)))],
            " ",
            "Social History:",
            " ".join(traits[:3]),
            " ",
            *results,
            "Brief Hospital Course:",
            *(f"# {line}" for line in course),
            " ",
            "Physical Exam:",
            " ".join(traits[3:]) or "Well appearing.",
            " ",
            "Discharge Instructions:",
            ADVICE[int(random.integers(len(ADVICE)))],
            " ",
            "Followup Instructions:",
            "___",
        ]
    )
