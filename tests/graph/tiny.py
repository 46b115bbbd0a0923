"""A profile so small that the whole graph runs in seconds: `MEDCSP_PROFILE=tiny:tiny`. Same graph, same code."""

from dataclasses import replace

import medcsp_model.settings as recipes
from pipelines.profiles import (
    CohortSettings,
    EvaluationSettings,
    ImageSettings,
    LinkSettings,
    Profile,
    ReportSettings,
    RetrievalSettings,
    VocabularySettings,
)
from pipelines.synthetic.settings import FOLDERS, SyntheticSettings

IMAGE_SIZE = 64


def tiny() -> Profile:
    """24 EHR subjects, 12 of them with X-rays, 12 more with X-rays alone, a dozen of MIMIC-III; six training steps."""
    return Profile(
        name="tiny",
        cohorts=CohortSettings(retrieval_share=1.0),
        vocabularies=VocabularySettings(drug_min_records=1, tokenizer="trained", tokenizer_size=400, context_length=64),
        images=ImageSettings(size=IMAGE_SIZE),
        training=recipes.demo().replace(
            model={"image": {"timm_model_name": "test_convnext", "image_size": 32}, "embed_dim": 16, "hidden_dim": 8},
            batch={"size": 8},
            optimiser={"steps": 6},
            run={"log_every": 1, "save_every": 2, "num_threads": 1, "device": "cpu"},
        ),
        retrieval=RetrievalSettings(num_draws=50),
        radiology=recipes.RadiologyEvaluation(methods=("medcsp", "clip"), modes=("native",), num_draws=20),
        evaluation=EvaluationSettings(
            tasks=("arf",),
            horizons=("unbounded",),
            cohorts=("ehr_holdout",),
            is_transferred=False,
            without_codes=False,
            text_encoder="",
            measured=replace(
                recipes.demo_prediction(),
                methods=("medcsp", "logistic_regression"),
                sweep=replace(recipes.demo_prediction().sweep, seeds=(0,), max_epochs=1, num_draws=20),
                few_positives=(),
            ),
        ),
        report=ReportSettings(example_sets=("retrieval_open_i",), num_examples=2, num_images=3),
        num_shards=3,
        synthetic=SyntheticSettings(
            num_ehr_subjects=24,
            num_linked_subjects=12,
            num_cxr_only_subjects=12,
            image_size=IMAGE_SIZE,
            seed=3,
            sources=tuple(FOLDERS),
            num_metavision_subjects=6,
            num_carevue_subjects=6,
            num_twins=2,
            num_open_i=4,
            num_covid19=2,
            num_chexpert=2,
        ),
    )


def tiny_narrow() -> Profile:
    """The same with a narrower window: pairs, corpora and all that follows differ."""
    return replace(tiny(), name="tiny_narrow", links=LinkSettings(theta_days=10.0))


def not_a_profile() -> str:
    """Return something that is no profile."""
    return "tiny"
