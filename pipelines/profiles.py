"""The profiles: functions that return every setting of the graph, typed.

`demo` needs no data, `paper` follows the paper as closely as its text allows, `default` is what we would run. Recipes
of training are composed from `medcsp_model.settings`, never restated. Not here: roots and folders (`resources.py`).
"""

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import medcsp_model.settings as recipes
from medcsp_model.settings import REPAIRS, ROWS, AblationSettings
from pipelines.features.llm import LlmVariant
from pipelines.features.prediction_questions import EvaluationSettings
from pipelines.features.pretrain_sources import ADMISSIONS, CHEST_XRAYS, PretrainSource
from pipelines.features.series import SeriesSettings
from pipelines.features.tasks import PredictionSettings
from pipelines.synthetic.settings import DEMO_SUBJECTS, FOLDERS, SyntheticSettings


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """What a record is.

    Attributes:
        window_hours: readings of a stay are taken from its first hours.
        max_stays: ICU stays of an admission that count.
        record_time: what stands for the time of an EHR record.
        report_text: which part of a report the model reads; where it lacks that, the next of the chain in
            `pipelines.features.text`.
    """

    window_hours: int = 48
    max_stays: int = 3
    record_time: Literal["admission", "icu_in", "discharge"] = "admission"
    report_text: Literal["full", "impression", "findings", "last_paragraph", "comparison"] = "full"


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """Which records belong together.

    Attributes:
        theta_days: widest gap between two records of one patient, inclusive.
        gap_from: distance from the study to the admission's interval (0 inside it), or to the record time.
        history: codes of admissions begun by the record's time, of all, or of strictly earlier ones.
    """

    theta_days: float = 30.0
    gap_from: Literal["interval", "record_time"] = "interval"
    history: Literal["to_date", "all", "prior"] = "to_date"


@dataclass(frozen=True, kw_only=True)
class CohortSettings:
    """Who pre-trains and who is searched; every share is drawn by a seeded hash of the id."""

    ehr_holdout_share: float = 0.15
    holdout_seed: int = 0
    retrieval_share: float = 0.01
    retrieval_seed: int = 0


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """What is common enough to be a code, and how texts become tokens.

    Attributes:
        diagnosis_grouping: codes as they are; ICD-9-CM mapped forward to ICD-10-CM where that has a single target;
            their first three characters; or AHRQ's clinical category.
        diagnosis_min_records, drug_min_records: pre-training records that must hold a code.
        tokenizer: `trained` on the corpus, or `weights`: the vocabulary of the tower's own tokenizer.
        tokenizer_size: most pieces of a trained vocabulary.
        context_length: tokens after which a text is cut.
    """

    diagnosis_grouping: Literal["raw", "gem", "category", "ccsr"] = "gem"
    diagnosis_min_records: int = 1
    drug_min_records: int = 50
    tokenizer: Literal["trained", "weights"] = "weights"
    tokenizer_size: int = 8000
    context_length: int = 256


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How a film becomes pixels.

    Attributes:
        size: height and width of the stored pixels.
        source: DICOM files of MIMIC-CXR, JPG files of MIMIC-CXR-JPG, or `auto`: the latter where there are no former.
        rendering: how DICOM values become grey levels, see `pipelines.features.rendering`.
        mode: open_clip's own resize, or a cheaper one within 44 dB of it.
        num_processes: films decoded at a time.
    """

    size: int = 224
    source: Literal["auto", "dicom", "jpg"] = "auto"
    rendering: Literal["mimic_cxr_jpg", "voi", "percentile"] = "mimic_cxr_jpg"
    mode: Literal["exact", "fast"] = "exact"
    num_processes: int = 1


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
    """The retrieval evaluation.

    Attributes:
        ks: cut-offs; those beyond the gallery are left out.
        num_draws: bootstrap draws, subjects resampled.
        seed: of the draws.
        raw_towers: embed without the head, as the released evaluation does.
        min_lift: the run fails unless the lower bound of R@10 is above so many times chance; 0 never fails.
    """

    ks: tuple[int, ...] = (1, 5, 10, 20, 50, 100)
    num_draws: int = 10_000
    seed: int = 0
    raw_towers: bool = False
    min_lift: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the report shows beyond aggregates: reports with the images that they find.

    Attributes:
        example_sets: retrieval tasks of which examples are shown.
        shows_credentialed: show those of a set behind an agreement too. The pages then hold texts and images of
            patients and fall under that agreement; off unless you turn it on.
        num_examples: reports of each set.
        num_images: images for each report.
    """

    example_sets: tuple[Literal["retrieval_open_i", "retrieval_mimic_cxr"], ...] = ()
    shows_credentialed: bool = False
    num_examples: int = 4
    num_images: int = 4


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Every setting of the graph.

    Attributes:
        name: what MEDCSP_PROFILE says.
        sources: what the model is pre-trained on. Records of every other source are there for evaluation alone.
        towers: method whose weights the towers start from, a folder under MEDCSP_WEIGHTS; empty starts at random.
        num_shards: files of every table that is split by subject.
        synthetic: sources that the graph writes itself; None where all are the user's.
    """

    name: str
    sources: tuple[PretrainSource, ...] = (ADMISSIONS, CHEST_XRAYS)
    towers: str = ""
    records: RecordSettings = field(default_factory=RecordSettings)
    links: LinkSettings = field(default_factory=LinkSettings)
    cohorts: CohortSettings = field(default_factory=CohortSettings)
    vocabularies: VocabularySettings = field(default_factory=VocabularySettings)
    series: SeriesSettings = field(default_factory=SeriesSettings)
    images: ImageSettings = field(default_factory=ImageSettings)
    training: recipes.Settings = field(default_factory=recipes.default)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    radiology: recipes.RadiologyEvaluation = field(default_factory=recipes.RadiologyEvaluation)
    small_models: recipes.SmallModels = field(default_factory=recipes.SmallModels)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    ablation: AblationSettings = field(default_factory=AblationSettings)
    case_studies: recipes.CaseStudySettings = field(default_factory=recipes.CaseStudySettings)
    llm: LlmVariant = field(default_factory=LlmVariant)
    report: ReportSettings = field(default_factory=ReportSettings)
    num_shards: int = 128
    synthetic: SyntheticSettings | None = None

    def group(self, *names: str) -> dict[str, Any]:
        """Return the settings of some groups as one flat dictionary of JSON values."""
        return {key: value for name in names for key, value in asdict(getattr(self, name)).items()}


def demo() -> Profile:
    """Return the profile that runs anywhere: synthetic sources, two CPU cores, minutes."""
    return Profile(
        name="demo",
        cohorts=CohortSettings(retrieval_share=1.0),
        vocabularies=VocabularySettings(drug_min_records=3, tokenizer="trained", tokenizer_size=2000),
        training=recipes.demo().replace(run={"device": "cpu"}),
        retrieval=RetrievalSettings(num_draws=2000, min_lift=3.0),
        radiology=recipes.RadiologyEvaluation(methods=("medcsp",), modes=("native",), num_draws=1000),
        prediction=PredictionSettings(validation_share=0.2, test_share=0.3),  # its cohorts are small
        evaluation=EvaluationSettings(
            tasks=("arf", "shock", "mortality", "readmission"),
            horizons=("unbounded", "30d"),
            cohorts=("ehr_holdout",),
            is_transferred=False,
            without_codes=False,
            text_encoder="",
            measured=recipes.demo_prediction(),
        ),
        num_shards=4,
        synthetic=SyntheticSettings(sources=tuple(FOLDERS), num_holdout_subjects=DEMO_SUBJECTS),
    )


def demo_full() -> Profile:
    """Return the demo with every prediction task and method at demo size, on both systems of MIMIC-III."""
    small = demo()
    every = EvaluationSettings(
        horizons=("unbounded", "30d"),
        cohorts=("metavision", "carevue"),
        text_encoder="",
        measured=recipes.demo_prediction(every_method=True),
    )
    families = ("clip_small", "biomedclip_small", "medclip_small", "cxr_clip_small", "llava_med_small")
    published = recipes.RadiologyEvaluation()
    x_rays = replace(published, methods=(*published.methods, *families), num_draws=1000)
    trained = recipes.SmallModels(methods=families, steps=90, batch_size=16, num_threads=1)
    few = AblationSettings(
        variants=("a_p_d", "a"),  # what the case studies draw; so few subjects tell nothing of the other rows
        planted_variants=(*ROWS, "random_batches"),
        seeds=(0,),
        validation_share=0.3,
        num_threads=1,
        planted_steps=60,
        num_draws=1000,
    )
    return replace(
        small,
        name="demo_full",
        evaluation=every,
        radiology=x_rays,
        small_models=trained,
        ablation=few,
        llm=LlmVariant(language="random", steps=40, batch_size=16, lr=1e-2),
        report=ReportSettings(example_sets=("retrieval_open_i", "retrieval_mimic_cxr")),
    )


def demo_ablation() -> Profile:
    """Return the demo with the whole ablation at demo size: every variant, five seeds, half an hour of a core."""
    every = AblationSettings(
        variants=tuple(ROWS),
        planted_variants=(*ROWS, *REPAIRS),
        steps=150,
        batch_size=16,
        validation_share=0.3,
        num_threads=1,
    )
    return replace(demo(), name="demo_ablation", ablation=every)


def default() -> Profile:
    """Return what we would run on the real sources: the paper's sizes with every repair on."""
    return Profile(
        name="default",
        towers="biomedclip",
        training=recipes.default(),
        ablation=AblationSettings(variants=("a_p_d", "a"), seeds=(0,)),  # what the case studies draw
        llm=LlmVariant(language="llama"),
        report=ReportSettings(example_sets=("retrieval_open_i",)),
    )


def default_ablation() -> Profile:
    """Return `default` with the whole ablation: every variant, five seeds, 70 trainings of its own length."""
    return replace(default(), name="default_ablation", ablation=AblationSettings(variants=(*ROWS, *REPAIRS)))


def paper() -> Profile:
    """Return the paper's choices as closely as its text allows."""
    return Profile(
        name="paper",
        towers="biomedclip",
        links=LinkSettings(gap_from="record_time", history="all"),
        cohorts=CohortSettings(ehr_holdout_share=0.0),
        vocabularies=VocabularySettings(diagnosis_grouping="raw"),
        training=recipes.paper(),
        retrieval=RetrievalSettings(raw_towers=True),
        ablation=AblationSettings(variants=tuple(ROWS), seeds=(0,)),
        llm=LlmVariant(language="llama"),
    )


PROFILES: dict[str, Callable[[], Profile]] = {
    profile.__name__: profile for profile in (demo, demo_full, demo_ablation, paper, default, default_ablation)
}


def profile_named(name: str) -> Profile:
    """Return a profile by the name that MEDCSP_PROFILE holds, or by `module:function` for a profile of your own.

    Raises:
        ValueError: no profile has that name.
    """
    if name in PROFILES:
        return PROFILES[name]()
    module, _, function = name.partition(":")
    if not function:
        raise ValueError(f"MEDCSP_PROFILE is {name!r}: use one of {', '.join(PROFILES)}, or your own module:function")
    try:
        profile = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"MEDCSP_PROFILE is {name!r}, and {error}: is the module on PYTHONPATH?") from error
    if not isinstance(profile, Profile):
        raise ValueError(f"MEDCSP_PROFILE is {name!r}, which returns {type(profile).__name__}, not a Profile")
    return profile
