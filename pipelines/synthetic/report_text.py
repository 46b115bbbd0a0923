"""Radiology reports: what the findings of a study read like, in a radiologist's words.

What is said follows from the findings alone; how it is said (synonyms, order, headers, which negatives, the clinical
question) varies. No word here that carries a finding is used by `note_text`.
"""

import textwrap
from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.studies import FINDINGS

# Upper bounds of the first two of three grades of the findings that are graded around an average patient.
GRADES = (-0.45, 0.45)
GRADED: dict[str, tuple[tuple[str, ...], ...]] = {
    "heart_size": (
        ("The cardiac silhouette is small", "Small cardiac silhouette"),
        ("Heart size is normal", "Normal heart size"),
        ("There is cardiomegaly", "Cardiomegaly is present"),
    ),
    "lung_volume": (
        ("Low lung volumes", "Lung volumes are low"),
        ("Inspiration is adequate", "Adequate inspiration"),
        ("Lungs are hyperinflated", "Hyperinflated lungs"),
    ),
    "aorta": (
        ("Inconspicuous aortic knob", "Aortic knob is inconspicuous"),
        ("Aortic contour is unremarkable", "Unremarkable aortic contour"),
        ("Tortuous aorta", "Aorta is tortuous"),
    ),
    "spine_curve": (
        ("Levoscoliosis", "There is levoscoliosis"),
        ("Spine is straight", "Straight spine"),
        ("Dextroscoliosis", "There is dextroscoliosis"),
    ),
    "soft_tissue": (
        ("Thin chest wall", "Chest wall is thin"),
        ("Average overlying tissues", "Overlying tissues are average"),
        ("Study limited by large body habitus", "Large body habitus limits the study"),
    ),
    "right_diaphragm": (
        ("Right hemidiaphragm is depressed", "Depressed right hemidiaphragm"),
        ("Hemidiaphragms are level", "Level hemidiaphragms"),
        ("Right hemidiaphragm is elevated", "Elevated right hemidiaphragm"),
    ),
}
# Upper bounds of small and moderate; 0 is absent.
EXTENTS = (0.42, 0.7)
ONE_SIDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "base": (
        ("subtle {side} basilar atelectasis", "{side} basilar atelectasis, subtle"),
        ("patchy {side} basilar opacity", "{side} basilar patchy opacity"),
        ("dense {side} lower lobe consolidation", "dense consolidation of the {side} lower lobe"),
    ),
    "effusion": (
        ("blunting of the {side} costophrenic angle", "{side} costophrenic angle blunting"),
        ("layering {side} pleural effusion", "{side} pleural effusion, layering"),
        ("sizable {side} hydrothorax", "{side} hydrothorax, sizable"),
    ),
    "upper": (
        ("{side} apical nodule", "nodule in the {side} apex"),
        ("{side} upper lobe lesion", "lesion in the {side} upper lobe"),
        ("bulky {side} suprahilar mass", "{side} suprahilar bulky mass"),
    ),
}
EDEMA = (
    ("pulmonary vascular congestion", "vascular congestion"),
    ("interstitial edema", "edema, interstitial"),
    ("florid alveolar edema", "alveolar edema, florid"),
)
LINE_TIPS = ("tip in the brachiocephalic vein", "tip in the SVC", "tip at the cavoatrial junction")
DEVICES: dict[str, tuple[tuple[str, ...], ...]] = {
    "tube": (
        ("high riding endotracheal tube", "endotracheal tube, high riding"),
        ("endotracheal tube in standard position",),
        ("endotracheal tube near the carina", "deep endotracheal tube near the carina"),
    ),
    "feeding_tube": (
        ("enteric tube with side port at the gastroesophageal junction",),
        ("enteric tube in the stomach",),
        ("enteric tube beyond the pylorus",),
    ),
    "right_line": tuple((f"right jugular catheter {tip}",) for tip in LINE_TIPS),
    "left_line": tuple((f"left subclavian catheter {tip}",) for tip in LINE_TIPS),
}
DEVICE_DEPTHS = (0.6, 0.8)

QUESTIONS = (
    "dyspnea", "cough", "fever", "chest pain", "hypoxia", "leukocytosis", "altered mental status", "weakness", "fall",
    "line placement", "preoperative", "interval change", "syncope", "wheezing", "tachycardia",
)  # fmt: skip
ASKING = ("Evaluate for", "Please assess for", "Rule out")
ASKED = (
    "pneumonia",
    "acute process",
    "effusion",
    "edema",
    "pneumothorax",
    "infiltrate",
    "tube position",
    "progression",
)
COMPARISONS = (
    "___.",
    "None.",
    "Chest radiograph from ___.",
    "Multiple prior examinations, most recently ___.",
    "CT ___.",
)
NEGATIVES = (
    "No pneumothorax.", "There is no pneumothorax.", "No displaced rib fracture.", "No free air below the diaphragm.",
    "The hilar contours are stable.", "Osseous structures are intact.", "No evidence of pneumothorax is seen.",
)  # fmt: skip
EXAMINATIONS = {
    "AP": ("CHEST (PORTABLE AP)", "Chest radiograph"),
    "PA": ("CHEST RADIOGRAPH", "Chest radiograph"),
    "LATERAL": ("CHEST (PA AND LAT)",),
}
TECHNIQUES = {
    "AP": ("Portable AP radiograph of the chest.", "Single portable view of the chest.", "Chest AP."),
    "PA": ("Upright PA view of the chest.", "Chest PA.", "Frontal radiograph of the chest."),
    "LATERAL": (
        "Chest PA and lateral.",
        "Frontal and lateral views of the chest.",
        "PA and lateral chest radiographs.",
    ),
}


@dataclass(frozen=True)
class Shape:
    """Which sections a report has.

    Attributes:
        findings: FINDINGS section present.
        impression: IMPRESSION section present; with neither, the text stands in a last paragraph of its own.
    """

    findings: bool = True
    impression: bool = True


def write_report(findings: np.ndarray, *, views: list[str], shape: Shape, random: np.random.Generator) -> str:
    """Word one study's report in the published shape.

    Args:
        findings: float64 (22,), columns as `FINDINGS`.
        views: views of the study's images; a lateral one changes the technique.
        shape: sections to write.
        random: draws the wording only.

    Returns:
        Lines with a leading blank, at most 79 characters, sections with upper-case headers.
    """
    say = _Wording(random)
    body = sentences(dict(zip(FINDINGS, findings.tolist(), strict=True)), say)
    summary = body[: 3 + int(random.integers(2))]
    view = "LATERAL" if "LATERAL" in views else views[0]
    order = random.permutation(len(body))
    text = [body[at] for at in order]
    for negative in random.choice(len(NEGATIVES), size=int(random.integers(0, 3)), replace=False):
        text.insert(int(random.integers(len(text) + 1)), NEGATIVES[negative])
    question = f"___ year old patient with {say.one(QUESTIONS)}. {say.one(ASKING)} {say.one(ASKED)}."
    sections = [
        ("EXAMINATION", say.one(EXAMINATIONS[view])),
        (say.one(("INDICATION", "HISTORY")), question),
        ("TECHNIQUE", say.one(TECHNIQUES[view])),
        ("COMPARISON", say.one(COMPARISONS)),
    ]
    if random.random() < 0.3:
        sections.pop(2)
    if shape.findings:
        sections.append(("FINDINGS", " ".join(text)))
    if shape.impression:
        sections.append(("IMPRESSION", " ".join(summary if shape.findings else text)))
    if not shape.findings and not shape.impression:
        sections.append(("", " ".join(text)))
    return _lay_out(sections, say)


class _Wording:
    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def one(self, choices: tuple[str, ...]) -> str:
        return choices[int(self.random.integers(len(choices)))]

    def list(self, items: list[str]) -> str:
        items = [items[at] for at in self.random.permutation(len(items))]
        text = items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
        return text[0].upper() + text[1:] + "."


def sentences(f: dict[str, float], say: _Wording) -> list[str]:
    """Word every finding, what is abnormal in the lungs first, so that an impression can take the head of the list."""
    found = _lung_findings(f, say)
    text = [say.list(found[at : at + 3]) for at in range(0, len(found), 3)]
    if not found:
        text.append(say.one(("The lungs are clear.", "Clear lungs without consolidation or effusion.")))
    graded = [say.one(words[int(np.searchsorted(GRADES, f[name]))]) + "." for name, words in GRADED.items()]
    devices = _devices(f, say)
    if devices:
        text.append(say.list(devices))
    else:
        graded.append(say.one(("No support devices.", "No lines or tubes.")))
    if abs(f["rotation"]) > 0.35:
        side = "right" if f["rotation"] > 0 else "left"
        graded.append(say.one((f"Patient is rotated to the {side}.", f"Rotation towards the {side}.")))
    return text + graded


def _lung_findings(f: dict[str, float], say: _Wording) -> list[str]:
    found = []
    if f["edema"] > 0:
        found.append(say.one(EDEMA[int(np.searchsorted(EXTENTS, f["edema"]))]))
    for kind, words in ONE_SIDED.items():
        for side in ("right", "left"):
            if (much := f[f"{side}_{kind}"]) > 0:
                found.append(say.one(words[int(np.searchsorted(EXTENTS, much))]).format(side=side))
    return found


def _devices(f: dict[str, float], say: _Wording) -> list[str]:
    depths = {
        "tube": f["tube"],
        "feeding_tube": f["feeding_tube"],
        "right_line": max(f["line"], 0),
        "left_line": max(-f["line"], 0),
    }
    devices = [say.one(DEVICES[name][int(np.searchsorted(DEVICE_DEPTHS, at))]) for name, at in depths.items() if at > 0]
    if f["pacemaker"] > 0:
        devices.append(say.one(("pacemaker with leads in place", "dual lead pacemaker")))
    if f["wires"] > 0:
        devices.append(say.one(("intact median sternotomy wires", "sternotomy wires")))
    if f["chest_tube"] != 0:
        side = "right" if f["chest_tube"] > 0 else "left"
        devices.append(say.one((f"{side} pigtail drain", f"pigtail drain on the {side}")))
    if f["fusion"] > 0:
        devices.append(say.one(("spinal fusion hardware", "lumbar fusion hardware")))
    if f["leads"] > 0:
        devices.append(say.one(("overlying monitoring leads", "monitoring leads")))
    return devices


def _lay_out(sections: list[tuple[str, str]], say: _Wording) -> str:
    lines = [" " * 33 + "FINAL REPORT" if say.random.random() < 0.9 else " " * 30 + "WET READ: ___ ___"]
    for header, text in sections:
        wrapped = textwrap.wrap(f"{header}:  {text}" if header else text, width=78) or [f"{header}:"]
        lines += [f" {line}" for line in wrapped] + [" "]
    return "\n".join(lines) + "\n"
