"""Who is in the synthetic world's databases."""

from pipelines.synthetic.cohort import Cohort
from pipelines.synthetic.latent import draw_admissions, draw_subjects
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.stays import draw_stays


def draw_cohort(settings: SyntheticSettings) -> Cohort:
    """Draw everybody of MIMIC-IV and MIMIC-CXR: their admissions and ICU stays."""
    subjects = draw_subjects(settings)
    admissions = draw_admissions(subjects, seed=settings.seed)
    return Cohort(subjects, admissions, draw_stays(subjects, admissions, seed=settings.seed))
