"""Writes the tables of docs/results_synthetic.md from the lines of the study: no number in them is typed by hand.

`python -m benchmarks.quality.page --runs <folder>/runs.jsonl --page docs/results_synthetic.md` replaces what stands
between the two markers of the page, and leaves the lines it was made from beside it, in docs/results_synthetic.jsonl.

Intervals are Student's, over seeds: a seed draws patients, weights and batches anew, so runs of several seeds are
independent, and their spread holds all three; a bootstrap of five values would be too narrow. Differences are paired by
seed, since all arms of a seed share its patients.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.quality.arms import ARMS
from medcsp_model.evaluation.ablation.bench import MEASURES

FULL = "a_p_d"
BEGIN, END = "<!-- tables: python -m benchmarks.quality.page -->", "<!-- end of tables -->"
HEADINGS = {
    "text_image_r10": "text to image R@10",
    "cross_source_r10": "EHR to X-ray of the patient R@10",
    "agreement": "agreement with the truth",
}
OTHER_PAIRS = (("quarter_a", "full_centroid"), ("norm_head", "shared_head"), ("a_d", "a"), ("paper", "random_batches"))
"""Arms that are compared with each other, beside each with the full recipe."""
Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Interval:
    """Mean of some values and its 95 % interval; without one of fewer than two values."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Student's interval of the mean of independent values."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean, -np.inf, np.inf)
        half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
        return cls(mean, mean - half, mean + half)

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def values_of(lines: Lines, arm: str, measure: str) -> dict[int, float]:
    """A measure of an arm by seed."""
    return {line["seed"]: line["measures"][measure]["value"] for line in lines if line["arm"] == arm}


def difference(lines: Lines, measure: str, *, less: str, full: str = FULL) -> Interval:
    """How much higher one arm lies than another, paired by the seeds that both have.

    Raises:
        ValueError: no seed has both.
    """
    left, right = values_of(lines, full, measure), values_of(lines, less, measure)
    both = sorted(set(left) & set(right))
    if not both:
        raise ValueError(f"no seed has lines of both {full} and {less}; run: python -m benchmarks.quality")
    return Interval.of([left[seed] - right[seed] for seed in both])


def tables(lines: Lines) -> str:
    """All tables as Markdown.

    Raises:
        ValueError: the lines lack the full recipe, or hold one arm and seed twice.
    """
    keys = [(line["arm"], line["seed"]) for line in lines]
    if len(set(keys)) < len(keys):
        raise ValueError("an arm and seed have two lines; keep one of them")
    present = {arm for arm, _ in keys}
    if FULL not in present:
        raise ValueError(f"no line of {FULL}; run: python -m benchmarks.quality --arms {FULL}")
    arms = [arm for arm in ARMS if arm in present]
    parts = [_values(lines, arms), _differences(lines, arms), _claims(lines, present), _costs(lines, arms)]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _values(lines: Lines, arms: Sequence[str]) -> str:
    rows = []
    for arm in arms:
        values = [values_of(lines, arm, measure) for measure in MEASURES]
        rows.append(
            [f"`{arm}`", ARMS[arm].what, str(len(values[0])), *(str(Interval.of([*v.values()])) for v in values)]
        )
    chance = [f"{np.mean([line['chance'][measure] for line in lines]):.3f}" for measure in MEASURES]
    counts = [line["num_candidates"] for line in lines]
    text = f"Mean over seeds [95 % interval]; {min(counts)} to {max(counts)} candidates."
    head = ["arm", "what", "seeds", *HEADINGS.values()]
    return f"{text}\n\n{_table(head, [*rows, ['chance', '', '', *chance]])}"


def _differences(lines: Lines, arms: Sequence[str]) -> str:
    rows = [
        [f"`{FULL}` - `{arm}`", *(_mark(difference(lines, measure, less=arm)) for measure in MEASURES)]
        for arm in arms
        if arm != FULL
    ]
    rows += [
        [f"`{full}` - `{less}`", *(_mark(difference(lines, measure, full=full, less=less)) for measure in MEASURES)]
        for full, less in OTHER_PAIRS
        if {full, less} <= set(arms)
    ]
    text = "Differences paired by seed; bold where the interval excludes 0, which nothing is adjusted for."
    return f"{text}\n\n{_table(['difference', *HEADINGS.values()], rows)}"


def _mark(value: Interval) -> str:
    return f"**{value}**" if value.low > 0 or value.high < 0 else str(value)


CLAIMS = [
    ("Removing L_P lowers cross-source retrieval", "a_d", ("cross_source_r10",)),
    ("Removing L_D lowers the agreement", "a_p", ("agreement",)),
    ("X-rays alone: lower cross-source retrieval and agreement", "single_source", ("cross_source_r10", "agreement")),
    ("`default()` beats `paper()` on every measure", "paper", MEASURES),
    ("Link-aware batches raise cross-source retrieval", "random_batches", ("cross_source_r10",)),
    ("The leave-one-out centroid raises text to image", "full_centroid", ("text_image_r10",)),
    ("Without the paper's head every measure is higher", "shared_head", MEASURES),
]


def _claims(lines: Lines, present: set[str]) -> str:
    full = [line for line in lines if line["arm"] == FULL]
    ratios = [line["measures"]["text_image_r10"]["value"] / line["chance"]["text_image_r10"] for line in full]
    rows = [
        [
            "Text to image R@10 at least 10 times chance",
            f"{min(ratios):.1f} times, worst seed",
            _verdict(min(ratios) >= 10),
        ]
    ]
    for claim, less, measures in CLAIMS:
        if less in present:
            found = [difference(lines, measure, less=less) for measure in measures]
            rows.append([claim, "; ".join(map(str, found)), _verdict(all(value.low > 0 for value in found))])
    random = [line["pairs_per_batch"] for line in lines if line["settings"]["batch"]["plan"] == "random"]
    if random:
        rows.append(
            ["Random draws: fewer than 0.6 pairs a batch", f"{max(random):.3f} at most", _verdict(max(random) < 0.6)]
        )
    return _table(["claim", "measured", "shown"], rows)


def _verdict(shown: bool) -> str:
    return "yes" if shown else "no"


def _costs(lines: Lines, arms: Sequence[str]) -> str:
    rows = []
    for arm in arms:
        mine = [line for line in lines if line["arm"] == arm]
        rate = mine[0]["settings"]["optimiser"]["lr"]
        weights = [mine[0]["settings"]["loss"][f"lambda_{name}"] for name in "ap"]
        weights.append(float(np.mean([line["effective_weight_d"] for line in mine])))
        if ARMS[arm].variant.films_alone:  # L_P and L_D have no pair of sources
            weights[1:] = [0.0, 0.0]
        cells = [
            f"{np.mean([line[key] for line in mine]):.{places}f}"
            for key, places in (("pairs_per_batch", 2), ("cpu_seconds", 0))
        ]
        rows.append(
            [f"`{arm}`", str(mine[0]["steps"]), f"{rate:g}", " / ".join(f"{weight:.3g}" for weight in weights), *cells]
        )
    head = ["arm", "steps", "learning rate", "effective weight of L_A / L_P / L_D", "pairs a batch", "CPU s a run"]
    return _table(head, rows)


def write_page(page: Path, lines: Lines) -> None:
    """Replace what stands between the markers of a page, and write the lines beside it.

    Raises:
        ValueError: the page has not both markers.
    """
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page}: needs the lines {BEGIN!r} and {END!r} once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{tables(lines)}\n\n{END}{after}")
    ordered = sorted(lines, key=lambda line: (list(ARMS).index(line["arm"]), line["seed"]))
    page.with_suffix(".jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in ordered))


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    parser = argparse.ArgumentParser(description="Write the tables of the page from the lines of the study.")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True)
    given = parser.parse_args()
    try:
        write_page(given.page, [json.loads(line) for line in given.runs.read_text().splitlines()])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
