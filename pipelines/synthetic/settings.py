"""How much to write and from which seed. Not here: what a patient is like (`latent`, `conditions`)."""

from dataclasses import asdict, dataclass, replace

import numpy as np

# Every tree there is: name of its source -> folder below raw/.
FOLDERS = {
    "mimic_iv": "mimic-iv",
    "mimic_iv_note": "mimic-iv-note",
    "mimic_cxr": "mimic-cxr",
    "mimic_cxr_jpg": "mimic-cxr-jpg",
    "mimic_iii": "mimic-iii",
    "mimic_iii_carevue": "mimic-iii-carevue",
    "open_i": "open-i",
    "covid19": "covid19",
    "chexpert": "chexpert",
}
LAYOUTS = {
    "mimic_iv_release": ("2.2", "3.0", "3.1"),
    "mimic_cxr_release": ("2.0.0", "2.1.0"),
    "report_layout": ("folders", "zip"),
    "mimic_iii_layout": ("full", "demo"),
    "open_i_layout": ("nlm", "kaggle"),
    "covid19_layout": ("v5", "v4"),
    "chexpert_layout": ("small", "full"),
}
# With these, every label of every cohort has at least 200 positives; with the defaults of the numbers below, 30.
EVALUATION_SUBJECTS = 1100
DEMO_SUBJECTS = 170


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
        sources: which trees are written; keys of `FOLDERS`.
        num_holdout_subjects: critically ill MIMIC-IV subjects beyond `num_ehr_subjects`, whose ids lie in the
            hold-out of `holdout_seed` and `holdout_share`: what is trained on stays what it is without them.
        holdout_share: share of the MIMIC-IV subjects that is held out, as the cohorts' setting says; 1 lets them have
            any id, so that the cohorts' share of them is held out and the rest pre-trains.
        holdout_seed: its seed.
        num_metavision_subjects: MIMIC-III subjects charted in MetaVision only, twins included.
        num_carevue_subjects: MIMIC-III subjects charted in CareVue; some of them in MetaVision later.
        num_twins: how many MetaVision subjects are MIMIC-IV subjects under other ids; fewer where MIMIC-IV holds
            fewer whom both could have.
        quoted_share: share of the admissions with an X-ray during them whose discharge summary quotes its report.
        mimic_iv_release: whose words, headers and items MIMIC-IV has.
        mimic_iii_layout: "full": upper-case columns; "demo": lower-case columns, files not compressed.
        mimic_cxr_release: 2.1.0 has labels read by people beside the JPGs.
        report_layout: reports as files beside the study folders, or in mimic-cxr-reports.zip.
        num_compressed: how many of the DICOM files are compressed, in turn by JPEG 2000 and by run lengths.
        checksums: every tree has its SHA256SUMS.txt.
        jpg_images: the JPG release holds its images too, not only its tables.
        num_open_i: Open-I reports.
        open_i_layout: "nlm": XML and PNG; "kaggle": two CSV files and PNG.
        num_covid19: COVID-19 Radiography images of each of the four classes.
        covid19_layout: "v5": images/ and masks/ in each class; "v4": images directly.
        num_chexpert: CheXpert studies of each of train and valid.
        chexpert_layout: "small": one folder; "full": the batches of the full-size release.
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
    sources: tuple[str, ...] = ("mimic_iv", "mimic_iv_note", "mimic_cxr", "mimic_cxr_jpg")
    num_holdout_subjects: int = 0
    holdout_share: float = 0.15
    holdout_seed: int = 0
    num_metavision_subjects: int = DEMO_SUBJECTS
    num_carevue_subjects: int = DEMO_SUBJECTS
    num_twins: int = 40
    quoted_share: float = 0.4
    mimic_iv_release: str = "2.2"
    mimic_iii_layout: str = "full"
    mimic_cxr_release: str = "2.0.0"
    report_layout: str = "folders"
    num_compressed: int = 0
    checksums: bool = False
    jpg_images: bool = False
    num_open_i: int = 60
    open_i_layout: str = "nlm"
    num_covid19: int = 24
    covid19_layout: str = "v5"
    num_chexpert: int = 40
    chexpert_layout: str = "small"

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
        self._check_trees()

    def _check_trees(self) -> None:
        if unknown := sorted(set(self.sources) - FOLDERS.keys()):
            raise ValueError(f"sources names {', '.join(unknown)}; there are {', '.join(FOLDERS)}")
        for name, known in LAYOUTS.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(known)}")
        if ("mimic_cxr_jpg" in self.sources) > ("mimic_cxr" in self.sources):
            raise ValueError("sources names mimic_cxr_jpg without mimic_cxr, whose films it shows; name both")
        sizes = [name for name in self.__dataclass_fields__ if name.startswith("num_") and getattr(self, name) < 0]
        if sizes:
            raise ValueError(f"numbers must not be negative: {', '.join(sizes)}")
        if not 0 <= self.quoted_share <= 1:
            raise ValueError(f"quoted_share is {self.quoted_share}: it is a share, from 0 to 1")
        if not 0 < self.holdout_share <= 1 and self.num_holdout_subjects:
            raise ValueError(
                f"holdout_share is {self.holdout_share}: held-out subjects need a share above 0, at most 1"
            )

    def evaluation_size(self) -> "SyntheticSettings":
        """Return these settings at the size at which every label of every cohort has at least 200 positives."""
        return replace(
            self,
            num_holdout_subjects=EVALUATION_SUBJECTS,
            num_metavision_subjects=EVALUATION_SUBJECTS,
            num_carevue_subjects=EVALUATION_SUBJECTS,
        )
