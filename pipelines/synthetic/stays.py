"""ICU stays within admissions, and when ventilation, PEEP and pressors begin in them.

Not here: the readings (`readings`) and the file format (`mimic_iv`).
"""

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.conditions import CONDITIONS
from pipelines.synthetic.latent import Admissions, Subjects, severity_at
from pipelines.synthetic.randomness import generator, unique_ids

HOUR = np.timedelta64(3600, "s")
UNITS = (
    "Medical Intensive Care Unit (MICU)",
    "Cardiac Vascular Intensive Care Unit (CVICU)",
    "Medical/Surgical Intensive Care Unit (MICU/SICU)",
    "Surgical Intensive Care Unit (SICU)",
    "Coronary Care Unit (CCU)",
    "Trauma SICU (TSICU)",
)
NUM_STAYS_CHANCE = (0.12, 0.74, 0.11, 0.03)
# What can begin in a stay, and the MIMIC-IV items that record it.
ONSETS = {
    "peep": (220339,),
    "invasive": (225792,),
    "noninvasive": (225794,),
    "pressor": (221906, 221749, 222315, 221289),
}
T_SECONDS = 48 * 3600


@dataclass(frozen=True)
class Stays:
    """ICU stays, ascending by admission and time.

    Attributes:
        stay_id: int64 (n,).
        admission: int64 (n,), row of `Admissions`.
        intime: datetime64[s] (n,).
        outtime: datetime64[s] (n,).
        unit: list of n care units.
        onset: name of `ONSETS` -> float64 (n,), seconds after intime, NaN where it never begins.
        onset_item: int64 (n,), the pressor's item.
        injury: float64 (n,), seconds after intime at which the kidneys fail, NaN where they do not.
        silent: bool (n,), nothing was charted at all.
        quirks: planted cases, (name, row of the stay).
    """

    stay_id: np.ndarray
    admission: np.ndarray
    intime: np.ndarray
    outtime: np.ndarray
    unit: list[str]
    onset: dict[str, np.ndarray]
    onset_item: np.ndarray
    injury: np.ndarray
    silent: np.ndarray
    quirks: list[tuple[str, int]]


def draw_stays(subjects: Subjects, admissions: Admissions, *, seed: int) -> Stays:
    """Draw the ICU stays of the EHR subjects' admissions: none, one or several; one admission holds four."""
    with_ehr = np.flatnonzero(subjects.has_ehr[admissions.subject])
    length = (admissions.discharge - admissions.admit)[with_ehr]
    crowded = int(with_ehr[np.argmax(length)])
    admission: list[int] = []
    times: list[tuple[np.datetime64, np.datetime64]] = []
    for row in with_ehr.tolist():
        random = generator(seed, "stays", int(admissions.hadm_id[row]))
        number = 4 if row == crowded else int(random.choice(len(NUM_STAYS_CHANCE), p=NUM_STAYS_CHANCE))
        admission += [row] * number
        times += _stay_times(random, admissions.admit[row], admissions.discharge[row], number)
    owner = np.array(admission, dtype=np.int64)
    intime = np.array([item[0] for item in times], dtype="datetime64[s]")
    outtime = np.array([item[1] for item in times], dtype="datetime64[s]")
    random = generator(seed, "onsets")
    severity = severity_at(subjects, admissions, subject=admissions.subject[owner], time=intime)
    onset = _draw_onsets(random, severity, (outtime - intime) / HOUR)
    quirks = plant_onsets(onset, (outtime - intime).astype(int))
    quirks.append(("four_stays", int(np.argmax(owner == crowded))))
    silent = np.zeros(len(owner), dtype=bool)
    free = [row for row in range(len(owner)) if all(np.isnan(hours[row]) for hours in onset.values())]
    if free:
        silent[free[-1]] = True
        quirks.append(("stay_without_readings", free[-1]))
    return Stays(
        stay_id=unique_ids(seed, "stay_id", len(owner), first=30_000_000, last=39_999_999),
        admission=owner,
        intime=intime,
        outtime=outtime,
        unit=[UNITS[at] for at in random.integers(0, len(UNITS), len(owner))],
        onset=onset,
        onset_item=random.choice(np.array(ONSETS["pressor"]), p=(0.6, 0.25, 0.1, 0.05), size=len(owner)),
        injury=np.full(len(owner), np.nan),
        silent=silent,
        quirks=quirks,
    )


def _stay_times(
    random: np.random.Generator, admit: np.datetime64, discharge: np.datetime64, number: int
) -> list[tuple[np.datetime64, np.datetime64]]:
    """Cut the admission into equal turns and put one stay, most of the turn long, into each."""
    times: list[tuple[np.datetime64, np.datetime64]] = []
    for turn in range(number):
        width = (discharge - admit).astype(int) / number
        start = admit.astype(int) + width * (turn + random.uniform(0.01, 0.12))
        stop = min(start + width * random.uniform(0.6, 0.85), start + 9 * 86_400)
        times.append((np.datetime64(int(start), "s"), np.datetime64(int(stop), "s")))
    return times


def _draw_onsets(random: np.random.Generator, severity: np.ndarray, hours: np.ndarray) -> dict[str, np.ndarray]:
    of = {name: severity[:, at] for at, name in enumerate(CONDITIONS)}
    number = len(hours)
    breathing = 0.08 + 0.5 * np.maximum.reduce([of["pneumonia"], of["heart_failure"], of["copd"], of["stroke"]])
    shock = 0.05 + 0.75 * of["sepsis"]
    when = 3600 * np.where(
        random.random(number) < 0.5, random.uniform(0.2, 20, number), random.uniform(49, 110, number)
    )
    ventilated = (random.random(number) < breathing) & (when < 3600 * (hours - 4))
    invasive = ventilated & (random.random(number) < 0.75)
    onset = {
        "invasive": np.where(invasive, when, np.nan),
        "peep": np.where(invasive, when + random.integers(60, 3600, number), np.nan),
        "noninvasive": np.where(ventilated & ~invasive, when, np.nan),
    }
    late = 3600 * np.where(
        random.random(number) < 0.5, random.uniform(0.2, 24, number), random.uniform(49, 110, number)
    )
    onset["pressor"] = np.where((random.random(number) < shock) & (late < 3600 * (hours - 4)), late, np.nan)
    return {name: np.floor(seconds) for name, seconds in onset.items()}


def plant_onsets(onset: dict[str, np.ndarray], seconds: np.ndarray) -> list[tuple[str, int]]:
    """Let one stay each begin one second before, at, and one second after 48 h, as far as there are long stays."""
    quiet = np.logical_and.reduce([np.isnan(values) for values in onset.values()])
    long = iter(np.flatnonzero(quiet & (seconds > T_SECONDS + 6 * 3600)).tolist())
    quirks = []
    for name in ("peep", "invasive", "noninvasive", "pressor"):
        for word, shift in (("before", -1), ("at", 0), ("after", 1)):
            row = next(long, None)
            if row is not None:
                onset[name][row] = T_SECONDS + shift
                quirks.append((f"{name}_onset_{word}_48h", row))
    return quirks
