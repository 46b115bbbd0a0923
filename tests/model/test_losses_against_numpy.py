"""The losses against an independent float64 version written with loops over sets, straight from the formulas."""

import itertools
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medcsp_model.losses import Embedded, check_something_counts, compute_losses
from medcsp_model.settings import LossSettings, default, paper
from medcsp_model.tiles import LogitStatistics


def unit(x):
    norm = np.sqrt((x**2).sum())
    return x / norm if norm > 0 else x


def mean_of(values):
    return sum(values) / len(values) if values else 0.0


def centroid(b, i, without=None):
    members = [m for m in range(b["e"].shape[1]) if b["present"][i, m] and m != without]
    return np.mean([b["e"][i, m] for m in members], axis=0) if members else None


def align(b, o):
    num_modalities = b["e"].shape[1]
    total = 0.0
    for m in range(num_modalities):
        keys = [centroid(b, j, without=m if o.centroid == "leave_one_out" else None) for j in range(len(b["e"]))]
        terms = []
        for i in range(len(b["e"])):
            if not b["present"][i, m] or b["present"][i].sum() < 2:
                continue
            candidates = [i]
            for j in range(len(b["e"])):
                other = j != i
                if o.a_negatives in ("study", "text"):
                    other = other and b["study"][j] != b["study"][i]
                if o.a_negatives == "text":
                    other = other and (b["text"][i] < 0 or b["text"][j] != b["text"][i])
                if other and keys[j] is not None:
                    candidates.append(j)
            x = {j: np.exp(unit(b["e"][i, m]) @ unit(keys[j]) / o.tau) for j in candidates}
            terms.append(-np.log(x[i] / sum(x.values())))
        total += mean_of(terms)
    return total if o.a_modalities == "sum" else total / num_modalities


def similarities(s, t, tau):
    cs, ct = [centroid(s, i) for i in range(len(s["e"]))], [centroid(t, j) for j in range(len(t["e"]))]
    return {
        (i, j): np.exp(unit(cs[i]) @ unit(ct[j]) / tau)
        for i, j in itertools.product(range(len(cs)), range(len(ct)))
        if cs[i] is not None and ct[j] is not None
    }


def patient(s, t, linked, o):
    x = similarities(s, t, o.tau)
    anchors = []
    for i in range(len(s["e"])):
        positives = [j for j in range(len(t["e"])) if linked[i, j] and (i, j) in x]
        if o.p_positives == "one":
            positives = positives[:1]
        negatives = [j for j in range(len(t["e"])) if s["subject"][i] != t["subject"][j] and (i, j) in x]
        if positives:
            rest = sum(x[i, j] for j in negatives)
            anchors.append(mean_of([-np.log(x[i, p] / (x[i, p] + rest)) for p in positives]))
    return mean_of(anchors)


def diagnosis(s, t, o):
    x = similarities(s, t, o.tau)
    anchors, pairs = [], []
    for i in range(len(s["e"])):
        allowed = []
        for j in range(len(t["e"])):
            keep = (i, j) in x
            if o.d_exclude_same_patient:
                keep = keep and s["subject"][i] != t["subject"][j]
            if o.d_require_history:
                keep = keep and s["history"][i].any() and t["history"][j].any()
            if keep:
                allowed.append(j)
        if not allowed:
            continue
        alpha = {j: unit(s["history"][i]) @ unit(t["history"][j]) for j in allowed}
        log_p = {j: np.log(x[i, j] / sum(x[i, k] for k in allowed)) for j in allowed}
        pairs += [-alpha[j] * log_p[j] for j in allowed]
        weight = {j: np.exp(alpha[j] / o.tau_d) for j in allowed} if o.d_target == "softmax" else alpha
        norm = sum(weight.values())
        if norm > 0:
            anchors.append(sum(-weight[j] / norm * log_p[j] for j in allowed))
    found = pairs if o.d_target == "unnormalised" else anchors
    return [mean_of(found)] if found else []


def reference(batch, linked, o):
    names = list(batch)
    a = sum(align(b, o) for b in batch.values())
    p, d = [], []
    for s, t in itertools.combinations(names, 2):
        forward, backward = diagnosis(batch[s], batch[t], o), diagnosis(batch[t], batch[s], o)
        d += forward + backward if o.directions == "both" else forward
        if (s, t) in linked:
            forward = patient(batch[s], batch[t], linked[s, t], o)
            backward = patient(batch[t], batch[s], linked[s, t].T, o)
            p.append((forward + backward) / 2 if o.directions == "both" else forward)
    a, p, d = a, mean_of(p), mean_of(d)
    return np.array([o.lambda_a * a + o.lambda_p * p + o.lambda_d * d, a, p, d])


def random_source(rng, n, *, num_modalities, num_subjects=4, history=6, width=5):
    subject = rng.integers(0, num_subjects, size=n)
    return {
        "e": rng.normal(size=(n, num_modalities, width)),
        "present": rng.random((n, num_modalities)) < 0.7,
        "subject": subject,
        "study": subject * 3 + rng.integers(0, 2, size=n),
        "text": rng.integers(-1, 3, size=n),
        "history": (rng.random((n, history)) < 0.3).astype(float) * (rng.random((n, 1)) < 0.8),
    }


def random_batch(seed, *, num_sources=2):
    rng = np.random.default_rng(seed)
    batch = {
        f"s{number}": random_source(rng, int(rng.integers(1, 8)), num_modalities=int(rng.integers(1, 4)))
        for number in range(num_sources)
    }
    linked = {}
    for s, t in itertools.combinations(batch, 2):
        same = batch[s]["subject"][:, None] == batch[t]["subject"][None, :]
        linked[s, t] = same & (rng.random(same.shape) < 0.6)
    return batch, linked


def to_torch(batch, linked):
    embedded = {
        name: Embedded(
            torch.tensor(b["e"], requires_grad=True),
            torch.tensor(b["present"]),
            torch.tensor(b["subject"]),
            torch.tensor(b["study"]),
            torch.tensor(b["text"]),
            torch.tensor(b["history"]),
        )
        for name, b in batch.items()
    }
    return embedded, {pair: torch.tensor(mask) for pair, mask in linked.items()}


def check(batch, linked, o):
    embedded, masks = to_torch(batch, linked)
    losses = compute_losses(embedded, masks, settings=o)
    found = np.array([float(value.detach()) for value in (losses.total, losses.a, losses.p, losses.d)])
    np.testing.assert_allclose(found, reference(batch, linked, o), rtol=1e-9, atol=1e-11)
    losses.total.backward()
    for source in embedded.values():
        assert torch.isfinite(source.e_NMD.grad).all()
    return found


SWITCHES = st.builds(
    LossSettings,
    tau=st.sampled_from([0.1, 0.5]),
    centroid=st.sampled_from(["full", "leave_one_out"]),
    a_negatives=st.sampled_from(["record", "study", "text"]),
    a_modalities=st.sampled_from(["mean", "sum"]),
    p_positives=st.sampled_from(["all", "one"]),
    directions=st.sampled_from(["forward", "both"]),
    d_target=st.sampled_from(["unnormalised", "row", "softmax"]),
    d_exclude_same_patient=st.booleans(),
    d_require_history=st.booleans(),
    tile=st.sampled_from([1, 3, 1024]),
)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(0, 10_000), SWITCHES, st.integers(1, 3))
def test_random_batches(seed, o, num_sources):
    check(*random_batch(seed, num_sources=num_sources), o)


def plain(n, *, num_modalities=2, seed=0, **changes):
    rng = np.random.default_rng(seed)
    source = random_source(rng, n, num_modalities=num_modalities)
    source["present"][:] = True
    source["subject"] = np.arange(n)
    source["study"] = np.arange(n)
    source["history"] = (rng.random((n, 6)) < 0.5).astype(float)
    source["history"][:, 0] = 1
    return source | changes


RECIPES = pytest.mark.parametrize("o", [paper().loss, default().loss], ids=["paper", "default"])


@RECIPES
def test_no_positive_gives_zero_patient_loss_and_gradient(o):
    batch = {"ehr": plain(4), "cxr": plain(5, seed=1, subject=np.arange(10, 15))}
    linked = {("ehr", "cxr"): np.zeros((4, 5), dtype=bool)}
    found = check(batch, linked, o)
    assert found[2] == 0
    assert found[1] > 0
    embedded, masks = to_torch(batch, linked)
    compute_losses(embedded, masks, settings=o).p.backward()
    assert all(not source.e_NMD.grad.any() for source in embedded.values())


@RECIPES
def test_several_positives_and_a_record_outside_the_window(o):
    batch = {"ehr": plain(3), "cxr": plain(5, seed=1, subject=np.array([0, 0, 0, 1, 9]))}
    linked = np.zeros((3, 5), dtype=bool)
    linked[0, :2] = linked[1, 3] = True
    assert check(batch, {("ehr", "cxr"): linked}, o)[2] > 0

    def anchor_loss(outside):
        embeddings = batch["cxr"]["e"].copy()
        embeddings[2] = outside
        embedded, masks = to_torch(batch | {"cxr": batch["cxr"] | {"e": embeddings}}, {("ehr", "cxr"): linked})
        return float(compute_losses(embedded, masks, settings=replace(o, directions="forward")).p.detach())

    near, far = batch["ehr"]["e"][0], -batch["ehr"]["e"][0]
    batch["ehr"]["subject"] = np.array([0, 0, 0])
    linked[1] = linked[2] = linked[0]
    assert anchor_loss(near) == anchor_loss(far), "the same patient outside the window is neither positive nor negative"
    batch["cxr"]["subject"] = np.array([0, 0, 7, 1, 9])
    assert anchor_loss(near) != anchor_loss(far)


@RECIPES
def test_an_empty_history_never_gives_nan(o):
    empty = np.zeros((4, 6))
    batch = {"ehr": plain(4, history=empty), "cxr": plain(4, seed=1)}
    found = check(batch, {("ehr", "cxr"): np.eye(4, dtype=bool)}, o)
    assert found[3] == 0


@RECIPES
def test_missing_modalities_and_records_of_one_modality(o):
    present = np.array([[1, 0], [0, 1], [1, 1], [1, 1], [0, 0]], dtype=bool)
    batch = {"ehr": plain(5, present=present), "cxr": plain(4, num_modalities=1, seed=1)}
    linked = np.zeros((5, 4), dtype=bool)
    linked[0, 0] = linked[4, 3] = True
    found = check(batch, {("ehr", "cxr"): linked}, o)
    assert np.isfinite(found).all()
    embedded, masks = to_torch(batch, {("ehr", "cxr"): linked})
    compute_losses(embedded, masks, settings=o).total.backward()
    assert not embedded["ehr"].e_NMD.grad[4].any(), "a record without any modality takes part in nothing"


def test_sibling_images_are_negatives_in_the_paper_alone():
    siblings = {"cxr": plain(2, study=np.array([1, 1]))}
    assert check(siblings, {}, LossSettings(a_negatives="record"))[1] > 0.01
    assert check(siblings, {}, LossSettings(a_negatives="study"))[1] == pytest.approx(0, abs=1e-12)
    same_text = {"cxr": plain(2, text=np.array([4, 4]))}
    assert check(same_text, {}, LossSettings(a_negatives="study"))[1] > 0.01
    assert check(same_text, {}, LossSettings(a_negatives="text"))[1] == pytest.approx(0, abs=1e-12)


def test_leave_one_out_key_does_not_hold_the_query():
    batch = {"cxr": plain(3)}
    shortcut = check(batch, {}, LossSettings(centroid="full"))[1]
    honest = check(batch, {}, LossSettings(centroid="leave_one_out"))[1]
    assert shortcut < honest


def test_float32_agrees_with_float64():
    batch, linked = random_batch(7)
    embedded, masks = to_torch(batch, linked)
    single = {
        name: Embedded(b.e_NMD.detach().float(), b.present_NM, b.subject_N, b.study_N, b.text_N, b.history_NH)
        for name, b in embedded.items()
    }
    wide = compute_losses(embedded, masks, settings=LossSettings())
    narrow = compute_losses(single, masks, settings=LossSettings())
    assert narrow.total.dtype == torch.float32
    assert float(narrow.total) == pytest.approx(float(wide.total.detach()), rel=1e-5)


def split_rows(batch, size):
    return [
        {name: range(len(b["e"]) * rank // size, len(b["e"]) * (rank + 1) // size) for name, b in batch.items()}
        for rank in range(size)
    ]


@RECIPES
def test_parts_of_the_rows_add_up(o):
    """What several processes compute, each its own rows: sums over counts of all rows are the whole loss."""
    batch, linked = random_batch(12)
    whole = check(batch, linked, o)
    embedded, masks = to_torch(batch, linked)
    asked = []
    compute_losses(embedded, masks, settings=o, sum_counts=lambda counts: asked.append(counts) or counts)
    parts = [
        compute_losses(embedded, masks, settings=o, rows=rows, sum_counts=lambda _: asked[0])
        for rows in split_rows(batch, 3)
    ]
    assert float(sum(part.total for part in parts).detach()) == pytest.approx(whole[0], rel=1e-12)


@RECIPES
def test_tiles_change_neither_loss_nor_gradient(o):
    batch = {"ehr": plain(40), "cxr": plain(50, seed=1, subject=np.arange(20, 70))}
    linked = {("ehr", "cxr"): batch["ehr"]["subject"][:, None] == batch["cxr"]["subject"][None, :]}
    gradients, totals = [], []
    for tile in (7, 1024):
        embedded, masks = to_torch(batch, linked)
        single = {name: replace(b, e_NMD=b.e_NMD.detach().float().requires_grad_()) for name, b in embedded.items()}
        losses = compute_losses(single, masks, settings=replace(o, tile=tile))
        losses.total.backward()
        totals.append(float(losses.total.detach()))
        gradients.append(torch.cat([b.e_NMD.grad.flatten() for b in single.values()]))
    assert totals[0] == pytest.approx(totals[1], rel=1e-6)
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-6


def test_logit_statistics_are_those_of_the_pairs():
    """One record asks nothing in L_A, having one modality, and one pair alone has no diagnosis in common."""
    present = np.array([[1, 1], [1, 0], [1, 1], [1, 1]], dtype=bool)
    batch = {
        "ehr": plain(4, present=present, history=np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])),
        "cxr": plain(4, seed=1, num_modalities=1, history=np.array([[1.0, 0], [1, 1], [1, 1], [1, 1]])),
    }
    linked = np.zeros((4, 4), dtype=bool)
    linked[0, 0] = linked[2, 2] = True
    for tile in (1, 1024):
        embedded, masks = to_torch(batch, {("ehr", "cxr"): linked})
        statistics = LogitStatistics()
        o = LossSettings(tile=tile, directions="forward", centroid="full")
        compute_losses(embedded, masks, settings=o, statistics=statistics)
        x = {pair: np.log(value) for pair, value in similarities(batch["ehr"], batch["cxr"], o.tau).items()}
        a = {
            (i, j, m): unit(batch["ehr"]["e"][i, m]) @ unit(centroid(batch["ehr"], j)) / o.tau
            for i, j, m in itertools.product((0, 2, 3), range(4), range(2))
        }
        others = [(i, j) for i, j in itertools.product(range(4), range(4)) if i != j]
        expected = {
            "a_positive": [logit for (i, j, _), logit in a.items() if i == j],
            "a_negative": [logit for (i, j, _), logit in a.items() if i != j],
            "p_positive": [x[0, 0], x[2, 2]],
            "p_negative": [x[i, j] for i, j in others if i in (0, 2)],
            "d_positive": [x[pair] for pair in others if pair != (3, 0)],
            "d_negative": [x[3, 0]],
        }
        values = statistics.values()
        assert len(values) == 2 * len(expected)
        for name, logits in expected.items():
            assert values[f"logit_{name}_mean"] == pytest.approx(np.mean(logits)), name
            assert values[f"logit_{name}_max"] == pytest.approx(np.max(logits)), name
    assert LogitStatistics().values() == {}


@pytest.mark.parametrize(
    ("num_modalities", "linked", "weights", "counts"),
    [
        ({"a": 2}, [], {}, True),
        ({"a": 1}, [], {}, False),
        ({"a": 1, "b": 1}, [], {}, True),
        ({"a": 1, "b": 1}, [], {"lambda_d": 0.0}, False),
        ({"a": 1, "b": 1}, [("a", "b")], {"lambda_d": 0.0}, True),
        ({"a": 2, "b": 1}, [("a", "b")], {"lambda_a": 0.0, "lambda_p": 0.0, "lambda_d": 0.0}, False),
    ],
)
def test_what_would_be_0_at_every_step_is_refused(num_modalities, linked, weights, counts):
    refusal = nullcontext() if counts else pytest.raises(ValueError, match="nothing to learn")
    with refusal:
        check_something_counts(num_modalities, linked, settings=LossSettings(**weights))
