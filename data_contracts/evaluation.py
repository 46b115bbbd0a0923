"""Numbers and where they came from."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract

METHODS = [
    "medcsp", "medcsp_llm", "medcsp_released", "medcsp_scratch", "medcsp_linear_probe",
    "f_lstm", "f_cnn", "raim", "dcmn", "medhmp",
    "bert_lstm", "bert_cnn", "bert_encoder", "bert_star", "lstm_bert", "cnn_bert", "encoder_bert", "star_bert",
    "clip", "pubmedclip", "biomedclip", "medclip", "cxr_clip", "llava_med", "llava_med_v1",
    "medsiglip", "whyxrayclip", "xraysiglip", "unimed_clip",
    "clip_small", "biomedclip_small", "medclip_small", "cxr_clip_small", "llava_med_small",
    "chance", "ceiling", "all_positive", "all_negative", "logistic_regression", "gradient_boosting",
    "a", "a_p", "a_d", "a_p_d", "single_source",
    "random_batches", "full_centroid", "any_negative", "one_positive", "one_direction", "raw_target", "own_in_d",
    "no_history_in_d",
    "shared_head",
]  # fmt: skip


class _Metrics(Contract):
    """One number."""

    layer = "evaluation"
    key = ("task", "dataset", "cohort", "method", "mode", "metric", "k", "split", "seed")

    task = fields.text("Evaluation task.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    method = dy.Enum(METHODS, description="What was evaluated.")
    mode = fields.text("How the task was put, such as text_to_image or unbounded/without_codes.", nullable=False)
    metric = fields.text("precision_at_k, recall_at_k, auroc, ...", nullable=False)
    k = dy.Int32(min=0, description="Cut-off, threshold in percent, or positives trained on; 0: none, or all.")
    split = fields.text("Subjects it was measured on, with the subgroup behind a slash.", nullable=False)
    seed = dy.Int32(description="Seed of the training; -1: the mean over seeds.")
    value = dy.Float64(
        description="The number; a share, except median_rank, calibration slope, intercept, net benefit."
    )
    ci_low = dy.Float64(nullable=True, description="Lower end of the 95 % interval, subjects resampled.")
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    n = dy.Int64(min=0, description="Queries or subjects behind it.")
    num_positive = dy.Int64(nullable=True, min=0, description="Positives among them.")
    paper_value = dy.Float64(nullable=True, description="What the paper prints.")
    fingerprint = fields.text("Fingerprint of what was trained here and is measured; null: none stands behind it.")
    synthetic = dy.Bool(description="True where any input is synthetic.")


class _Retrieval(_Metrics):
    """One number of a retrieval.

    cohort: all_views, or frontal: the first frontal image of every study that has one.
    method: those named `<family>_small` are small models of a family's own objective, trained on our corpus; `ceiling`
        is a list with all that is relevant in front, `chance` a random one, both in closed form.
    mode: text_to_image (reports search images) or image_to_text, then `/same_text` where what belongs to an identical
        report counts as relevant too, and `/paper` where the model is run as the released evaluation ran it.
    metric: precision_at_k (hits / K), recall_at_k (hits / relevant), hit_at_k (any hit), all with k; median_rank (of
        the best relevant result, from 1), mrr, map.
    split: the set, or a subgroup of its queries, as in retrieval_mimic_cxr/sex=F; all images are searched.
    """


class RetrievalMimicCxr(_Retrieval):
    """One number of the retrieval on MIMIC-CXR (Table 2)."""

    table = "retrieval_mimic_cxr"


class RetrievalOpenI(_Retrieval):
    """One number of the retrieval on Open-I (Table 5)."""

    table = "retrieval_open_i"


class _ZeroShot(_Metrics):
    """One number of a classification by two prompts.

    mode: the prompt set, or `mean` over those that describe the label's own finding; then `/lung_only` (all but the
        lung mask is black) or `/border_only` (all but the image's border is black: what is told apart there is no
        finding); then `/paper` where the model is run as the released evaluation ran it. `constant`: methods that see
        no image.
    metric: precision, recall, f1, mcc, balanced_accuracy and positive_rate at argmax, auroc, auprc; with `_sd` the
        standard deviation over prompt sets; prevalence (method chance).
    split: the set, or a subgroup, as in zero_shot_chexpert/view=lateral; headline prompts alone. A subgroup with fewer
        than ten images of a class has positive_rate alone.
    ci_low, ci_high: null also where more than a twentieth of the draws of patients lack a class.
    """


class ZeroShotCovid19(_ZeroShot):
    """One number of the zero-shot classification of COVID-19 against normal (Table 3)."""

    table = "zero_shot_covid19"


class ZeroShotChexpert(_ZeroShot):
    """One number of the zero-shot classification of Enlarged Cardiomediastinum on CheXpert (Table 6)."""

    table = "zero_shot_chexpert"


RADIOLOGY = (RetrievalMimicCxr, RetrievalOpenI, ZeroShotCovid19, ZeroShotChexpert)
"""The X-ray tasks' tables."""


class _Prediction(_Metrics):
    """One number of a prediction task.

    mode: horizon (`unbounded`, `within_48h`, `within_30d`), then `/without_codes` where ICD codes are left out,
        `/shared` in the shared feature space, `/transfer` where MetaVision trained what CareVue tests.
    metric: auroc, auprc (average precision), auprc_trapezoid, brier, ece, calibration_slope, calibration_intercept,
        net_benefit (k: threshold in percent; treating everybody is method `all_positive`), and of method `chance`
        prevalence and auprc, which of a random order lies above it. A metric without a value has no row; ece has no
        interval, for it is biased upwards.
    k: of auroc and auprc, positives trained on (label efficiency, seeds are draws of them); 0: all.
    split: test, cross_validation (mean over five folds), or a subgroup, as in test/sex=F.
    seed: -1 the mean over seeds, with its interval over trainings and subjects; 0 and more one training, without.
    """


class PredictionArf(_Prediction):
    """One number of the prediction of acute respiratory failure (Figure 5)."""

    table = "prediction_arf"


class PredictionShock(_Prediction):
    """One number of the prediction of shock (Figure 5)."""

    table = "prediction_shock"


class PredictionMortality(_Prediction):
    """One number of the prediction of death in hospital (Figure 5)."""

    table = "prediction_mortality"


class PredictionAki(_Prediction):
    """One number of the prediction of acute kidney injury, which the paper does not have."""

    table = "prediction_aki"


class PredictionReadmission(_Prediction):
    """One number of the prediction of readmission (Figure 6)."""

    table = "prediction_readmission"


PREDICTIONS = (PredictionArf, PredictionShock, PredictionMortality, PredictionAki, PredictionReadmission)
"""The prediction tasks' tables."""


class PredictionComparisons(Contract):
    """One paired difference of two methods on the same patients, the first less the second.

    num_seeds: trainings of each method behind it, of label efficiency draws of so many positives. Of one the interval
        holds the subjects alone, and there is no p: it would be of these two trainings and not of the methods.
    """

    table = "prediction_comparisons"
    layer = "evaluation"
    key = ("task", "dataset", "cohort", "mode", "metric", "k", "split", "method", "other")

    task = fields.text("Evaluation task, prediction_arf and so on.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    mode = fields.text("As in the tasks' tables.", nullable=False)
    metric = dy.Enum(["auroc", "auprc"], description="What differs; auprc is the average precision.")
    k = dy.Int32(min=0, description="Positives trained on; 0: all.")
    split = dy.Enum(["test", "cross_validation"], description="Subjects it was measured on.")
    method = dy.Enum(METHODS, description="The first method.")
    other = dy.Enum(METHODS, description="The second.")
    difference = dy.Float64(description="Value of the first less that of the second, means over seeds.")
    ci_low = dy.Float64(nullable=True, description="Lower end of the 95 % interval, trainings and subjects resampled.")
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    num_seeds = dy.Int64(min=1, description="Trainings of each; below five, nothing is tested.")
    p_value = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Two-sided; null: not declared, below five trainings each, or no draw of both.",
    )
    p_holm = dy.Float64(
        nullable=True,
        min=0,
        max=1,
        description="Holm's, over the declared of the same task, cohort, mode and split; null: not tested.",
    )
    is_declared = dy.Bool(description="True where the comparison was declared beforehand: auroc, all positives.")
    n = dy.Int64(min=0, description="Examples behind it.")
    num_positive = dy.Int64(min=0, description="Positives among them.")
    fingerprint = fields.text("Fingerprint of the checkpoint.", nullable=False)
    synthetic = dy.Bool(description="True where any input is synthetic.")


class PredictionMethods(Contract):
    """One method on one task: what validation chose, or why there is no number."""

    table = "prediction_methods"
    layer = "evaluation"
    key = ("task", "dataset", "cohort", "mode", "method")

    task = fields.text("Evaluation task, prediction_arf and so on.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    mode = fields.text("As in the tasks' tables.", nullable=False)
    method = dy.Enum(METHODS, description="The method.")
    reason = fields.text("Why it is not available; null: it is.")
    point = fields.text("Grid point that validation chose, as JSON.")
    num_seeds = dy.Int64(min=0, description="Trainings at that point.")
    num_trials = dy.Int64(min=0, description="Trainings in all: grid, seeds, folds, draws of label efficiency.")
    num_parameters = dy.Int64(nullable=True, min=0, description="Parameters of the network; null: no network.")
    num_train = dy.Int64(nullable=True, min=0, description="Examples that train.")
    num_train_positive = dy.Int64(nullable=True, min=0, description="Positives among them.")
    fingerprint = fields.text("Fingerprint of the checkpoint; null: none stands behind it.")
    synthetic = dy.Bool(description="True where any input is synthetic.")


class Curves(Contract):
    """One point of the ROC and precision-recall curves of one method at the headline of one task: a group's, no one's.

    A point is a cell of `recall`, from the point before to this one: the mean of both curves over it, so that the areas
    of the curves drawn as steps are the task's auroc and auprc. A cell stands for five positives or more, and there are
    no more cells than a fifth of the negatives; a task with fewer than ten of a class has no curve.

    mode: of a prediction the first horizon, with codes; of a classification the headline prompts, then `/paper`.
    """

    table = "curves"
    layer = "evaluation"
    key = ("task", "dataset", "cohort", "mode", "method", "point")

    task = fields.text("Evaluation task, prediction_arf and so on.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    mode = fields.text("As in the tasks' tables.", nullable=False)
    method = dy.Enum(METHODS, description="The method.")
    split = fields.text("Subjects or films it was measured on, as in the tasks' tables.", nullable=False)
    point = dy.Int64(min=1, max=100, description="Number of the cell, that of the highest scores first.")
    recall = dy.Float64(min=0, max=1, description="Share of positives found at the end of the cell: of both curves.")
    false_positive_rate = dy.Float64(min=0, max=1, description="Share of negatives called with them, mean of the cell.")
    precision = dy.Float64(min=0, max=1, description="Share of positives among all that are called, mean of the cell.")
    num_seeds = dy.Int64(min=1, description="Trainings whose curves were averaged, cell by cell.")
    n = dy.Int64(min=20, description="Examples or films behind it.")
    num_positive = dy.Int64(min=10, description="Positives among them.")
    fingerprint = fields.text("Fingerprint of what was trained here and is drawn; null: none stands behind it.")
    synthetic = dy.Bool(description="True where any input is synthetic.")


class Metrics(_Metrics):
    """One number of any evaluation."""

    table = "metrics"


class Lineage(Contract):
    """One input of one published version: follow it from a metric to a raw file."""

    table = "lineage"
    layer = "report"
    key = ("table_name", "input")

    table_name = fields.text("Published table.", nullable=False)
    version = fields.text("Its version.", nullable=False)
    input = fields.text("Table, or raw:<source>/<file>.", nullable=False)
    input_version = fields.text("Version of the table, or digest of the raw file.", nullable=False)
    is_raw = dy.Bool(description="True for raw files.")
    code_version = fields.text("Code that made the table.", nullable=False)
    fingerprint = fields.text("Code, inputs and settings.", nullable=False)


EXHIBITS = [
    *("table_1", "table_2", "table_3", "table_4", "table_5", "table_6"),
    *("figure_5", "figure_6", "figure_7", "figure_8", "figure_9"),
]
"""What the paper shows of data and results."""
BADGES = ["synthetic", "not available", "contaminated", "few seeds", "few steps"]


class PaperTables(Contract):
    """One cell of the paper's tables and figures: our number beside the printed one, and what has to be said of it."""

    table = "paper_tables"
    layer = "report"
    key = ("exhibit", "panel", "row", "column")

    exhibit = dy.Enum(EXHIBITS, description="Table or figure of the paper.")
    panel = fields.text("What it was measured on and how: data set, cohort and mode, as in metrics.", nullable=False)
    row = fields.text("Method or variant as in metrics; in Table 1 what is counted, or the task.", nullable=False)
    column = fields.text("Metric, with _at_ and its cut-off; in Table 1 what is counted.", nullable=False)
    value = dy.Float64(nullable=True, description="Ours: a share, a count in Table 1; null: not available.")
    ci_low = dy.Float64(nullable=True, description="Lower end of the 95 % interval.")
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    n = dy.Int64(nullable=True, min=0, description="Queries, subjects or points behind it.")
    num_seeds = dy.Int64(nullable=True, min=0, description="Trainings behind it; null: nothing was trained here.")
    num_steps = dy.Int64(nullable=True, min=1, description="Steps of each, of models on X-rays that were trained here.")
    batch_size = dy.Int64(nullable=True, min=1, description="Records or films of a step, of the same.")
    paper_value = dy.Float64(nullable=True, description="What the paper prints, in the same unit; null: nothing.")
    badges = dy.List(
        dy.String(), description="synthetic, not available, contaminated, few seeds, few steps; in this order."
    )
    reason = fields.text("Why it is not available; null: it is.")
    asset = fields.text("Table that it comes from, where its lineage begins.", nullable=False)
    fingerprint = fields.text("Fingerprint of the checkpoint; null: none stands behind it.")


class Report(Contract):
    """One section of the report."""

    table = "report"
    layer = "report"
    key = ("section",)

    section = fields.text("Section.", nullable=False)
    page = fields.text("Page that it stands on, below report/.", nullable=False)
    num_rows = dy.Int64(min=0, description="Rows of data shown in it.")
    content_sha256 = fields.sha256("Digest of the data it shows.")
