"""How much to write and from which seed. Not here: what a patient is like (`latent`, `conditions`)."""

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class SyntheticSettings:
    """Size and seed of the synthetic sources; equal settings give equal bytes.

    Attributes:
        num_ehr_subjects: subjects with hospital records.
        num_linked_subjects: how many of those also have X-rays.
        num_cxr_only_subjects: subjects with X-rays and no hospital record.
        image_size: rows and columns of every image, pixels.
        seed: everything is drawn from it.
        studies_per_linked_subject: mean number of X-ray studies of a linked subject (at least one each).
        studies_per_cxr_only_subject: the same for subjects with X-rays alone.
        images_per_study: probability of one, two, three, ... images in a study.
        lateral_share: share of a study's further images that are lateral views.
    """

    num_ehr_subjects: int = 300
    num_linked_subjects: int = 120
    num_cxr_only_subjects: int = 250
    image_size: int = 256
    seed: int = 0
    studies_per_linked_subject: float = 2.4
    studies_per_cxr_only_subject: float = 1.2
    images_per_study: tuple[float, ...] = (0.45, 0.40, 0.12, 0.03)
    lateral_share: float = 0.4

    def __post_init__(self) -> None:
        if self.num_linked_subjects > self.num_ehr_subjects:
            raise ValueError(
                f"num_linked_subjects is {self.num_linked_subjects}, more than num_ehr_subjects "
                f"({self.num_ehr_subjects}): a linked subject has a hospital record; lower the one or raise the other"
            )
        if min(self.num_linked_subjects, self.num_cxr_only_subjects) < 0 or self.num_ehr_subjects < 1:
            raise ValueError(f"numbers of subjects must not be negative, with at least one in the EHR: {asdict(self)}")
        if self.image_size < 64 or self.image_size % 4:
            raise ValueError(f"image_size is {self.image_size}: use a multiple of 4, at least 64")
        if min(self.studies_per_linked_subject, self.studies_per_cxr_only_subject) < 1:
            raise ValueError("studies per subject must be at least 1, since every X-ray subject has one")
        if not self.images_per_study or not np.isclose(sum(self.images_per_study), 1):
            raise ValueError(f"images_per_study must be probabilities that sum to 1, not {self.images_per_study}")
