"""Zero-shot measures against scikit-learn and by hand, prompt files, and the answers that look at no image."""

import numpy as np
import pytest
from sklearn import metrics as sk

from medcsp_model.evaluation import areas, scores, zero_shot
from medcsp_model.evaluation.zero_shot import METRICS, PROMPTS, class_logits, estimate, read_prompts
from pipelines.assets.radiology import TASKS


def unit(rng, count, width=8):
    e = rng.normal(size=(count, width)).astype(np.float32)
    return e / np.linalg.norm(e, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    label = rng.random(120) < 0.3
    return label, np.round(rng.normal(size=120) + label, 1), np.arange(120) // 2


def test_measures_are_scikit_learns(case):
    label, score, _ = case
    said = score > 0
    expected = {
        "precision": sk.precision_score(label, said),
        "recall": sk.recall_score(label, said),
        "f1": sk.f1_score(label, said),
        "mcc": sk.matthews_corrcoef(label, said),
        "balanced_accuracy": sk.balanced_accuracy_score(label, said),
        "auroc": sk.roc_auc_score(label, score),
        "auprc": sk.average_precision_score(label, score),
    }
    assert expected.keys() == METRICS.keys()
    for name, value in expected.items():
        assert areas.score(METRICS[name], label, score) == pytest.approx(value), name


def test_the_papers_constant_answers():
    """All positive on 109 of 234 and on 3,616 of 13,808 images: the F1 beside which Tables 3 and 6 are read."""
    for positives, n, f1 in ((109, 234, 0.6356), (3616, 13808, 0.4151)):
        label = np.arange(n) < positives
        answers = zero_shot.constant_scores(n)
        found = {name: areas.score(METRICS["f1"], label, answers[name]) for name in answers}
        assert found["all_positive"] == pytest.approx(f1, abs=1e-4) and found["all_negative"] == 0
        assert areas.score(METRICS["mcc"], label, answers["all_positive"]) == 0
        assert areas.score(METRICS["balanced_accuracy"], label, answers["all_negative"]) == 0.5


def test_softmax_and_argmax_of_two_prompts():
    rng = np.random.default_rng(1)
    image, negative, positive = unit(rng, 6), unit(rng, 1), unit(rng, 1)
    logits = class_logits(image, negative, positive, logit_scale=20.0, pooling="mean_embedding")
    np.testing.assert_allclose(logits, 20 * np.stack([image @ negative[0], image @ positive[0]], axis=1), atol=1e-5)
    share = zero_shot.softmax(logits)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert (share.argmax(axis=1) == (zero_shot.margin(logits) > 0)).all()
    equal = class_logits(image, negative, negative, logit_scale=20.0, pooling="mean_logit")
    assert not (zero_shot.margin(equal) > 0).any()


def test_pooling_of_several_prompts():
    rng = np.random.default_rng(2)
    image, negative, positive = unit(rng, 5), unit(rng, 3), unit(rng, 4)

    def pooled(pooling):
        return class_logits(image, negative, positive, logit_scale=2.0, pooling=pooling)[:, 1]

    mean = positive.mean(axis=0)
    np.testing.assert_allclose(pooled("mean_embedding"), 2 * image @ (mean / np.linalg.norm(mean)), atol=1e-5)
    np.testing.assert_allclose(pooled("mean_logit"), 2 * (image @ positive.T).mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(pooled("max_logit"), 2 * (image @ positive.T).max(axis=1), atol=1e-5)


def test_sets_and_their_mean(case):
    label, score, subject = case
    sets = {"one": score, "two": -score, "three": score + 0.5}
    found = estimate(label, sets, subject, headline="three", num_draws=50)
    assert list(found) == ["three", "one", "two", "mean"]
    values = [found[name]["f1"].value for name in sets]
    mean = found["mean"]["f1"]
    assert mean.value == pytest.approx(np.mean(values)) and mean.seed_deviation == pytest.approx(np.std(values, ddof=1))
    assert np.isnan(found["one"]["f1"].seed_deviation)
    for measured in found.values():
        for each in measured.values():
            low, high = each.interval()
            assert low - 1e-9 <= each.value <= high + 1e-9


def test_answers_that_look_at_no_image(case):
    label, _, subject = case
    constants = zero_shot.constant_scores(len(label))
    recalls = {
        name: estimate(label, {name: values}, subject, num_draws=0)[name]["recall"].value
        for name, values in constants.items()
    }
    assert recalls == {"all_positive": 1, "all_negative": 0}


@pytest.mark.parametrize(("task", "other"), [("covid19", "signs"), ("chexpert", "cardiomegaly_description")])
def test_a_set_that_asks_for_another_finding_is_measured_and_in_no_mean(case, task, other):
    label, score, subject = case
    sets, finding = read_prompts(PROMPTS / task), TASKS[f"zero_shot_{task}"].finding
    own = zero_shot.about(sets, finding)
    assert {each.name for each in sets} - {*own} == {other}
    by_set = {each.name: -score if each.name == other else score for each in sets}
    found = estimate(label, by_set, subject, num_draws=5, averaged=own)
    assert found["mean"]["auroc"].value == pytest.approx(found["description"]["auroc"].value)
    assert found["mean"]["auroc"].seed_deviation == pytest.approx(0) and found[other]["auroc"].value < 0.5
    alone = estimate(label, by_set, subject, num_draws=5, averaged=own[:1])
    assert "mean" not in alone and other in alone


def test_two_methods_are_compared_draw_by_draw(case):
    label, score, subject = case
    ours = estimate(label, {"a": score, "b": 2 * score - 0.1}, subject, num_draws=50)
    other = estimate(label, {"a": score, "b": 2 * score - 0.1}, subject, num_draws=50)
    found = scores.difference(ours["mean"]["f1"], other["mean"]["f1"])
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_patients_are_drawn_whole(case):
    label, score, _ = case
    width = {}
    for name, subject in (("images", np.arange(960)), ("patients", np.repeat(np.arange(120), 8))):
        eight = estimate(np.repeat(label, 8), {"a": np.repeat(score, 8)}, subject, num_draws=200)
        low, high = eight["a"]["f1"].interval()
        width[name] = high - low
    assert width["patients"] > 2 * width["images"]


@pytest.mark.parametrize("task", ["covid19", "chexpert"])
def test_the_sets_that_come_along(task):
    sets = read_prompts(PROMPTS / task)
    assert len(sets) >= 5 and len({each.name for each in sets}) == len(sets)
    texts = [text for each in sets for text in (*each.positive, *each.negative)]
    assert len(set(texts)) == len(texts)


def test_a_users_own_file(tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nfinding = "x"\npooling = "max_logit"\npositive = ["a"]\nnegative = ["b", "c"]\n'
    )
    assert read_prompts(tmp_path)[0].negative == ("b", "c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not TOML"),
        ('name = "x"\nfinding = "y"\npooling = "mean_logit"\npositive = ["a"]\n', r"missing or empty \['negative'\]"),
        (
            'name="x"\nfinding="y"\npooling="sum"\npositive=["a"]\nnegative=["b"]\n',
            "pooling 'sum'; one of mean_embedding",
        ),
        ('name="x"\nfinding="y"\npooling="mean_logit"\npositive=["a"]\nnegative=[" "]\n', "none of them empty"),
        (
            'name="x"\nfinding="y"\npooling="mean_logit"\npositive=["a"]\nnegative=["b"]\nlabel=1\n',
            r"unknown \['label'\]",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_prompts(tmp_path)
    assert "bad.toml" in str(error.value)


def test_wrong_inputs_are_refused(case, tmp_path):
    label, score, subject = case
    with pytest.raises(ValueError, match="no prompt sets"):
        read_prompts(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text((PROMPTS / "covid19" / "b_name.toml").read_text())
    with pytest.raises(ValueError, match="more than one prompt set is called name"):
        read_prompts(tmp_path)
    with pytest.raises(ValueError, match="headline 'no'"):
        estimate(label, {"a": score}, subject, headline="no")
    with pytest.raises(ValueError, match="1 not finite"):
        estimate(label, {"a": np.r_[np.nan, score[1:]]}, subject)
    with pytest.raises(ValueError, match="0 of 120 images are positive"):
        estimate(np.zeros(120, dtype=bool), {"a": score}, subject)


def test_the_first_two_sentences():
    assert zero_shot.first_sentences("One. Two. Three. Four.", 2) == "One. Two"
