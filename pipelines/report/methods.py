"""What methods, variants and metrics are called, and the order in which they stand.

Not here: the methods of prediction tasks (`prediction_numbers`), which have an order of their own.
"""

from collections.abc import Iterable

from pipelines.report.content import Role
from pipelines.report.prediction_numbers import METHOD_TITLES

TITLES: dict[str, tuple[str, Role]] = {
    "medcsp": ("MedCSP", "ours"),
    "medcsp_llm": ("MedCSP with LLM", "own"),
    "medcsp_released": ("MedCSP, released", "own"),
    "clip": ("CLIP", "baseline"),
    "medclip": ("MedCLIP", "baseline"),
    "biomedclip": ("BiomedCLIP", "baseline"),
    "pubmedclip": ("PubMedCLIP", "baseline"),
    "cxr_clip": ("CXR-CLIP", "baseline"),
    "llava_med": ("LLaVA-Med", "baseline"),
    "llava_med_v1": ("LLaVA-Med 1.0", "baseline"),
    "medsiglip": ("MedSigLIP", "baseline"),
    "whyxrayclip": ("WhyXrayCLIP", "baseline"),
    "xraysiglip": ("XraySigLIP", "baseline"),
    "unimed_clip": ("UniMed-CLIP", "baseline"),
    "clip_small": ("CLIP, small", "baseline"),
    "biomedclip_small": ("BiomedCLIP, small", "baseline"),
    "medclip_small": ("MedCLIP, small", "baseline"),
    "cxr_clip_small": ("CXR-CLIP, small", "baseline"),
    "llava_med_small": ("LLaVA-Med, small", "baseline"),
    "a_p_d": ("A + P + D", "ours"),
    "a_p": ("A + P", "own"),
    "a_d": ("A + D", "own"),
    "a": ("A", "own"),
    "single_source": ("single source", "own"),
    "random_batches": ("random batches", "baseline"),
    "full_centroid": ("full centroid", "baseline"),
    "any_negative": ("any negative", "baseline"),
    "one_positive": ("one positive", "baseline"),
    "one_direction": ("one direction", "baseline"),
    "raw_target": ("raw target", "baseline"),
    "own_in_d": ("own in D", "baseline"),
    "no_history_in_d": ("no history in D", "baseline"),
    "shared_head": ("the paper’s head", "baseline"),
    **{name: said for name, said in METHOD_TITLES.items() if name != "medcsp"},
    "all_positive": ("all positive", "simple"),
    "all_negative": ("all negative", "simple"),
    "ceiling": ("Ceiling", "simple"),
    "chance": ("Chance", "simple"),
}
"""What each is called and how it is drawn; whatever is `small` was trained here, by its family's objective."""
METRICS = {
    "precision_at_k": "P",
    "recall_at_k": "R",
    "hit_at_k": "Hit",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "MCC",
    "positive_rate": "Called positive",
    "agreement": "Agreement",
    "patient_agreement": "Agreement of patients",
    "silhouette_by_case": "Silhouette by case",
    "silhouette_by_modality": "Silhouette by modality",
    "knn_purity": "kNN purity",
    "f1_below_the_recipe": "F1 below the recipe",
}


def title(name: str) -> str:
    """What a method or variant is called."""
    return TITLES[name][0] if name in TITLES else name.replace("_", " ")


def role(name: str) -> Role:
    """How it is drawn."""
    return TITLES[name][1] if name in TITLES else "baseline"


def in_order(names: Iterable[str]) -> list[str]:
    """Methods in the order in which they stand, each once; those without a title last."""
    order = {name: index for index, name in enumerate(TITLES)}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))


def split_column(column: str) -> tuple[str, int]:
    """`recall_at_10` as `recall_at_k` and 10; a metric without a cut-off as it is, with 0."""
    metric, at, cut_off = column.rpartition("_at_")
    return (f"{metric}_at_k" if f"{metric}_at_k" in METRICS else metric, int(cut_off)) if at else (column, 0)


def metric_title(metric: str, k: int = 0) -> str:
    """`P@10`, `kNN purity (10)`, `F1`."""
    name = METRICS.get(metric, metric.replace("_", " "))
    if not k:
        return name
    return f"{name}@{k}" if metric.endswith("_at_k") else f"{name} ({k})"


def columns_in_order(columns: Iterable[str]) -> list[str]:
    """Columns of `paper_tables` by metric, then cut-off."""
    order = {name: index for index, name in enumerate(METRICS)}
    parts = {column: split_column(column) for column in columns}
    return sorted(parts, key=lambda column: (order.get(parts[column][0], len(order)), *parts[column][::-1]))
