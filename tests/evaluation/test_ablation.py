"""The ablation: its variants, its intervals, that nothing is done twice, and what it says of planted records."""

import json
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_contracts.evaluation import METHODS
from data_contracts.studies import AblationComparisons
from medcsp_model import ablate
from medcsp_model.batches import PlanInputs
from medcsp_model.corpus import Codes, Corpus
from medcsp_model.evaluation.ablation import trials
from medcsp_model.evaluation.ablation.bench import MEASURES, bench_of_corpus
from medcsp_model.evaluation.ablation.measures import Floats, Measure, mean
from medcsp_model.evaluation.ablation.report import estimates, rows_of
from medcsp_model.evaluation.ablation.variants import histories, history_similarity, settings_of, unit
from medcsp_model.evaluation.planted.recipe import Size, at_planted_size
from medcsp_model.evaluation.planted.world import World, WorldSettings
from medcsp_model.evaluation.radiology_report import evaluate_zero_shot
from medcsp_model.evaluation.scores import difference
from medcsp_model.evaluation.zero_shot import METRICS
from medcsp_model.settings import (
    FULL,
    REPAIRS,
    VARIANTS,
    AblationSettings,
    RadiologyEvaluation,
    Settings,
    default,
    paper,
)
from medcsp_model.train import Stop
from tests.evaluation import film_set

TINY = at_planted_size(default(), size=Size(steps=2, batch=8), seed=0, schedule=default())
LABEL = np.arange(120) % 4 == 0
CODE = {"training_code": "1" * 16, "measuring_code": "2" * 16}


def _flat(settings: Settings) -> dict[str, Any]:
    plain = settings.to_json()
    return {f"{group}.{key}": value for group in ("loss", "batch", "model") for key, value in plain[group].items()}


def test_each_repair_of_losses_and_batches_has_a_row_that_undoes_it_alone() -> None:
    repaired, published = _flat(default()), _flat(paper())
    differing = {key for key in repaired if repaired[key] != published[key]} - {
        "batch.validation_share",
        "model.absent",
        "model.average_padded_stays",
    }
    undone = {}
    for name, variant in REPAIRS.items():
        ((group, fields),) = variant.changes.items()
        ((key, value),) = fields.items()
        undone[f"{group}.{key}"] = value
        assert name in METHODS
    assert undone == {key: published[key] for key in differing}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_what_it_says_and_keeps_the_effective_weight(name: str, corpus: Corpus) -> None:
    settings = settings_of(name, TINY, corpus)
    expected = {f"{group}.{key}" for group, fields in VARIANTS[name].changes.items() for key in fields}
    expected |= {"batch.sources"} if name == "single_source" else set()
    expected |= {"loss.lambda_d"} if name == "raw_target" else set()
    changed = {key for key, value in _flat(settings).items() if value != _flat(TINY)[key]}
    assert changed == expected
    if name == "single_source":
        assert trials._effective_weights(settings, corpus) == {"weight_p": 0.0, "weight_d": 0.0}
    if name in REPAIRS:
        assert trials._effective_weights(settings, corpus)["weight_d"] == pytest.approx(TINY.loss.lambda_d)


def test_an_unknown_variant_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="no variant 'b'; known: a_p_d"):
        settings_of("b", TINY, corpus)
    with pytest.raises(ValueError, match=r"settings.variants: must hold 'a_p_d'"):
        AblationSettings.from_json({"variants": ["a"]})
    with pytest.raises(ValueError, match=r"settings.planted_variants: no variant 'b'"):
        AblationSettings.from_json({"planted_variants": ["b", FULL]})


@pytest.mark.parametrize("of", [mean, partial(METRICS["f1"], LABEL), partial(METRICS["auroc"], LABEL)])
def test_an_interval_holds_seeds_and_subjects(of: Callable[[Floats, Floats], Floats]) -> None:
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(40), 3)
    of_subject, of_seed = rng.normal(size=40)[subject], np.array([-0.5, 0.0, 0.5])
    value_SN = np.stack([of_subject + level + LABEL + rng.normal(scale=0.1, size=120) for level in of_seed])
    found = estimates(of, {"x": value_SN, "less": value_SN - 0.3}, subject, num_draws=4000)
    alike = np.ones((120, 1))
    assert found["x"].values_S == pytest.approx([of(value_N, alike)[0] for value_N in value_SN])
    assert found["x"].value == pytest.approx(found["x"].values_S.mean())
    draws = []
    for _ in range(1000):  # the same by hand
        weight_N1 = np.bincount(rng.integers(0, 40, size=40), minlength=40)[subject][:, None].astype(np.float64)
        draws.append(np.mean([of(value_SN[seed], weight_N1)[0] for seed in rng.integers(0, 3, size=2)]))  # one fewer
    assert found["x"].interval() == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.06)
    alone = estimates(of, {"x": value_SN[1:2]}, subject, num_draws=4000)["x"].interval()
    low, high = found["x"].interval()
    assert of is not mean or alone[1] - alone[0] < high - low
    if of is mean:  # on the same seeds, subjects and draws a shift by a constant is known for sure
        paired = difference(found["x"], found["less"])
        assert (paired.low, paired.high) == (pytest.approx(0.3), pytest.approx(0.3))


def test_rows_without_a_value_count_nowhere() -> None:
    value, subject = np.array([np.nan, 1.0, 0.0, 0.5]), np.array([9, 1, 1, 2])
    measure = Measure(rows="x", place={"metric": "m"}, of=mean, references={"chance": 0.1})
    metrics, comparisons = rows_of("d", [measure], {FULL: {0: {"x": (value, subject)}}}, num_draws=20)
    assert [(row["method"], row["value"], row["n"]) for row in metrics[1:]] == [(FULL, 0.5, 3), ("chance", 0.1, 3)]
    assert comparisons == []


def test_what_nobody_has_a_value_of_is_left_out() -> None:
    values = {FULL: {0: {"x": (np.full(3, np.nan), np.arange(3)), "y": (np.ones(3), np.arange(3))}}}
    measures = [Measure(rows=name, place={"metric": name}, of=mean, references={"chance": 0.1}) for name in "xy"]
    metrics, _ = rows_of("d", measures, values, num_draws=20)
    assert [row["metric"] for row in metrics] == ["y", "y", "y"]


def test_an_interval_of_too_few_positives_is_null_and_the_row_is_published() -> None:
    label = np.arange(8) == 0
    values = {name: {0: {"x": (np.arange(8) * sign, np.arange(8))}} for name, sign in ((FULL, 1.0), ("a", -1.0))}
    place = {"cohort": "c", "mode": "m", "metric": "auroc", "k": 0, "split": "s"}
    measure = Measure(rows="x", place=place, of=partial(METRICS["auroc"], label), references={})
    metrics, (row,) = rows_of("planted", [measure], values, num_draws=100)
    assert {name: (row[name], metrics[0][name]) for name in ("ci_low", "ci_high")} == {
        "ci_low": (None, None),
        "ci_high": (None, None),
    }
    kept, rejected = AblationComparisons.filter(pl.DataFrame([row | {"synthetic": True}]), cast=True)
    assert (len(kept), rejected.counts()) == (1, {})


def test_similarity_of_histories_takes_no_room_for_the_vocabulary() -> None:
    """40,000 codes of a release by the records of its validation subjects were 7 GB of zeros."""
    rng, num_records, size = np.random.default_rng(0), 300, 40_000
    indices = np.sort(rng.choice(200, size=(num_records, 20)) * 199, axis=1)
    indices = [np.unique(row) for row in indices] + [np.empty(0, dtype=np.int64)]
    history = Codes(np.append(0, np.cumsum([len(row) for row in indices])), np.concatenate(indices), size)
    corpus = SimpleNamespace(sources={"s": SimpleNamespace(history=history)}, history_size=size)
    records = np.arange(num_records + 1)
    tracemalloc.start()
    found = history_similarity(corpus, ("s", records), ("s", records[::-1]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # 96 MB for one side alone
    assert found[0, -1] == pytest.approx(1.0) and not found[-1].any() and not found[:, 0].any()
    shared = len(np.intersect1d(indices[3], indices[5]))
    assert found[3, num_records - 5] == shared / np.sqrt(len(indices[3]) * len(indices[5]))


def test_the_bench_of_a_corpus_holds_its_validation_subjects(corpus: Corpus) -> None:
    batch = default().replace(batch={"validation_share": 0.3}).batch
    bench = bench_of_corpus(corpus, settings=batch)
    assert bench.sources == ("ehr", "cxr")
    films = corpus.sources["cxr"]
    assert len(np.unique(films.study_id[bench.cxr])) == len(bench.cxr)
    trained = PlanInputs.from_corpus(corpus, split="pretrain", validation_share=0.3).records
    held = set(bench.ehr_patient) | set(bench.cxr_patient)
    assert not held & {int(one) for name, rows in trained.items() for one in corpus.sources[name].subject_id[rows]}
    pairs = {(s, t) for s, t in zip(corpus.links["ehr", "cxr"].s, corpus.links["ehr", "cxr"].t, strict=True)}
    assert np.array_equal(bench.linked, [[(row, column) in pairs for column in bench.cxr] for row in bench.ehr])
    left, right = histories(corpus, "ehr", bench.ehr), histories(corpus, "cxr", bench.cxr)
    np.testing.assert_allclose(bench.truth, unit(left) @ unit(right).T, rtol=1e-12)
    assert np.array_equal(bench.has_conditions, left.any(axis=1)) and not bench.other[:, ~right.any(axis=1)].any()
    with pytest.raises(ValueError, match=r"raise ablation\.validation_share"):
        bench_of_corpus(corpus, settings=default().replace(batch={"validation_share": 1e-6}).batch)


def _run(corpus: Corpus, home: Path, films: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    settings = AblationSettings.from_json(
        {
            "variants": [FULL, "a"],
            "seeds": [0, 1],
            "validation_share": 0.15,
            "num_draws": 50,
            **changes,
        }
    )
    run = {"corpus": str(corpus.folder), "output": str(home / "output"), "trials": str(home / "trials"), **CODE}
    run["zero_shot"] = films
    ablate.ablate(run, settings=settings, recipe=TINY, stop=Stop())
    return {path.stem: json.loads(path.read_text()) for path in (home / "output").iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def films(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Fourteen films, of which two have no label and four are positive."""
    label = [number % 3 == 0 if number < 12 else None for number in range(14)]
    return film_set.write_film_set(tmp_path_factory.mktemp("films"), world.pixels[:14], label)


@pytest.fixture(scope="module")
def home(corpus: Corpus, films: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("ablation")
    _run(corpus, home, films)
    return home


def test_every_variant_has_a_mean_its_seeds_and_a_difference(home: Path, corpus: Corpus) -> None:
    numbers = {path.stem: json.loads(path.read_text()) for path in (home / "output").iterdir()}
    modes = {(row["mode"], row["metric"], row["k"]) for row in numbers["metrics"]}
    assert modes == {
        ("text_to_image", "recall_at_k", 10),
        ("ehr_to_cxr", "recall_at_k", 10),
        ("ehr_to_cxr", "agreement", 0),
        ("short", "f1", 0),
        ("short", "auroc", 0),
    }
    of = {(row["method"], row["seed"]): row for row in numbers["metrics"] if row["mode"] == "text_to_image"}
    assert set(of) == {*((name, seed) for name in (FULL, "a") for seed in (-1, 0, 1)), ("chance", -1)}
    assert of["a", -1]["value"] == pytest.approx((of["a", 0]["value"] + of["a", 1]["value"]) / 2)
    assert of["chance", -1]["value"] == pytest.approx(10 / of["a", -1]["n"])
    (difference,) = (row for row in numbers["comparisons"] if row["other"] == "a" and row["mode"] == "text_to_image")
    assert difference["difference"] == pytest.approx(of[FULL, -1]["value"] - of["a", -1]["value"])
    assert difference["num_seeds"] == 2
    facts = {(row["method"], row["seed"]): row for row in numbers["trials"]}
    assert facts[FULL, 0]["pairs_per_batch"] > 0 and facts["a", 1]["weight_p"] == 0
    assert len({row["folder"] for row in numbers["trials"]}) == 4
    assert all((Path(row["folder"]) / "model.safetensors").is_file() for row in numbers["trials"])
    assert not list(home.glob("trials/*/run/states"))


def test_films_are_told_apart_as_those_of_our_own_checkpoint(home: Path, films: dict[str, Any], tmp_path: Path) -> None:
    numbers = {name: json.loads((home / "output" / f"{name}.json").read_text()) for name in ("metrics", "comparisons")}
    trained = json.loads((home / "output" / "trials.json").read_text())
    asked = RadiologyEvaluation(methods=("medcsp",), modes=("native",), headline="short", num_draws=5)
    given = {name: films[name] for name in ("dataset", "cohort", "vocabulary")}
    given |= {"settings": asked.to_json() | {"prompts": films["prompts"]}}
    given |= {"pictures": "", "weights": "", "small": "", "llm": "", "towers": "", "finding": "ill"}
    run = {"task": "zero_shot", "corpus": films["corpus"], "output": str(tmp_path), "settings": {}, "radiology": given}
    ours = next(row for row in trained if (row["method"], row["seed"]) == ("a", 1))
    evaluate_zero_shot(run | {"checkpoint": ours["folder"]})
    expected = json.loads((tmp_path / "metrics.json").read_text())
    places = ("method", "mode", "metric", "cohort", "split", "n", "num_positive")
    of_tables = {tuple(row[name] for name in places): row["value"] for row in expected}
    here = [row for row in numbers["metrics"] if row["mode"] == "short"]
    for metric in ("f1", "auroc"):
        common = (metric, film_set.COHORT, film_set.SPLIT, 12, 4)
        of = {(row["method"], row["seed"]): row for row in here if row["metric"] == metric}
        assert all(tuple(row[name] for name in places[2:]) == common for row in of.values())
        assert of["a", 1]["value"] == pytest.approx(of_tables["medcsp", "short", *common])
        assert of["chance", -1]["value"] == pytest.approx(of_tables["chance", "constant", *common])
        assert of[FULL, -1]["ci_low"] <= of[FULL, -1]["value"] <= of[FULL, -1]["ci_high"]
        (less,) = (row for row in numbers["comparisons"] if (row["metric"], row["other"]) == (metric, "a"))
        assert less["difference"] == pytest.approx(of[FULL, -1]["value"] - of["a", -1]["value"])
        assert less["ci_low"] <= less["difference"] <= less["ci_high"]
    constant = next(row for row in here if row["method"] == "all_positive")
    assert (constant["metric"], constant["value"]) == ("f1", pytest.approx(0.5))


def test_films_of_one_class_are_a_reason(corpus: Corpus, home: Path, world: World, tmp_path: Path) -> None:
    alike = film_set.write_film_set(tmp_path, world.pixels[:3], [True, True, None])
    numbers = _run(corpus, home, alike)
    assert numbers["not_measured"] == {
        "zero_shot": "2 of 2 labelled films are positive: there is nothing to tell apart"
    }
    assert not any(row["metric"] == "f1" for row in numbers["metrics"])
    with pytest.raises(ValueError, match=r"no prompt set 'long' \(radiology.headline\); has \['short'\]"):
        _run(corpus, home, alike | {"headline": "long"})


def test_what_was_trained_is_found_again(
    home: Path, corpus: Corpus, films: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _run(corpus, home, films)
    before = {path.name: path.read_bytes() for path in (home / "output").iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(trials.Trainer, "_step", lambda *_: pytest.fail("trained again"))
        patch.setattr(trials, "values_of", lambda *_: pytest.fail("measured again"))
        _run(corpus, home, films)
        assert {path.name: path.read_bytes() for path in (home / "output").iterdir()} == before
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            _run(corpus, home, films, seeds=[0, 1, 2])
    measured: list[str] = []
    monkeypatch.setitem(CODE, "measuring_code", "3" * 16)
    real = trials.values_of
    monkeypatch.setattr(trials, "values_of", lambda *given: measured.append("") or real(*given))
    _run(corpus, home, films)
    assert len(measured) == 4
    assert (home / "output" / "metrics.json").read_bytes() == before["metrics.json"]


def test_other_prompts_are_measured_and_train_nothing(
    home: Path, corpus: Corpus, films: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _run(corpus, home, films)["metrics"]
    monkeypatch.setattr(trials.Trainer, "_step", lambda *_: pytest.fail("trained again"))
    film_set.write_prompt(Path(films["vocabulary"]), "z")
    after = _run(corpus, home, films)["metrics"]
    assert after != before
    assert [row for row in after if row["mode"] != "short"] == [row for row in before if row["mode"] != "short"]


def test_planted_records_go_with_the_run_and_the_samplers_row_says_what_it_met(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablate, "WorldSettings", partial(WorldSettings, num_unseen=20))
    sizes = {"planted_patients": 150, "planted_steps": 1, "seeds": [0]}
    numbers = _run(corpus, tmp_path, None, variants=[], planted_variants=[FULL, "random_batches"], **sizes)
    assert not (tmp_path / "output" / "planted").exists()
    met = {row["method"]: row["pairs_per_batch"] for row in numbers["trials"]}
    assert met["random_batches"] < met[FULL]
    assert {row["dataset"] for row in numbers["metrics"]} == {"planted"}
    assert len(numbers["comparisons"]) == len(MEASURES)
