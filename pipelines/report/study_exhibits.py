"""Figures 7 to 9 as rows: the ablation beside what the paper's text says of it, and the case studies."""

from collections.abc import Iterator
from typing import Any

from pipelines.report.cells import FEW_STEPS, OURS, Published, Row, cell_of, column_name, nothing
from pipelines.report.paper_numbers import FIGURE_7_LOSSES, paper_value

ABLATION, COMPARISONS, CASE_STUDIES = "ablation", "ablation_comparisons", "case_studies"
CORPUS, FILMS = "pretrain_corpus", "zero_shot_covid19"
"""What variants are trained on, and what those of the corpus classify, as in the paper."""
FULL, F1, LOSS = "a_p_d", "f1", "f1_below_the_recipe"
CASES = {"figure_8": "patients", "figure_9": "diagnoses"}


def ablated(published: Published) -> Iterator[dict[str, Any]]:
    """Figure 7: variants of the recipe, means over seeds; the paper's own bars are F1 of the classification."""
    own = [row for row in published.metrics if row["task"] == ABLATION]
    seeds: dict[tuple[str, str], set[int]] = {}
    for row in own:
        if row["seed"] >= 0:
            seeds.setdefault((row["dataset"], row["method"]), set()).add(row["seed"])
    for row in own:
        if row["seed"] >= 0:
            continue
        is_printed = _is_printed(row) and (row["method"], row["metric"]) == (FULL, F1)
        panel = FILMS if _is_printed(row) else f"{row['dataset']}/{row['mode']}"
        trained = seeds.get((row["dataset"], row["method"]))
        yield cell_of(
            "figure_7",
            ABLATION,
            (panel, row["method"], column_name(row["metric"], row["k"])),
            row,
            paper=_recipes_f1() if is_printed else None,
            num_seeds=len(trained) if trained else None,
            is_short=bool(trained) and _is_short(published, row["dataset"]),
        )
    if not own:
        yield nothing("figure_7", ABLATION, published.missing.get(ABLATION, "the table ablation is empty"))
    yield from _below_the_recipe(published, own)


def _is_printed(row: Row) -> bool:
    return (row["dataset"], row["split"]) == (CORPUS, FILMS)


def _recipes_f1() -> float | None:
    """What Table 3 prints of the whole recipe on Figure 7's films; the text says of two variants how far below."""
    return paper_value(FILMS, OURS, F1, 0)


def _is_short(published: Published, dataset: str) -> bool:
    """Whether variants were trained for much fewer steps than the checkpoint, on the same corpus."""
    steps = [row["steps"] for row in published.ablation_trials if row["dataset"] == dataset == CORPUS]
    return bool(steps) and max(steps) < FEW_STEPS * published.num_checkpoint_steps


def _below_the_recipe(published: Published, own: list[Row]) -> Iterator[dict[str, Any]]:
    """How far F1 falls below the whole recipe's, which the text prints of two variants; why there is none."""
    compared = [row for row in published.ablation_comparisons if _is_printed(row) and row["metric"] == F1]
    of_variant = {row["other"]: row for row in compared}
    reason = published.not_classified or published.missing.get(ABLATION)
    if compared:
        reason = "the profile does not train it on the corpus (ablation.variants)"
    if not any(_is_printed(row) for row in own):
        yield cell_of("figure_7", ABLATION, (FILMS, FULL, F1), paper=_recipes_f1(), reason=reason or _NO_VARIANT)
    for variant in dict.fromkeys([*of_variant, *FIGURE_7_LOSSES]):
        row = of_variant.get(variant)
        number = {**row, "value": row["difference"], "fingerprint": own[0]["fingerprint"]} if row else None
        yield cell_of(
            "figure_7",
            COMPARISONS if row else ABLATION,
            (FILMS, variant, LOSS),
            number,
            paper=FIGURE_7_LOSSES.get(variant),
            num_seeds=row["num_seeds"] if row else None,
            is_short=bool(row) and _is_short(published, CORPUS),
            reason=None if row else reason or _NO_VARIANT,
        )


_NO_VARIANT = "the profile trains no variant on the corpus (ablation.variants)"


def cases(published: Published, exhibit: str) -> Iterator[dict[str, Any]]:
    """Figures 8 and 9: what the drawings show, as numbers, over what is drawn and over all unseen subjects."""
    found = [row for row in published.metrics if row["task"] == CASE_STUDIES]
    for row in found:
        if row["cohort"] in (CASES[exhibit], "all_subjects"):
            place = (f"{row['dataset']}/{row['cohort']}", row["method"], column_name(row["metric"], row["k"]))
            yield cell_of(exhibit, CASE_STUDIES, place, row, num_seeds=None if row["method"] == "chance" else 1)
    if not found:
        reason = published.missing.get(CASE_STUDIES, "the table case_studies is empty")
        yield nothing(exhibit, CASE_STUDIES, reason)
