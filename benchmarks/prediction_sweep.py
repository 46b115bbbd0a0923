"""The full sweep of prediction on synthetic MIMIC-III: a profile, `MEDCSP_PROFILE=benchmarks.prediction_sweep:sweep`.

Four tasks, every method at demo size, five seeds, two learning rates, one cohort of about 2,000 stays and one split,
with five-fold for the declared comparisons. Critically ill patients of MIMIC-IV pre-train, as they do in the real
release, and none of them is a MetaVision patient under another id, so that no gain is a leak. How to run it and read
its cost: docs/evaluation.md. Not here: a number.
"""

from dataclasses import replace

from pipelines.features.prediction_questions import EvaluationSettings
from pipelines.profiles import Profile, demo

METAVISION_SUBJECTS = 1200
"""Each has 1.7 stays of 48 h or more."""
CRITICAL_SUBJECTS = 1700
"""Of MIMIC-IV, beside the demo's 300 subjects; the cohorts' own share of them is held out."""
SOURCES = ("mimic_iv", "mimic_iv_note", "mimic_cxr", "mimic_iii")


def sweep() -> Profile:
    """Return the demo with a large MetaVision cohort and every method on it."""
    small = demo()
    assert small.synthetic is not None
    measured = replace(
        small.evaluation.measured,
        methods=EvaluationSettings().measured.methods,
        sweep=replace(
            small.evaluation.measured.sweep,
            learning_rates=(3e-4, 3e-3),
            seeds=(0, 1, 2, 3, 4),
            max_epochs=20,
            patience=4,
            num_workers=2,
            num_draws=10_000,
        ),
        few_methods=("medcsp", "medcsp_linear_probe", "medcsp_scratch"),
        few_positives=(10, 30, 100),
        few_draws=20,
        fold_seeds=1,
    )
    return replace(
        small,
        name="sweep",
        synthetic=replace(
            small.synthetic,
            sources=SOURCES,
            num_metavision_subjects=METAVISION_SUBJECTS,
            num_carevue_subjects=10,
            num_twins=0,
            num_holdout_subjects=CRITICAL_SUBJECTS,
            holdout_share=1.0,
        ),
        training=small.training.replace(batch={"size": 64}, optimiser={"steps": 1000}),
        evaluation=replace(small.evaluation, cohorts=("metavision",), measured=measured),
    )
