"""Planted numbers of X-ray tasks, ablation and case studies: few methods, every kind of row."""

from collections.abc import Iterator
from typing import Any

from prediction_rows import curve_points

Row = dict[str, Any]
DIGEST = "cd" * 32
PROMPTS = ("description", "name")
MODELS = {"medcsp": 0.8, "clip_small": 0.6}
ZERO_SHOT = {"auroc": 0.0, "auprc": -0.1, "f1": -0.2, "precision": -0.15, "recall": 0.05}
VARIANTS = {"a_p_d": 0.5, "a": 0.3, "random_batches": 0.35}
CLIP_ABSENT = "set MEDCSP_WEIGHTS to a folder that holds a folder clip"


def x_ray_metrics(checkpoint: str) -> list[Row]:
    """Rows of the tasks that Tables 3 and 5 hold; Table 6's has none."""
    return [_number(row, checkpoint) for row in (*_open_i(), *_covid19())]


def _number(row: Row, fingerprint: str) -> Row:
    given = {"k": 0, "seed": 0, "n": 60, "num_positive": None, "paper_value": None, "synthetic": True}
    value = row["value"]
    ends = {"ci_low": value - 0.05, "ci_high": value + 0.04}
    return given | ends | {"fingerprint": fingerprint} | row


def _open_i() -> Iterator[Row]:
    common = {"task": "retrieval_open_i", "dataset": "open_i", "cohort": "all_views", "split": "retrieval_open_i"}
    for method, value, paper in (("medcsp", 0.3, 0.0049), ("clip_small", 0.2, None), ("chance", 0.1, None)):
        for mode in ("text_to_image", "image_to_text"):
            row = {**common, "method": method, "mode": mode, "metric": "recall_at_k", "k": 1, "value": value}
            yield row | {"paper_value": paper if mode == "text_to_image" else None}


def _covid19() -> Iterator[Row]:
    common = {"task": "zero_shot_covid19", "dataset": "covid19", "cohort": "covid_or_normal", "num_positive": 24}
    whole = common | {"split": "zero_shot_covid19"}
    for metric, lower in ZERO_SHOT.items():
        for method, value in MODELS.items():
            for mode in (*PROMPTS, "mean", "mean/paper", "description/lung_only"):
                paper = 0.6236 if (method, mode, metric) == ("medcsp", "description", "f1") else None
                row = {**whole, "method": method, "mode": mode, "metric": metric, "value": value + lower}
                yield row | {"paper_value": paper}
        yield {**whole, "method": "chance", "mode": "constant", "metric": metric, "value": 0.5, "ci_low": None}
    group = {"split": "zero_shot_covid19/sex=F", "n": 54}
    few = {"split": "zero_shot_covid19/age=65_to_79", "n": 15, "num_positive": 1}
    for harness, value in (("", 0.77), ("/paper", 0.66)):
        here = {**common, "method": "medcsp", "mode": f"description{harness}"}
        yield {**here, **group, "metric": "auroc", "value": value}
        yield {**here, **few, "metric": "auroc", "value": 1.0}
        yield {**here, **few, "metric": "positive_rate", "value": 0.4}


def x_ray_curves(checkpoint: str) -> list[Row]:
    """Curves of both models in both modes by the headline prompts; 24 of 60 films are positive."""
    common = {"task": "zero_shot_covid19", "dataset": "covid19", "cohort": "covid_or_normal", "num_seeds": 1}
    common |= {"split": "zero_shot_covid19", "n": 60, "num_positive": 24, "fingerprint": checkpoint, "synthetic": True}
    return [
        {**common, "method": method, "mode": mode, **point}
        for method, value in MODELS.items()
        for mode in ("description", "description/paper")
        for point in curve_points(24, auroc=value, auprc=value - 0.1)
    ]


def study_metrics(checkpoint: str) -> list[Row]:
    """Rows of `ablation` and `case_studies`."""
    return [_number(row, checkpoint) for row in (*_ablation(), *_cases())]


def _ablation() -> Iterator[Row]:
    common = {"task": "ablation", "cohort": "validation_subjects", "split": "validation"}
    for dataset in ("pretrain_corpus", "planted"):
        for mode in ("text_to_image", "ehr_to_cxr"):
            here = common | {"dataset": dataset, "mode": mode, "metric": "recall_at_k", "k": 10}
            for method, value in VARIANTS.items():
                for seed in (-1, 0, 1):
                    yield here | {"method": method, "seed": seed, "value": value}
            yield here | {"method": "chance", "seed": -1, "value": 0.1, "ci_low": None, "ci_high": None}
    agreement = {"dataset": "planted", "mode": "ehr_to_cxr", "metric": "agreement", "method": "a", "value": -0.01}
    yield common | agreement | {"seed": -1}
    told = {"dataset": "pretrain_corpus", "cohort": "covid_or_normal", "split": "zero_shot_covid19", "metric": "f1"}
    told |= {"task": "ablation", "mode": "description", "num_positive": 24}
    for method, value in VARIANTS.items():
        for seed in (-1, 0, 1):
            yield told | {"method": method, "seed": seed, "value": value + 0.1}
    nothing = {"ci_low": None, "ci_high": None}
    for method, value in (("chance", 0.4), ("all_positive", 0.57)):
        yield told | nothing | {"method": method, "seed": -1, "value": value}


def _cases() -> Iterator[Row]:
    common = {"task": "case_studies", "dataset": "pretrain_corpus", "mode": "modalities", "split": "validation"}
    for method in ("a", "a_p_d"):
        for cohort in ("all_subjects", "patients", "diagnoses"):
            yield {**common, "cohort": cohort, "method": method, "metric": "knn_purity", "k": 10, "value": 0.4}
    by_chance = {"method": "chance", "metric": "knn_purity", "k": 10, "value": 0.3, "ci_low": None, "ci_high": None}
    yield {**common, **by_chance, "cohort": "patients"}


def x_ray_tables(checkpoint: str) -> dict[str, list[Row]]:
    """Rows of what stands beside the numbers."""
    task = {"task": "zero_shot_covid19", "dataset": "covid19", "cohort": "covid_or_normal", "mode": "native"}
    was = {"pictures": "stored", "texts": "prompts", "embed_dim": 16, "context_length": 64, "num_parameters": 1000}
    was |= {"num_images": 60, "num_texts": 4, "reason": None}
    made = {"fingerprint": checkpoint, "synthetic": True}
    absent = {**dict.fromkeys(was), "method": "clip", "reason": CLIP_ABSENT}
    difference = {
        **task, "mode": "description", "metric": "auroc", "k": 0, "split": "zero_shot_covid19", "method": "medcsp",
        "difference": 0.2, "ci_low": 0.1, "ci_high": 0.3, "p_value": 0.001, "p_holm": 0.002, "n": 60,
        "num_positive": 24, **made,
    }  # fmt: skip
    seen = {"dataset": "covid19", "num_films": 60}
    return {
        "radiology_methods": [
            *({**task, **was, "method": method, **made} for method in MODELS),
            {**task, **absent, **made},
            {**task, **absent, "task": "retrieval_mimic_cxr", "dataset": "mimic_cxr", "cohort": "all_views", **made},
        ],
        "radiology_comparisons": [
            {**difference, "other": "clip_small", "is_declared": True},
            {**difference, "other": "clip_small", "metric": "f1", "p_holm": None, "is_declared": False},
        ],
        "exposure": [
            {**seen, "method": "medcsp", "exposure": "none_known", "is_contaminated": False, "num_seen": 0,
             "seen": "nobody of an evaluation set"},
            {**seen, "method": "clip_small", "exposure": "trained_on", "is_contaminated": True, "num_seen": None,
             "seen": "films of the set"},
        ],
        "radiology_duplicates": [
            {"dataset": "covid19", "grouping": "class", "num_images": 60, "num_exact_groups": 1, "num_exact_copies": 1,
             "num_exact_across": 0, "num_near_pairs": 2, "num_near_across": 1}
        ],
        "radiology_small_models": [
            {"method": "clip_small", "num_studies": 20, "num_steps": 50, "batch_size": 8, "num_parameters": 1000,
             "first_loss": 3.0, "last_loss": 1.5, "model_sha256": DIGEST}
        ],
        **_studies(),
    }  # fmt: skip


def _studies() -> dict[str, list[Row]]:
    weights = {"weight_a": 1.0, "weight_p": 0.5, "weight_d": 0.2, "pairs_per_batch": 8.1}
    losses = {"loss_a": 5.0, "loss_p": 3.0, "loss_d": 2.7, "num_candidates": 50, "model_sha256": DIGEST}
    compared = {"cohort": "validation_subjects", "metric": "recall_at_k", "k": 10, "split": "validation"}
    return {
        "ablation_comparisons": [
            {**compared, "dataset": "planted", "mode": "text_to_image", "method": "a_p_d", "other": other, "n": 60,
             "difference": 0.5 - VARIANTS[other], "ci_low": 0.05, "ci_high": 0.3, "num_seeds": 2, "synthetic": True}
            for other in ("a", "random_batches")
        ]
        + [
            {"cohort": "covid_or_normal", "metric": "f1", "k": 0, "split": "zero_shot_covid19", "mode": "description",
             "dataset": "pretrain_corpus", "method": "a_p_d", "other": "a", "n": 60, "difference": 0.2,
             "ci_low": 0.05, "ci_high": 0.3, "num_seeds": 2, "synthetic": True}
        ],
        "ablation_trials": [
            {"dataset": ground, "method": method, "seed": seed, "steps": 40, "batch_size": 16, **weights, **losses}
            for ground in ("pretrain_corpus", "planted")
            for method in VARIANTS
            for seed in (0, 1)
        ],
        "case_study_points": [
            {"figure": figure, "method": method, "projection": projection, "point": point, "case": 1 + point % 3,
             "case_name": f"ICD-10 E{point % 3}" if figure == "diagnoses" else None,
             "source": "ehr" if point % 2 else "cxr", "modality": "note" if point % 2 else "image",
             "x": float(point), "y": float(point * point % 7), "synthetic": True}
            for figure in ("patients", "diagnoses")
            for method in ("a", "a_p_d")
            for projection in ("tsne", "umap")
            for point in range(12)
        ],
    }  # fmt: skip
