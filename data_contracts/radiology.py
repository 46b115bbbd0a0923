"""What the X-ray evaluation looks at and finds beyond its numbers: films, methods, differences, copies, exposure.

The numbers themselves have the columns of every evaluation (`data_contracts.evaluation`).
"""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.evaluation import METHODS

VIEWS = ["frontal", "lateral"]
AGE_GROUPS = ["under_45", "45_to_64", "65_to_79", "80_and_over"]
DATASETS = ["chexpert", "covid19", "mimic_cxr", "open_i"]
SHOWN_TO_ANYONE = ("open_i",)
"""Data sets whose licence lets anyone show their reports and images."""
EXPOSURES = ["none_known", "possible", "same_release", "trained_on"]


class EvaluationFilms(Contract):
    """One X-ray image that is searched or classified, with what is known of it; nothing is trained on it."""

    table = "evaluation_films"
    layer = "labels"
    key = ("source", "record_id")

    source = fields.source()
    record_id = fields.record_id()
    subject_id = fields.subject_id()
    study_id = fields.study_id()
    split = fields.split()
    view = dy.Enum(VIEWS, nullable=True, description="View; null where the release does not say, or neither of both.")
    sex = dy.Enum(["F", "M"], nullable=True, description="Sex; null where no table of the release or MIMIC-IV has it.")
    age_years = dy.Int32(nullable=True, min=0, max=130, description="Age when it was taken.")
    age_group = dy.Enum(AGE_GROUPS, nullable=True, description="The same in the bands of the prediction tasks.")
    label = dy.Bool(
        nullable=True,
        description="COVID-19 (class COVID against Normal), or Enlarged Cardiomediastinum (CheXpert); null: no label.",
    )
    origin = fields.text(
        "Where the image comes from within its release: host of its URL, of collections their name too."
    )
    official_split = dy.Enum(
        ["test", "train", "validate"], nullable=True, description="Part of MIMIC-CXR-JPG's recommended split."
    )
    path = fields.text("File below the root of its release.", nullable=False)
    mask_path = fields.text("Lung mask below the root of its release; null where it has none.")


class RadiologySmallModels(Contract):
    """One small model of a published family, trained on the pre-training X-rays; empty where none is asked for."""

    table = "radiology_small_models"
    layer = "checkpoint"
    key = ("method",)

    method = dy.Enum(METHODS, description="The model.")
    num_studies = dy.Int64(min=1, description="Studies that it was trained on.")
    num_steps = dy.Int64(min=1, description="Steps of training.")
    batch_size = dy.Int64(min=1, description="Studies of a step, where there are so many.")
    num_parameters = dy.Int64(min=1, description="Parameters.")
    first_loss = dy.Float64(description="Mean loss of the first tenth of the steps, under the family's own objective.")
    last_loss = dy.Float64(description="Of the last tenth.")
    model_sha256 = fields.sha256("Digest of the finished weights.")


class RadiologyMethods(Contract):
    """One method on one X-ray task in one mode: what it is, or why there is no number."""

    table = "radiology_methods"
    layer = "evaluation"
    key = ("task", "dataset", "cohort", "mode", "method")

    task = fields.text("Evaluation task, retrieval_open_i and so on.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    mode = dy.Enum(["native", "paper"], description="As its authors ran it, or as the released evaluation did.")
    method = dy.Enum(METHODS, description="The method.")
    reason = fields.text("Why it is not available; null: it is.")
    pictures = dy.Enum(
        ["original", "stored"],
        nullable=True,
        description="What it was shown: the film's own file (of DICOM at its full size), or the square training reads.",
    )
    texts = dy.Enum(
        ["report", "findings_and_impression", "prompts"], nullable=True, description="What it was given to read."
    )
    embed_dim = dy.Int64(nullable=True, min=1, description="Width of its embeddings.")
    context_length = dy.Int64(nullable=True, min=1, description="Most tokens of such a text.")
    num_parameters = dy.Int64(nullable=True, min=0, description="Parameters.")
    num_images = dy.Int64(nullable=True, min=0, description="Images that it embedded.")
    num_texts = dy.Int64(nullable=True, min=0, description="Texts that it embedded.")
    fingerprint = fields.text(
        "Fingerprint of what was trained here, or digest of the method's files; null: there are none."
    )
    synthetic = dy.Bool(description="True where any input is synthetic.")


class RadiologyComparisons(Contract):
    """One paired difference of two methods on the same X-rays, the first less the second."""

    table = "radiology_comparisons"
    layer = "evaluation"
    key = ("task", "dataset", "cohort", "mode", "metric", "k", "split", "method", "other")

    task = fields.text("Evaluation task.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    mode = fields.text("As in the tasks' tables; both methods in the same mode.", nullable=False)
    metric = fields.text("What differs, as in the tasks' tables.", nullable=False)
    k = dy.Int32(min=0, description="Cut-off; 0: none.")
    split = fields.text("Films it was measured on.", nullable=False)
    method = dy.Enum(METHODS, description="The first method.")
    other = dy.Enum(METHODS, description="The second.")
    difference = dy.Float64(description="Value of the first less that of the second.")
    ci_low = dy.Float64(nullable=True, description="Lower end of the 95 % interval, patients resampled.")
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    p_value = dy.Float64(
        nullable=True, min=0, max=1, description="Two-sided; null: not declared, or no draw has a value."
    )
    p_holm = dy.Float64(
        nullable=True, min=0, max=1, description="Holm's, over the task's declared; null: not declared."
    )
    is_declared = dy.Bool(
        description="True where the comparison was declared beforehand: R@10 of text to image on all views, AUROC of "
        "the headline prompts; both in mode native, with the paper's baselines."
    )
    n = dy.Int64(min=0, description="Queries or images behind it.")
    num_positive = dy.Int64(nullable=True, min=0, description="Positives among them.")
    fingerprint = fields.text("Fingerprint of the checkpoint.", nullable=False)
    synthetic = dy.Bool(description="True where any input is synthetic.")


class RadiologyDuplicates(Contract):
    """How many images of one evaluation set are copies, over one grouping; by the pixels as they are stored."""

    table = "radiology_duplicates"
    layer = "evaluation"
    key = ("dataset", "grouping")

    dataset = fields.text("Data set.", nullable=False)
    grouping = dy.Enum(
        ["class", "origin", "study", "subject"], description="What a copy may lie across: a leak or a wrong label."
    )
    num_images = dy.Int64(min=0, description="Images.")
    num_exact_groups = dy.Int64(min=0, description="Groups of images with equal pixels.")
    num_exact_copies = dy.Int64(min=0, description="Images beyond the first of each.")
    num_exact_across = dy.Int64(min=0, description="Such groups that hold images of more than one group.")
    num_near_pairs = dy.Int64(min=0, description="Pairs alike by dHash (setting most_bits) and not equal.")
    num_near_across = dy.Int64(min=0, description="Such pairs of two groups.")


class Exposure(Contract):
    """What one model has seen of one evaluation set in its training, and ours in that of its towers before it."""

    table = "exposure"
    layer = "evaluation"
    key = ("method", "dataset")

    method = dy.Enum(METHODS, description="The model.")
    dataset = dy.Enum(DATASETS, description="The evaluation set.")
    exposure = dy.Enum(
        EXPOSURES,
        description="trained_on: films of the set itself; same_release: others of its release, perhaps these; "
        "possible: collections that may hold some; none_known: nothing that its authors list.",
    )
    is_contaminated = dy.Bool(
        description="True where a number of the model on the set is marked: trained on its films."
    )
    seen = fields.text("What it has seen, as its authors say, and how that overlaps.", nullable=False)
    num_films = dy.Int64(min=0, description="Films of the evaluation set here.")
    num_seen = dy.Int64(
        nullable=True,
        min=0,
        description="Those of them it was trained on: counted (of ours, in pre-training), or the official part; null: "
        "unknown.",
    )


class RetrievalExamples(Contract):
    """One image that a report finds, of a few reports of sets that may be shown; empty where none is asked for."""

    table = "retrieval_examples"
    layer = "evaluation"
    key = ("dataset", "example", "rank")

    dataset = dy.Enum(DATASETS, description="Data set.")
    example = dy.Int64(min=1, description="Number of the report.")
    rank = dy.Int64(min=1, description="Place of the image, the most similar first.")
    record_id = fields.record_id()
    is_own = dy.Bool(description="True where the image is of the report's own study.")
    text = fields.text("The report.", nullable=False)
    picture = dy.Binary(description="The image as a small PNG file.")
