"""Zero-shot classification by two prompts: the paper's measures, and those beside which they mean something.

A **prompt set** is a TOML file: `name`, `finding` (what the positive prompts say), `pooling`, and lists `positive` and
`negative` of texts. Those of our own wording lie in `prompts/<task>/`; any folder of such files will do, such as one
with the authors' own. Text files only: nothing of a prompt is in code.

The score of an image is the logit of the positive prompt less that of the negative one. Softmax and argmax say
`positive` where it is above zero (equal logits are negative), and its order is that of the softmax, whose float32 would
tie where the logit scale is large.

Letters: N images, D width, P prompts, S prompt sets, B draws.
"""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcsp_model.evaluation import areas, scores
from medcsp_model.evaluation.areas import Bools, Floats, Metric
from medcsp_model.evaluation.scores import Estimate

Pooling = Literal["mean_embedding", "mean_logit", "max_logit"]
PROMPTS = Path(__file__).parent / "prompts"
"""Folder of the prompt sets that come along, one folder a task."""
MEAN = "mean"
"""Stands for the mean over prompt sets where a set's name would."""
_KEYS = {"name": str, "finding": str, "pooling": str, "positive": list, "negative": list}


@dataclass(frozen=True)
class PromptSet:
    """Prompts of the two classes.

    Attributes:
        name: what figures call it.
        finding: what the positive prompts describe; a set that describes another finding than the label's own is
            measured, and left out of the mean.
        pooling: mean of the prompts' embeddings at length 1, mean of their logits, or the largest.
        positive, negative: at least one prompt each.
    """

    name: str
    finding: str
    pooling: Pooling
    positive: tuple[str, ...]
    negative: tuple[str, ...]


def read_prompts(folder: str | Path) -> list[PromptSet]:
    """Every prompt set of a folder, by file name.

    Raises:
        ValueError: no file, a file that is not of the form above, or two sets of one name.
    """
    paths = sorted(Path(folder).glob("*.toml"))
    if not paths:
        raise ValueError(f"{folder}: no prompt sets (*.toml); copy one of {PROMPTS.name}/ and change it")
    found = [_read(path) for path in paths]
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{folder}: more than one prompt set is called {', '.join(twice)}")
    return found


def _read(path: Path) -> PromptSet:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    wrong = [key for key, kind in _KEYS.items() if not isinstance(values.get(key), kind) or not values[key]]
    unknown = sorted(set(values) - set(_KEYS))
    if wrong or unknown:
        raise ValueError(f"{path}: missing or empty {wrong}, unknown {unknown}; a prompt set has {', '.join(_KEYS)}")
    if values["name"] == MEAN:
        raise ValueError(f"{path}: name {MEAN!r} stands for the mean over prompt sets; take another")
    texts = [*values["positive"], *values["negative"]]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{path}: positive and negative must be lists of texts, none of them empty")
    if values["pooling"] not in get_args(Pooling):
        raise ValueError(f"{path}: pooling {values['pooling']!r}; one of {', '.join(get_args(Pooling))}")
    return PromptSet(
        values["name"], values["finding"], values["pooling"], tuple(values["positive"]), tuple(values["negative"])
    )


def about(prompts: Sequence[PromptSet], finding: str) -> list[str]:
    """Names of the prompt sets that describe a finding, whichever case it is written in."""
    return [each.name for each in prompts if each.finding.casefold() == finding.casefold()]


def first_sentences(text: str, count: int) -> str:
    """The first sentences of a prompt, cut at full stops as the released code cuts them for models of 77 tokens."""
    return ".".join(text.split(".")[:count])


def class_logits(
    image_ND: NDArray[np.float32],
    negative_PD: NDArray[np.float32],
    positive_PD: NDArray[np.float32],
    *,
    logit_scale: float,
    pooling: Pooling,
) -> Floats:
    """Logits of the negative and the positive class, float64 (N, 2).

    Args:
        image_ND: image embeddings of length 1.
        negative_PD: embeddings of the negative prompts, of length 1.
        positive_PD: embeddings of the positive prompts, of length 1.
        logit_scale: what the model multiplies cosines by (its temperature's inverse, not the logarithm).
        pooling: how several prompts become one.
    """
    image = image_ND.astype(np.float64)
    columns = []
    for prompts in (negative_PD.astype(np.float64), positive_PD.astype(np.float64)):
        if pooling == "mean_embedding":
            mean = prompts.mean(axis=0)
            columns.append(image @ (mean / max(float(np.linalg.norm(mean)), 1e-12)))
        else:
            cosine_NP = image @ prompts.T
            columns.append(cosine_NP.mean(axis=1) if pooling == "mean_logit" else cosine_NP.max(axis=1))
    logits_N2: Floats = logit_scale * np.stack(columns, axis=1)
    return logits_N2


def softmax(logits_N2: Floats) -> Floats:
    """Probabilities of the two classes, float64 (N, 2)."""
    shifted = np.exp(logits_N2 - logits_N2.max(axis=1, keepdims=True))
    share_N2: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return share_N2


def margin(logits_N2: Floats) -> Floats:
    """Score of every image, float64 (N,): positive where argmax is."""
    score_N: Floats = logits_N2[:, 1] - logits_N2[:, 0]
    return score_N


@dataclass(frozen=True)
class _Table:
    """Weights of the four cells of a confusion matrix, float64 (B,)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def _at_argmax(measure: Callable[[_Table], Floats]) -> Metric:
    """A measure of the confusion matrix as one of labels, scores and weights."""

    def of_scores(label_N: Bools, score_N: Floats, weight_NB: Floats) -> Floats:
        said_N = score_N > 0
        cells = np.stack([label_N & said_N, ~label_N & said_N, label_N & ~said_N, ~label_N & ~said_N])
        return measure(_Table(*(cells.astype(np.float64) @ weight_NB)))

    return of_scores


def _ratio(over: Floats, under: Floats, *, empty: float) -> Floats:
    return np.where(under > 0, over / np.where(under > 0, under, 1.0), empty)


def _balanced(t: _Table) -> Floats:
    nan = float("nan")
    return (_ratio(t.tp, t.tp + t.fn, empty=nan) + _ratio(t.tn, t.tn + t.fp, empty=nan)) / 2


def _mcc(t: _Table) -> Floats:
    product = (t.tp + t.fp) * (t.tp + t.fn) * (t.tn + t.fp) * (t.tn + t.fn)
    return _ratio(t.tp * t.tn - t.fp * t.fn, np.sqrt(product), empty=0.0)


METRICS: dict[str, Metric] = {
    "precision": _at_argmax(lambda t: _ratio(t.tp, t.tp + t.fp, empty=0.0)),
    "recall": _at_argmax(lambda t: _ratio(t.tp, t.tp + t.fn, empty=float("nan"))),
    "f1": _at_argmax(lambda t: _ratio(2 * t.tp, 2 * t.tp + t.fp + t.fn, empty=0.0)),
    "mcc": _at_argmax(_mcc),
    "balanced_accuracy": _at_argmax(_balanced),
    "auroc": areas.auroc,
    "auprc": areas.average_precision,
}
"""The paper's three at argmax, then what a constant answer cannot raise.

Precision, F1 and MCC are 0 where they would divide by zero, as in scikit-learn; what has no value without a class
(recall, balanced accuracy, both areas) is NaN, and such a draw is left out of the interval.
"""


def constant_scores(num_images: int) -> dict[str, Floats]:
    """Scores of the answers that look at no image: `all_positive` and `all_negative`."""
    return {"all_positive": np.ones(num_images), "all_negative": -np.ones(num_images)}


def estimate(
    label_N: ArrayLike,
    score_by_set: Mapping[str, ArrayLike],
    subject_N: ArrayLike,
    *,
    headline: str = "",
    num_draws: int = 10_000,
    seed: int = 0,
    averaged: Collection[str] | None = None,
) -> dict[str, dict[str, Estimate]]:
    """Every measure of each prompt set and, of several, of their mean, by set and measure.

    Estimates of two methods on the same images with the same settings are drawn alike: `scores.difference` pairs them.

    Args:
        label_N: finding of every image.
        score_by_set: margins by name of the prompt set.
        subject_N: patient of every image; whole patients are drawn.
        headline: prompt set that stands first; empty keeps the order given.
        num_draws: draws of patients; 0 gives values alone.
        seed: of the draws.
        averaged: prompt sets in the mean; None takes all.

    Raises:
        ValueError: no prompt set, an unknown headline, scores of another number of images or not finite, or one class.
    """
    label, by_set = np.asarray(label_N, dtype=bool), {name: np.asarray(values) for name, values in score_by_set.items()}
    _check(label, by_set, headline)
    names = sorted(by_set, key=lambda name: name != headline)
    found = {
        name: scores.bootstrap(METRICS, label, by_set[name], subject_N, num_draws=num_draws, seed=seed)
        for name in names
    }
    held = [name for name in names if averaged is None or name in averaged]
    if len(held) > 1:
        found[MEAN] = {metric: _mean([found[name][metric] for name in held]) for metric in METRICS}
    return found


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over prompt sets, draw by draw."""
    values_S = np.array([each.value for each in estimates])
    return Estimate(float(values_S.mean()), values_S, np.mean([each.draws_B for each in estimates], axis=0))


def _check(label_N: Bools, by_set: Mapping[str, Floats], headline: str) -> None:
    if not by_set or (headline and headline not in by_set):
        raise ValueError(f"prompt sets: headline {headline!r}; there are {list(by_set)}")
    for name, values in by_set.items():
        if values.shape != label_N.shape or not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ValueError(f"prompt set {name}: {values.shape} scores, {bad} not finite; labels {label_N.shape}")
    if label_N.all() or not label_N.any():
        raise ValueError(f"{int(label_N.sum())} of {len(label_N)} images are positive: nothing can be told apart")
