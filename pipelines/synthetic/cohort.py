"""Groups of patients that are rendered together: who they are, their admissions, their ICU stays.

Not here: how each is drawn (`latent`, `stays`, `critical`), and any file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.latent import Admissions, Subjects
from pipelines.synthetic.randomness import unique_ids
from pipelines.synthetic.stays import Stays


@dataclass(frozen=True)
class Cohort:
    """Patients of one database, rows addressed by position.

    Attributes:
        subjects: everybody.
        admissions: theirs, ascending by subject and time.
        stays: ICU stays of the subjects with EHR, ascending by admission and time.
    """

    subjects: Subjects
    admissions: Admissions
    stays: Stays

    def ids(self) -> set[int]:
        """Return every id in use: of subjects, admissions and stays."""
        return {
            *self.subjects.subject_id.tolist(),
            *self.admissions.hadm_id.tolist(),
            *self.stays.stay_id.tolist(),
        }


def chosen_ids(
    seed: int, name: str, number: int, *, first: int, last: int, taken: set[int], fits: Callable[[int], bool]
) -> np.ndarray:
    """Draw distinct ids that fit, in random order: as `unique_ids`, one batch after another until there are enough.

    Args:
        seed: the settings' seed.
        name: whose ids they are.
        number: how many.
        first: smallest id allowed.
        last: largest id allowed.
        taken: ids that must not be drawn.
        fits: says whether an id may be used; it must do so for some.
    """
    found: list[int] = []
    taken = set(taken)
    batch = 0
    while len(found) < number:
        drawn = unique_ids(seed, f"{name} {batch}", 4 * number, first=first, last=last, taken=taken).tolist()
        found += [id_ for id_ in drawn if fits(id_)]
        taken.update(drawn)
        batch += 1
    return np.array(found[:number], dtype=np.int64)
