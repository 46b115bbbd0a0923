"""What the parts of the method bring, and what its embeddings look like: the ablation and the case studies."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract
from data_contracts.evaluation import METHODS, _Metrics

GROUNDS = ["pretrain_corpus", "planted"]
"""What variants are trained and measured on."""
PROJECTIONS = ["tsne", "umap"]
FIGURES = ["patients", "diagnoses"]


class Ablation(_Metrics):
    """One number of one variant of the recipe (Figure 7).

    dataset: what it was trained on: pretrain_corpus, or planted records on which random draws hardly ever meet a pair.
    method: the recipe (`a_p_d`), its parts taken away, or one of its repairs undone; `chance` beside them, and
        `all_positive` beside f1.
    mode: text_to_image, or from the other source to the films; recall_at_k in both, agreement (Spearman's correlation
        of the similarity of embeddings and of conditions, mean over records) in the latter. f1 and auroc are those of
        the films of zero_shot_covid19 (cohort and split say so) under the headline prompt set, which is the mode.
    seed: -1 the mean over seeds, with the interval over seeds and subjects; 0 and more one training, without.
    """

    table = "ablation"


class AblationComparisons(Contract):
    """How far the recipe lies above one variant, paired by seed and subject."""

    table = "ablation_comparisons"
    layer = "evaluation"
    key = ("dataset", "cohort", "mode", "metric", "k", "split", "method", "other")

    dataset = dy.Enum(GROUNDS, description="What both were trained and measured on.")
    cohort = fields.text("Who was measured.", nullable=False)
    mode = fields.text("As in ablation.", nullable=False)
    metric = dy.Enum(["recall_at_k", "agreement", "f1", "auroc"], description="What differs.")
    k = dy.Int32(min=0, description="Cut-off; 0: none.")
    split = fields.text("As in ablation.", nullable=False)
    method = dy.Enum(METHODS, description="The recipe.")
    other = dy.Enum(METHODS, description="The variant.")
    difference = dy.Float64(description="Value of the recipe less that of the variant, means over seeds.")
    ci_low = dy.Float64(
        nullable=True,
        description="Lower end of the 95 % interval, seeds and subjects resampled; not adjusted. Null where more than "
        "a twentieth of the draws lack a class.",
    )
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    num_seeds = dy.Int64(min=1, description="Trainings of each; of one, the interval holds the subjects alone.")
    n = dy.Int64(min=1, description="Queries or films behind it.")
    synthetic = dy.Bool(description="True where any input is synthetic.")


class AblationTrials(Contract):
    """One training of one variant: how long, how heavy its losses, how many pairs it met."""

    table = "ablation_trials"
    layer = "evaluation"
    key = ("dataset", "method", "seed")

    dataset = dy.Enum(GROUNDS, description="What it was trained on.")
    method = dy.Enum(METHODS, description="The variant.")
    seed = dy.Int32(description="Of weights, batches and dropout.")
    steps = dy.Int64(min=1, description="Optimiser steps, the same for all variants.")
    batch_size = dy.Int64(min=1, description="Records of each source in a batch.")
    weight_a = dy.Float64(min=0, description="Weight of L_A.")
    weight_p = dy.Float64(min=0, description="Weight of L_P; 0 where no other source trains.")
    weight_d = dy.Float64(min=0, description="Weight of L_D times the mean mass of its targets: its effective weight.")
    pairs_per_batch = dy.Float64(min=0, description="Linked pairs in a batch, mean over steps.")
    loss_a = dy.Float64(description="L_A at the end.")
    loss_p = dy.Float64(description="L_P at the end.")
    loss_d = dy.Float64(description="L_D at the end.")
    num_candidates = dy.Int64(min=1, description="Studies in the gallery that is searched.")
    model_sha256 = fields.sha256("Digest of the weights.")


class CaseStudies(_Metrics):
    """One number of what the embeddings of a variant look like (Figures 8 and 9).

    cohort: all unseen subjects, or the cases that are drawn: three patients, three diagnoses.
    metric: silhouette_by_case, silhouette_by_modality (cosine distance; -1 to 1), knn_purity (share of the 10 nearest
        points of other studies that are of the same case; of method `chance`, of all of them), agreement (Spearman's
        correlation of the similarity of embeddings and of diagnosis histories, records of two sources),
        patient_agreement (the same of patients).
    """

    table = "case_studies"


class CaseStudyPoints(Contract):
    """One modality of one record as a point of a drawing; no id stands in it."""

    table = "case_study_points"
    layer = "evaluation"
    key = ("figure", "method", "projection", "point")

    figure = dy.Enum(FIGURES, description="patients: Figure 8; diagnoses: Figure 9.")
    method = dy.Enum(METHODS, description="Variant whose embeddings are drawn.")
    projection = dy.Enum(PROJECTIONS, description="How they were brought to two dimensions.")
    point = dy.Int64(min=0, description="Number of the point, the same in all drawings of a figure.")
    case = dy.Int64(min=1, max=3, description="Which patient or diagnosis, by a number.")
    case_name = fields.text("The diagnosis code; null for a patient.")
    source = fields.source()
    modality = fields.text("Modality of the record.", nullable=False)
    x = dy.Float64(description="First coordinate, no unit.")
    y = dy.Float64(description="Second coordinate.")
    synthetic = dy.Bool(description="True where any input is synthetic.")
