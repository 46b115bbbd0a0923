import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.index_corpus import PAPER, index_corpus
from medcsp_model.batch_facts import draws_histogram, random_linked_pairs
from medcsp_model.batches import PlanInputs, make_plan, num_steps
from medcsp_model.linked import link_rows, linked_in_batch
from medcsp_model.settings import BatchSettings
from medcsp_model.slots import argsort, occurrence


def linked_counts(inputs, plan, steps):
    rows = link_rows(len(inputs.subject["ehr"]), *inputs.links["ehr", "cxr"])
    masks = [linked_in_batch(plan.batch(step), ("ehr", "cxr"), rows) for step in steps]
    return np.array([[mask.any(1).sum(), mask.any(0).sum(), mask.sum()] for mask in masks])


def draws_in_epoch(plan, name, epoch, count):
    slots = plan.epoch(epoch)[name]
    return np.bincount(slots[slots >= 0], minlength=count)


DEMO = {"num_ehr": 380, "ehr_patients": 300, "num_cxr": 450, "cxr_patients": 110}


@pytest.mark.parametrize(
    ("sizes", "share", "size"), [(PAPER, 0.6, 128), (PAPER, 0.3, 128), (DEMO, 0.6, 32), (DEMO, 0.3, 32)]
)
def test_linked_batches_hold_their_share(sizes, share, size):
    inputs = index_corpus(**sizes, linked_share=share)
    plan = make_plan(inputs, settings=BatchSettings(size=size), seed=1)
    steps = range(num_steps(plan, 1) - 1)
    floor = min(0.5, 0.95 * len(np.unique(inputs.links["ehr", "cxr"][1])) / sizes["num_cxr"]) * size
    counts = linked_counts(inputs, plan, steps)
    assert counts[:, 0].min() >= int(floor), "linked EHR records"
    assert counts[:, 1].min() >= int(floor), "linked images"
    slots = plan.epoch(0)
    assert np.array_equal(np.sort(slots["cxr"]), np.arange(sizes["num_cxr"])), "each image exactly once"
    draws = draws_in_epoch(plan, "ehr", 0, sizes["num_ehr"])
    assert draws.max() <= 16
    assert (slots["ehr"] >= 0).all()
    for step in steps:
        batch = plan.batch(step)
        assert len(batch["ehr"]) == len(batch["cxr"]) == size


@pytest.mark.parametrize(("share", "floor"), [(0.6, 16), (0.3, 9)])
def test_batches_across_epochs_hold_their_share_too(share, floor):
    inputs = index_corpus(**DEMO, linked_share=share)
    plan = make_plan(inputs, settings=BatchSettings(size=32), seed=0)
    across = [step for step in range(num_steps(plan, 25) - 1) if step * 32 // 450 != (step * 32 + 31) // 450]
    assert len(across) > 20
    assert linked_counts(inputs, plan, across)[:, :2].min() >= floor
    for step in across:
        assert all(len(rows) == 32 for rows in plan.batch(step).values())


def test_a_far_step_needs_no_epoch_before_it():
    inputs = index_corpus(**DEMO, linked_share=0.6)
    plan = make_plan(inputs, settings=BatchSettings(size=32), seed=0)
    planned = []
    body = plan._plan_body
    plan._body = lambda epoch: planned.append(epoch) or body(epoch)
    plan.batch(14 * 450 // 32)
    plan.batch(1_000_000)
    assert set(planned) <= {14, 1_000_000 * 32 // 450, (1_000_000 * 32 + 31) // 450}


@pytest.mark.parametrize(("sizes", "share", "size"), [(PAPER, 0.3, 128), (DEMO, 0.6, 32), (DEMO, 0.3, 32)])
def test_batches_that_straddle_epochs_hold_their_share(sizes, share, size):
    inputs = index_corpus(**sizes, linked_share=share)
    plan = make_plan(inputs, settings=BatchSettings(size=size), seed=2)
    floor = min(0.5, 0.95 * len(np.unique(inputs.links["ehr", "cxr"][1])) / sizes["num_cxr"]) * size
    straddling = [epoch * sizes["num_cxr"] // size for epoch in range(1, 4)]
    assert linked_counts(inputs, plan, straddling)[:, :2].min() >= int(floor)
    for step in straddling:
        batch = plan.batch(step)
        assert len(batch["ehr"]) == len(batch["cxr"]) == size
    for epoch in range(1, 3):
        assert np.array_equal(np.sort(plan.epoch(epoch)["cxr"]), np.arange(sizes["num_cxr"]))
        assert draws_in_epoch(plan, "ehr", epoch, sizes["num_ehr"]).max() <= 16


def test_paper_counts_gain_over_random_draws():
    inputs = index_corpus(**PAPER, linked_share=0.6)
    steps = range(0, 1225, 10)
    linked = make_plan(inputs, settings=BatchSettings(), seed=0)
    chance = make_plan(inputs, settings=BatchSettings(plan="random"), seed=0)
    assert linked_counts(inputs, chance, steps)[:, 2].mean() < 0.6
    assert linked_counts(inputs, linked, steps)[:, 2].mean() > 64


def test_draws_are_level():
    inputs = index_corpus(**DEMO, linked_share=0.3)
    plan = make_plan(inputs, settings=BatchSettings(size=32, share=0.1), seed=0)
    draws = draws_in_epoch(plan, "ehr", 0, DEMO["num_ehr"])
    fill_only = np.setdiff1d(np.arange(DEMO["num_ehr"]), inputs.links["ehr", "cxr"][0])
    assert set(draws[fill_only]) <= {1, 2}


def test_every_record_is_seen_where_records_outnumber_places():
    inputs = index_corpus(num_ehr=600, ehr_patients=500, num_cxr=100, cxr_patients=60, linked_share=0.5)
    plan = make_plan(inputs, settings=BatchSettings(size=20), seed=0)
    epochs = [draws_in_epoch(plan, "ehr", epoch, 600) for epoch in range(16)]
    assert (sum(epochs) > 0).mean() > 0.97


@pytest.mark.parametrize("kind", ["linked", "random"])
def test_batches_straddle_epochs_without_repeats(kind):
    inputs = index_corpus(**DEMO, linked_share=0.6)
    plan = make_plan(inputs, settings=BatchSettings(size=32, plan=kind), seed=3)
    order = np.concatenate([plan.batch(step)["cxr"] for step in range(num_steps(plan, 8))])
    for epoch in range(8):
        part = order[epoch * 450 : (epoch + 1) * 450]
        assert np.array_equal(np.sort(part), np.arange(450))
    for step in range(num_steps(plan, 8)):
        batch = plan.batch(step)
        assert len(set(batch["cxr"])) == 32
        assert len(set(batch["ehr"])) == len(batch["ehr"]) == 32


@pytest.mark.parametrize("kind", ["linked", "random"])
def test_a_batch_depends_on_seed_and_step_alone(kind):
    inputs = index_corpus(**DEMO, linked_share=0.6)
    chosen = BatchSettings(size=32, plan=kind)
    straight = make_plan(inputs, settings=chosen, seed=5)
    batches = [straight.batch(step) for step in range(60)]
    for step in (59, 3, 31, 14):
        fresh = make_plan(inputs, settings=chosen, seed=5).batch(step)
        assert all(np.array_equal(fresh[name], batches[step][name]) for name in fresh)
    other = make_plan(inputs, settings=chosen, seed=6).batch(0)
    assert not np.array_equal(other["cxr"], batches[0]["cxr"])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    num_ehr=st.integers(1, 30),
    num_cxr=st.integers(1, 40),
    size=st.integers(1, 48),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    max_draws=st.integers(1, 5),
    kind=st.sampled_from(["linked", "random"]),
    seed=st.integers(0, 1000),
)
def test_any_small_corpus(num_ehr, num_cxr, size, share, max_draws, kind, seed):
    rng = np.random.default_rng(seed)
    subject = {"ehr": rng.integers(0, 6, size=num_ehr), "cxr": rng.integers(0, 8, size=num_cxr)}
    pairs = [
        (s, t)
        for s, t in itertools.product(range(num_ehr), range(num_cxr))
        if subject["ehr"][s] == subject["cxr"][t] and rng.random() < 0.5
    ]
    links = tuple(np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True)) if pairs else ([], [])
    inputs = PlanInputs(
        {"ehr": np.arange(num_ehr), "cxr": np.arange(num_cxr)},
        subject,
        {("ehr", "cxr"): (np.array(links[0], dtype=np.int64), np.array(links[1], dtype=np.int64))},
    )
    plan = make_plan(inputs, settings=BatchSettings(size=size, share=share, max_draws=max_draws, plan=kind), seed=seed)
    anchor = "cxr" if num_cxr > num_ehr else "ehr"
    for epoch in range(3):
        slots = plan.epoch(epoch)
        assert np.array_equal(np.sort(slots[anchor]), np.arange(len(slots[anchor])))
        if kind == "linked":
            other = slots["ehr" if anchor == "cxr" else "cxr"]
            assert np.bincount(other[other >= 0], minlength=1).max() <= max_draws
    for step in range(num_steps(plan, 3)):
        for rows in plan.batch(step).values():
            assert len(set(rows.tolist())) == len(rows) <= size
            assert (rows >= 0).all()


def test_linked_in_batch_equals_the_pairs_themselves():
    inputs = index_corpus(**DEMO, linked_share=0.6)
    s, t = inputs.links["ehr", "cxr"]
    pairs = set(zip(s.tolist(), t.tolist(), strict=True))
    batch = make_plan(inputs, settings=BatchSettings(size=64), seed=0).batch(2)
    mask = linked_in_batch(batch, ("ehr", "cxr"), link_rows(380, s, t))
    expected = [[(i, j) in pairs for j in batch["cxr"].tolist()] for i in batch["ehr"].tolist()]
    assert np.array_equal(mask, np.array(expected))
    assert mask.sum() >= 32


@given(values=st.lists(st.integers(0, 40) | st.integers(0, 2**62), max_size=30), repeats=st.integers(1, 3))
def test_whole_numbers_of_any_size_are_ordered_and_counted(values, repeats):
    key = np.array(values * repeats, dtype=np.int64)
    assert np.array_equal(argsort(key), np.argsort(key, kind="stable"))
    assert occurrence(key).tolist() == [key[:place].tolist().count(value) for place, value in enumerate(key.tolist())]


@pytest.mark.parametrize("kind", ["linked", "random"])
def test_draws_are_told_and_chance_is_what_random_batches_hold(kind):
    inputs = index_corpus(**DEMO, linked_share=0.6)
    plan = make_plan(inputs, settings=BatchSettings(size=32, plan=kind), seed=0)
    draws = draws_histogram(plan)
    assert draws["cxr"] == {"1": DEMO["num_cxr"]}
    assert sum(draws["ehr"].values()) == DEMO["num_ehr"]
    assert sum(int(times) * count for times, count in draws["ehr"].items()) == DEMO["num_cxr"]
    if kind == "random":
        found = linked_counts(inputs, plan, range(14 * 30))[:, 2].mean()
        assert random_linked_pairs(inputs, size=32) == pytest.approx(found, rel=0.1)


def test_one_source_and_three_sources():
    rng = np.random.default_rng(0)
    alone = PlanInputs({"cxr": np.arange(10)}, {"cxr": np.arange(10)}, {})
    plan = make_plan(alone, settings=BatchSettings(size=4), seed=0)
    assert sorted(np.concatenate([plan.batch(step)["cxr"] for step in range(5)])) == sorted([*range(10), *range(10)])
    subject = {name: rng.integers(0, 20, size=count) for name, count in (("a", 50), ("b", 90), ("c", 40))}
    links = {
        pair: np.nonzero(subject[pair[0]][:, None] == subject[pair[1]][None, :]) for pair in (("a", "b"), ("b", "c"))
    }
    three = PlanInputs({name: np.arange(len(rows)) for name, rows in subject.items()}, subject, links)
    plan = make_plan(three, settings=BatchSettings(size=16), seed=0)
    for step in range(12):
        batch = plan.batch(step)
        for pair in links:
            s, t = links[pair]
            mask = linked_in_batch(batch, pair, link_rows(len(subject[pair[0]]), s, t))
            assert mask.any(0).sum() >= 4
            assert mask.any(1).sum() >= 4


def test_an_unknown_anchor_or_empty_split_is_an_error(toy):
    with pytest.raises(ValueError, match=r"batch\.anchor: no records of 'mri'"):
        make_plan(PlanInputs.from_corpus(toy, split="pretrain"), settings=BatchSettings(anchor="mri"), seed=0)
    with pytest.raises(ValueError, match="no split"):
        PlanInputs.from_corpus(toy, split="test")


def test_a_split_keeps_other_records_out(toy):
    inputs = PlanInputs.from_corpus(toy, split="pretrain")
    plan = make_plan(inputs, settings=BatchSettings(size=8), seed=0)
    assert all(toy.sources["cxr"].subject_id[row] % 3 for step in range(12) for row in plan.batch(step)["cxr"])


def test_links_to_records_of_another_split_are_left_out():
    everybody = np.arange(4)
    inputs = PlanInputs(
        {"ehr": everybody[:2], "cxr": everybody},
        {"ehr": everybody, "cxr": everybody},
        {("ehr", "cxr"): (everybody, everybody)},
    )
    plan = make_plan(inputs, settings=BatchSettings(size=2, share=1.0), seed=0)
    assert all(set(plan.batch(step)["ehr"]) <= {0, 1} for step in range(8))


def test_a_patient_keeps_one_partner_in_a_batch():
    """Two patients, each image linked to one record: two of the four in a batch, and what is filled by chance."""
    records, subject = np.arange(400), np.arange(400) % 2
    inputs = PlanInputs(
        {"ehr": records, "cxr": records}, {"ehr": subject, "cxr": subject}, {("ehr", "cxr"): (records, records)}
    )
    plan = make_plan(inputs, settings=BatchSettings(size=4, share=1.0), seed=0)
    counts = linked_counts(inputs, plan, range(num_steps(plan, 4)))[:, 2]
    assert counts.min() >= 2
    assert counts.mean() < 2.2


def test_more_than_the_share_is_linked_by_chance_alone():
    """Also where epochs meet, each of which could bring a share of its own."""
    records = np.arange(1000)
    inputs = PlanInputs(
        {"ehr": records, "cxr": records}, {"ehr": records, "cxr": records}, {("ehr", "cxr"): (records, records)}
    )
    plan = make_plan(inputs, settings=BatchSettings(size=32, share=0.25), seed=0)
    straddling = [epoch * 1000 // 32 for epoch in range(1, 25) if epoch * 1000 % 32]
    counts = linked_counts(inputs, plan, straddling)[:, 2]
    assert counts.min() >= 8
    assert counts.mean() < 9.5
