"""The planted world: what the real reader opens, what is hidden in it, and what stays apart."""

from pathlib import Path

import numpy as np
import pytest

from medcsp_model.batches import PlanInputs
from medcsp_model.corpus import Corpus, Image, ragged
from medcsp_model.evaluation.ablation.bench import Bench, bench_of_world, score, summaries
from medcsp_model.evaluation.ablation.variants import unit
from medcsp_model.evaluation.planted import world as planted
from medcsp_model.evaluation.planted.folder import write_planted
from medcsp_model.evaluation.planted.world import World, WorldSettings, make_world


def test_the_reader_opens_it(corpus: Corpus) -> None:
    assert list(corpus.sources) == ["ehr", "cxr"]
    assert set(corpus.sources["ehr"].modalities) == {"codes", "drugs", "demographics", "series", "note"}


def test_no_training_sees_the_unseen_and_one_source_can_train_alone(world: World, corpus: Corpus) -> None:
    both = PlanInputs.from_corpus(corpus, split="pretrain")
    assert list(both.records) == ["ehr", "cxr"]
    for name, records in both.records.items():
        patient = {"ehr": world.ehr, "cxr": world.cxr}[name].patient[records]
        assert not world.patients.unseen[patient].any()
        assert len(records) == np.count_nonzero(corpus.sources[name].subject_id < 150)
    alone = PlanInputs.from_corpus(corpus, split="pretrain", sources=("cxr",))
    assert list(alone.records) == ["cxr"] and not alone.links
    with pytest.raises(ValueError, match="no source 'mri'"):
        PlanInputs.from_corpus(corpus, split="pretrain", sources=("mri",))


def test_pixels_and_truth_stand_in_the_same_order(world: World, corpus: Corpus) -> None:
    image = corpus.sources["cxr"].modalities["image"]
    assert isinstance(image, Image)
    assert np.array_equal(image.pixels([3, 0, 7]), world.pixels[[3, 0, 7]])


def test_a_seed_says_everything(settings: WorldSettings, corpus: Corpus, tmp_path: Path) -> None:
    small = WorldSettings(num_patients=150, num_unseen=20)
    assert small == settings
    again = write_planted(make_world(small, seed=0), tmp_path / "again")
    other = write_planted(make_world(small, seed=1), tmp_path / "other")
    assert again.fingerprint == corpus.fingerprint != other.fingerprint


def test_links_are_all_pairs_of_a_patient_inside_the_window(world: World) -> None:
    gap = np.abs(world.ehr.time[:, None] - world.cxr.time[None, :])
    expected = np.argwhere((world.ehr.patient[:, None] == world.cxr.patient[None, :]) & (gap <= 30))
    s, t, days = world.links
    assert np.array_equal(np.stack([s, t], axis=1), expected)
    assert np.allclose(days, gap[s, t])
    assert 0.5 < len(np.unique(t)) / len(world.cxr.patient) < 0.7


def test_histories_hold_the_codes_so_far_and_never_shrink(world: World) -> None:
    assert (world.ehr.history >= world.codes).all()
    for records in (world.ehr, world.cxr):
        later = np.flatnonzero(records.patient[1:] == records.patient[:-1]) + 1
        assert (records.time[later] >= records.time[later - 1]).all()
        assert (records.history[later] >= records.history[later - 1]).all()
    s, t, _ = world.links
    before = world.ehr.time[s] <= world.cxr.time[t]
    assert (world.cxr.history[t[before]] >= world.codes[s[before]]).all()


def test_conditions_begin_and_end(world: World) -> None:
    patients = world.patients
    patient, condition = np.argwhere(np.isfinite(patients.end) & np.isfinite(patients.onset))[0]
    onset, end = patients.onset[patient, condition], patients.end[patient, condition]
    times = np.array([onset - 1, onset, (onset + end) / 2, end])
    severity = patients.conditions(np.full(4, patient), times)[:, condition]
    assert np.array_equal(severity > 0, [False, True, True, False])


def test_images_of_a_study_share_a_report_and_differ(world: World) -> None:
    twins = np.flatnonzero(world.report_of_image[1:] == world.report_of_image[:-1])
    assert len(twins)
    assert (world.cxr.time[twins] == world.cxr.time[twins + 1]).all()
    assert (world.pixels[twins] != world.pixels[twins + 1]).any(axis=(1, 2)).all()


def _probe(features: np.ndarray, target: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Correlation of each target with its ridge regression, on rows that are not in `train`."""
    centre, mean = features[train].mean(axis=0), target[train].mean(axis=0)
    x, y = features[train] - centre, target[train] - mean
    weights = np.linalg.solve(x.T @ x + 20 * np.eye(x.shape[1]), x.T @ y)
    guess = (features[~train] - centre) @ weights
    return np.array([np.corrcoef(g, t)[0, 1] for g, t in zip(guess.T, target[~train].T, strict=True)])


@pytest.fixture(scope="module")
def larger() -> World:
    return make_world(WorldSettings(num_patients=800, num_unseen=300, images_per_patient=4.0), seed=3)


def test_the_signature_can_be_read_from_either_source(larger: World) -> None:
    signature = larger.patients.signature
    image = _probe(
        larger.pixels.reshape(len(larger.pixels), -1) / 50.0, signature[larger.cxr.patient], _seen(larger, "cxr")
    )
    person = _probe(larger.demographics, signature[larger.ehr.patient], _seen(larger, "ehr"))
    assert image.min() > 0.8
    assert person.min() > 0.5


def test_conditions_can_be_read_from_codes_and_the_visible_ones_from_images(larger: World) -> None:
    codes = _probe(larger.codes.astype(float), (larger.ehr.conditions > 0).astype(float), _seen(larger, "ehr"))
    pixels = larger.pixels.reshape(len(larger.pixels), -1) / 50.0
    image = _probe(pixels, larger.cxr.conditions, _seen(larger, "cxr"))
    visible = np.isin(np.arange(planted.NUM_CONDITIONS), planted.visible_conditions())
    assert np.count_nonzero(~visible) == planted.NUM_INVISIBLE
    assert np.median(codes) > 0.6
    assert np.median(image[visible]) > 0.5 > 0.3 > np.median(image[~visible])


def _seen(world: World, source: str) -> np.ndarray:
    return ~world.patients.unseen[getattr(world, source).patient]


def test_histories_tell_of_conditions_better_than_the_codes_of_one_admission(larger: World) -> None:
    bench = bench_of_world(larger)
    truth = unit(larger.ehr.conditions[bench.ehr]) @ unit(larger.ehr.conditions[bench.ehr]).T
    alike = [
        np.corrcoef((unit(x[bench.ehr].astype(float)) @ unit(x[bench.ehr].astype(float)).T).ravel(), truth.ravel())[
            0, 1
        ]
        for x in (larger.ehr.history, larger.codes)
    ]
    assert alike[0] > alike[1] > 0.3


def test_the_bench_holds_unseen_patients_and_one_image_a_study(world: World) -> None:
    bench = bench_of_world(world)
    assert set(bench.ehr_patient) == set(bench.cxr_patient) == set(range(150, 170))
    assert np.bincount(bench.cxr_patient)[150:].max() == 2
    assert len(np.unique(world.cxr.study[bench.cxr])) == len(bench.cxr)
    pairs = set(zip(*world.links[:2], strict=True))
    expected = [[(row, column) in pairs for column in bench.cxr] for row in bench.ehr]
    assert np.array_equal(bench.linked, expected)


def means(bench: Bench, **embeddings: np.ndarray) -> dict[str, float]:
    found = score(bench, **embeddings)
    said = summaries(found, seed=0)
    for name, (values, subject) in found.items():
        assert len(values) == len(subject)
        assert said[name]["low"] <= said[name]["value"] <= said[name]["high"]
    return {name: value["value"] for name, value in said.items()}


def test_perfect_embeddings_score_one_and_random_ones_chance(world: World) -> None:
    bench = bench_of_world(world)
    own = np.eye(len(bench.cxr), dtype=np.float32)
    truth = [
        unit(records.conditions[rows]).astype(np.float32)
        for records, rows in ((world.ehr, bench.ehr), (world.cxr, bench.cxr))
    ]
    found = means(bench, ehr=truth[0], cxr=truth[1], image=own, report=own)
    assert found["text_image_r10"] == 1
    assert found["agreement"] > 0.98
    patients = np.eye(200, dtype=np.float32)
    found = means(bench, ehr=patients[bench.ehr_patient], cxr=patients[bench.cxr_patient], image=own, report=own)
    assert found["cross_source_r10"] == 1
    assert found["agreement"] == 0
    noise = np.random.default_rng(0).normal(size=(4, 400, 64)).astype(np.float32)
    ehr, cxr, image, report = (rows[: len(bench.ehr if turn == 0 else bench.cxr)] for turn, rows in enumerate(noise))
    found = means(bench, ehr=ehr, cxr=cxr, image=image, report=report)
    assert abs(found["agreement"]) < 0.1
    assert found["text_image_r10"] < 3 * bench.chance["text_image_r10"]


def test_a_training_set_row_is_found_by_its_boundaries(corpus: Corpus, world: World) -> None:
    note = corpus.sources["ehr"].modalities["note"]
    lengths, places = ragged(note.offsets, [5])  # type: ignore[union-attr]
    start, stop = world.notes[0][5:7]
    assert lengths[0] == stop - start
    assert np.array_equal(note.tokens[places], world.notes[1][start:stop])  # type: ignore[union-attr]
