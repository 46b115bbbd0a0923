"""The study: its recipes, that nothing is done twice, and that the page says what the lines say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.quality import study
from benchmarks.quality.arms import ARMS, STUDY, recipe
from benchmarks.quality.page import BEGIN, END, Interval, difference, tables, write_page
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.ablation.bench import MEASURES
from medcsp_model.evaluation.ablation.variants import changed, histories, target_mass
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.recipe import Size
from medcsp_model.evaluation.planted.world import WorldSettings, make_world
from medcsp_model.settings import default, paper

DOCS = Path(__file__).resolve().parents[2] / "docs"
TINY, FEW = WorldSettings(num_patients=40, num_unseen=12), Size(steps=2, batch=8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_planted(make_world(TINY, seed=0), tmp_path_factory.mktemp("planted") / "corpus")


def _changed(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{group}.{key}": right[group][key]
        for group in left
        for key in left[group]
        if left[group][key] != right[group][key]
    }


@pytest.mark.parametrize("name", [name for name in ARMS if ARMS[name].base == "default"])
def test_an_arm_differs_in_what_it_names_alone(name: str, corpus: Corpus) -> None:
    arm = ARMS[name].variant
    base = recipe(ARMS[name], size=FEW, seed=1)
    expected = {f"{group}.{key}": value for group, fields in arm.changes.items() for key, value in fields.items()}
    expected |= {"batch.sources": ["cxr"]} if arm.films_alone else {}
    found = _changed(base.to_json(), changed(base, arm, corpus).to_json())
    if arm.is_matched and arm.changes["loss"]["d_target"] == "unnormalised":
        assert found.pop("loss.lambda_d") > base.loss.lambda_d
    assert found == expected


def test_recipes_keep_the_losses_and_batches_they_are_named_after() -> None:
    for name, whole in (("a_p_d", default()), ("paper_optimiser", paper())):
        small = recipe(ARMS[name], size=FEW, seed=1)
        assert small.loss == whole.loss
        assert small.batch.plan == whole.batch.plan
        assert small.optimiser.schedule == whole.optimiser.schedule
        assert small.optimiser.clip_norm == whole.optimiser.clip_norm
    assert recipe(ARMS["paper"], size=FEW, seed=1).augmentation == paper().augmentation


def test_the_mass_of_targets_is_the_mean_similarity_of_histories(corpus: Corpus) -> None:
    usual = recipe(ARMS["a_p_d"], size=FEW, seed=0)
    assert target_mass(corpus, settings=usual) == 1
    raw = changed(usual, ARMS["raw_target"].variant, corpus)
    mass = target_mass(corpus, settings=raw)
    assert raw.loss.lambda_d == pytest.approx(usual.loss.lambda_d / mass)
    known, subjects = [], []
    for source in corpus.sources.values():
        history = histories(corpus, source.name, np.flatnonzero(source.split == 0))
        known.append(history[history.any(axis=1)] / np.linalg.norm(history[history.any(axis=1)], axis=1)[:, None])
        subjects.append(source.subject_id[source.split == 0][history.any(axis=1)])
    others = subjects[0][:, None] != subjects[1][None, :]
    assert mass == pytest.approx(float((known[0] @ known[1].T)[others].mean()), rel=0.2)


def test_a_run_is_measured_once_and_a_torn_line_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"seeds": [5], "world": TINY, "size": FEW}
    (line,) = study.run_study(tmp_path, arms=["raw_target"], **run)
    assert set(line["measures"]) == set(MEASURES)
    assert line["steps"] == 2
    assert line["effective_weight_d"] == pytest.approx(0.2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [study.LINES]

    calls: list[str] = []
    monkeypatch.setattr(study, "run_arm", lambda name, *_, **__: calls.append(name) or _line(name, 5))
    monkeypatch.setattr(study.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(study, "make_world", lambda *_, **__: None)
    monkeypatch.setattr(study, "write_planted", lambda *_: None)
    monkeypatch.setattr(study, "bench_of_world", lambda *_: None)
    assert study.run_study(tmp_path, arms=["raw_target"], **run) == [line]
    assert calls == []
    study.run_study(tmp_path, arms=["raw_target", "a", "paper"], **run)
    assert calls == ["a", "paper"]
    path = tmp_path / study.LINES
    path.write_text(path.read_text()[:-20])
    found = study.run_study(tmp_path, arms=["raw_target", "a", "paper"], **run)
    assert calls == ["a", "paper", "paper"]
    assert [value["arm"] for value in found] == ["raw_target", "a", "paper"]


def test_a_folder_of_another_world_and_an_unknown_arm_are_refused(tmp_path: Path) -> None:
    study.append_line(tmp_path, _line("a", 0) | {"world": {}, "size": {}})
    with pytest.raises(ValueError, match="another world or size; give a new --out"):
        study.run_study(tmp_path, arms=["a"], seeds=[0], world=TINY, size=FEW)
    with pytest.raises(ValueError, match="no 'b'; known: a_p_d"):
        study.run_study(tmp_path, arms=["b"], seeds=[0], world=TINY, size=FEW)


def _line(arm: str, seed: int, values: tuple[float, float, float] = (0.5, 0.4, 0.3)) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "steps": 2,
        "settings": recipe(ARMS[arm], size=FEW, seed=seed).to_json(),
        "measures": {name: {"value": value} for name, value in zip(MEASURES, values, strict=True)},
        "chance": {"text_image_r10": 0.02, "cross_source_r10": 0.02, "agreement": 0.0},
        "num_candidates": 500,
        "pairs_per_batch": 0.25,
        "effective_weight_d": 0.2,
        "cpu_seconds": 20.0,
    }


def test_differences_are_students_and_paired_by_seed() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(0.5, 0.1, size=5), rng.normal(0.4, 0.1, size=5)
    lines = [_line("a_p_d", seed, (value, 0.0, 0.0)) for seed, value in enumerate(left)]
    lines += [_line("a", seed, (right[seed], 0.0, 0.0)) for seed in (4, 2, 0, 1, 3)]
    lines += [_line("a", 9, (7.0, 0.0, 0.0))]
    found = difference(lines, "text_image_r10", less="a")
    expected = stats.ttest_rel(left, right).confidence_interval(0.95)
    assert found.mean == pytest.approx((left - right).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert str(Interval.of([0.25])) == "0.250"


def test_the_page_says_what_is_shown_and_what_is_not(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{BEGIN}\nstale\n{END}\nafter\n")
    lines = [_line("a_p_d", seed, (0.5 + seed / 100, 0.4, 0.3)) for seed in range(3)]
    lines += [_line("a_p", seed, (0.5, 0.4, 0.2 + seed / 1000)) for seed in range(3)]
    lines += [_line("paper", seed, (0.6, 0.1, 0.1)) for seed in range(3)]
    write_page(page, lines)
    text = page.read_text()
    assert "stale" not in text
    assert text.startswith("# Before\n")
    assert text.endswith("after\n")
    assert "| Removing L_D lowers the agreement | 0.099 [0.097, 0.101] | yes |" in text
    assert "`default()` beats `paper()` on every measure | -0.090 [-0.115, -0.065]; 0.300 [0.300, 0.300]" in text
    assert "| Text to image R@10 at least 10 times chance | 25.0 times, worst seed | yes |" in text
    assert "Removing L_P" not in text
    assert [json.loads(line) for line in (tmp_path / "page.jsonl").read_text().splitlines()] == lines
    with pytest.raises(ValueError, match="two lines"):
        write_page(page, lines + lines[:1])


def test_the_tables_in_the_documents_are_those_of_their_lines() -> None:
    lines = [json.loads(line) for line in (DOCS / "results_synthetic.jsonl").read_text().splitlines()]
    assert {line["arm"] for line in lines} >= set(STUDY)
    text = (DOCS / "results_synthetic.md").read_text()
    assert text.split(BEGIN)[1].split(END)[0].strip() == tables(lines)
