"""The X-ray evaluation from an evaluation set on disk to its rows: ours, a published model, one that is not there."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from medcsp_model.corpus import Corpus, CorpusError, CorpusWriter, write_films
from medcsp_model.embed import Embedder
from medcsp_model.evaluate import evaluate_retrieval, main
from medcsp_model.evaluation import curves
from medcsp_model.evaluation.exposure import SEEN, exposure_rows
from medcsp_model.evaluation.readers import EvaluationSet, Ours, Published, keep_of
from medcsp_model.evaluation.zero_shot import METRICS, PROMPTS, read_prompts
from medcsp_model.model import MedCSP, ModelDescription
from medcsp_model.settings import RadiologyEvaluation, RetrievalSettings, Settings
from medcsp_model.towers import describe_towers
from tests.radiology import published

SIZE, STUDIES = 32, 6
METHODS = ("medcsp", "clip", "biomedclip", "clip_small")
SETTINGS = RadiologyEvaluation(methods=METHODS, num_draws=30, batch_size=8, smallest_group=3).to_json()


def write_set(folder: Path, *, with_reports: bool) -> Path:
    """Six studies of a frontal and a lateral film; those of studies 0 and 1 have one text."""
    count, split = 2 * STUDIES, "retrieval_x" if with_reports else "zero_shot_x"
    rng = np.random.default_rng(0)
    writer = CorpusWriter(folder, name="x", synthetic=True, splits=[split], history_size=1)
    study = np.repeat(np.arange(STUDIES), 2)
    ids = {
        "record_id": [f"r{number:02d}" for number in range(count)],
        "subject_id": study // 2 + 1,
        "study_id": study + 1,
    }
    none = {"time_days": np.full(count, np.nan), "split": np.zeros(count), "history_indptr": np.zeros(count + 1)}
    writer.add_source("x", **ids, **none, history_indices=[])
    pixels = rng.integers(0, 255, size=(count, SIZE, SIZE), dtype=np.uint8)
    np.save(folder.parent / f"{folder.name}.npy", pixels)
    shards = [folder.parent / f"{folder.name}.npy"]
    writer.add_images("x", "image", shard=np.zeros(count), row=np.arange(count), shards=shards, size=SIZE)
    if with_reports:
        offsets = np.arange(STUDIES + 1) * 4
        tokens = rng.integers(4, len(published.BERT_VOCAB), size=4 * STUDIES)
        size = len(published.BERT_VOCAB)
        writer.add_text("x", "report", row=study, offsets=offsets, tokens=tokens, size=size, pad_id=0)
    writer.finish()
    for number, image in enumerate(pixels):
        (folder / "films").mkdir(exist_ok=True)
        Image.fromarray(image).resize((40, 40)).save(folder / "films" / f"r{number:02d}.png")
    texts = ["heart is normal", *(f"no effusion {'a b c'[: 2 * number + 1]}" for number in range(1, STUDIES))]
    texts[1] = "Heart  is NORMAL"
    films = {
        "record_id": ids["record_id"],
        "view": ["frontal", "lateral"] * STUDIES,
        "sex": [["F", "M"][number // 4 % 2] for number in range(count)],
        "age_group": [None] * count,
        "origin": [["one", "two"][number % 2] for number in range(count)],
        "label": [None if with_reports else number % 3 == 0 for number in range(count)],
        "path": [f"films/r{number:02d}.png" for number in range(count)],
        "text": study.tolist() if with_reports else [-1] * count,
        "mask": [-1, *range(count - 1)],
    }
    masks = np.zeros((count - 1, SIZE, SIZE), dtype=bool)
    masks[:, 4:20, 4:28] = True
    write_films(folder, films=films, texts={"whole": texts, "summary": texts}, masks=masks)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two evaluation sets, a checkpoint, a tokenizer and the weights of one published model."""
    root = tmp_path_factory.mktemp("radiology")
    small = {"image": {"timm_model_name": "test_vit", "image_size": 32}, "embed_dim": 16, "hidden_dim": 8}
    small["text"] = {"width": 32, "num_layers": 1, "num_heads": 2, "mlp_width": 32, "context_length": 24}
    small["text"] |= {"vocab_size": 0}
    settings = Settings.from_json({"model": small})
    model = MedCSP(
        ModelDescription(settings, describe_towers(settings.model, vocab_size=len(published.BERT_VOCAB)), {})
    )
    published.write_json(root / "checkpoint" / "model.json", {"model": model.description.to_json()})
    save_file(model.state_dict(), root / "checkpoint" / "model.safetensors")
    published.write_bert_tokenizer(root / "words", as_vocab=True)
    published.write_clip(root / "weights" / "clip")
    for name, with_reports in (("searched", True), ("classified", False)):
        write_set(root / name, with_reports=with_reports)
    return root


def run(home, task, monkeypatch, tmp_path, *, dataset, **settings):
    """What the command writes, by file, under the description that a step gives it."""
    folder = home / ("searched" if task == "retrieval" else "classified")
    described = {
        "task": task,
        "corpus": str(folder),
        "checkpoint": str(home / "checkpoint"),
        "output": str(tmp_path / "out"),
        "settings": {"ks": [1, 3, 50], "num_draws": 30},
        "radiology": {
            "settings": SETTINGS | settings,
            "dataset": dataset,
            "cohort": "valid",
            "finding": "covid-19",
            "pictures": str(folder),
            "weights": str(home / "weights"),
            "small": "",
            "llm": "",
            "vocabulary": str(home / "words"),
            "towers": "biomedclip",
        },
    }
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "run.json").write_text(json.dumps(described))
    monkeypatch.setattr("sys.argv", ["evaluate", "--settings", str(tmp_path / "run.json")])
    assert main() == 0
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")}


def keys(rows, *names):
    return Counter(tuple(row[name] for name in names) for row in rows)


def test_every_direction_variant_and_mode_of_a_retrieval(home, monkeypatch, tmp_path):
    said = run(home, "retrieval", monkeypatch, tmp_path, dataset="open_i")
    rows = said["metrics"]
    assert max(keys(rows, "cohort", "method", "mode", "metric", "k", "split").values()) == 1
    directions = ("text_to_image", "image_to_text")
    variants = {f"{way}{suffix}" for way in directions for suffix in ("", "/same_text")}
    assert {row["mode"] for row in rows} == {*variants, *(f"{name}/paper" for name in variants)}
    assert {row["cohort"] for row in rows} == {"all_views", "frontal"}
    assert {row["method"] for row in rows} == {"medcsp", "clip", "chance", "ceiling"}
    assert {row["k"] for row in rows} == {0, 1, 3}, "50 is beyond 12 images"
    assert {row["split"] for row in rows} == {
        *("retrieval_x", "retrieval_x/sex=F", "retrieval_x/sex=M"),
        *("retrieval_x/view=frontal", "retrieval_x/view=lateral"),
    }
    value = {(row["cohort"], row["mode"], row["split"], row["method"], row["metric"], row["k"]): row for row in rows}
    main = value["all_views", "text_to_image", "retrieval_x", "ceiling", "precision_at_k", 3]
    same = value["all_views", "text_to_image/same_text", "retrieval_x", "ceiling", "precision_at_k", 3]
    assert (main["value"], main["n"]) == (pytest.approx(2 / 3), STUDIES) and same["value"] > main["value"]
    assert value["frontal", "image_to_text", "retrieval_x", "chance", "recall_at_k", 1]["value"] == pytest.approx(1 / 6)
    assert value["all_views", "image_to_text", "retrieval_x/view=lateral", "clip", "mrr", 0]["n"] == STUDIES


def test_the_papers_own_search_stays_what_it_is_alone(home, monkeypatch, tmp_path):
    said = run(home, "retrieval", monkeypatch, tmp_path, dataset="mimic_cxr")
    settings = RetrievalSettings(ks=(1, 3, 50), num_draws=30)
    alone = evaluate_retrieval(
        Embedder(home / "checkpoint", Corpus.open(home / "searched")), tmp_path / "alone", settings=settings
    )
    own = {("cohort", "all_views"), ("num_positive", None)}
    assert [row for row in said["metrics"] if row["method"] in ("medcsp", "chance")][: len(alone)] == [
        row | dict(own) for row in alone
    ]
    assert said["retrieval"] == json.loads((tmp_path / "alone" / "retrieval.json").read_text())


def test_rows_of_ours_are_ranked_exactly(home, tmp_path):
    """Embeddings so near to each other that a float32 product orders them by its rounding."""

    class Collapsed:
        """A model that gives everything nearly the same embedding."""

        corpus = Corpus.open(home / "searched")

        def modality(self, source, name, records, *, batch_size):
            e = np.ones(128) + 1e-3 * np.random.default_rng(len(name)).normal(size=(2 * STUDIES, 128))
            return (e / np.linalg.norm(e, axis=1, keepdims=True)).astype(np.float32)[records]

    settings = RetrievalSettings(ks=(1, 3), num_draws=9)
    rows = evaluate_retrieval(Collapsed(), tmp_path, settings=settings)
    study = Collapsed.corpus.sources["x"].study_id
    asked = np.arange(0, 2 * STUDIES, 2)
    reports, images = (
        Collapsed().modality("", name, np.arange(2 * STUDIES), batch_size=9) for name in ("report", "image")
    )
    product = reports[asked].astype(np.float64) @ images.T.astype(np.float64)
    assert len(np.unique(product.astype(np.float32))) < product.size, "float32 cannot tell them apart"
    hit = study[np.argsort(-product, axis=1, kind="stable")] == study[asked][:, None]
    value = {(row["method"], row["metric"], row["k"]): row["value"] for row in rows}
    for k in settings.ks:
        assert value["medcsp", "precision_at_k", k] == pytest.approx(hit[:, :k].mean())
    told = json.loads((tmp_path / "retrieval.json").read_text())
    assert told["median_rank"] == np.median(np.nonzero(hit)[1]) + 1


def test_what_cannot_be_had_says_why_and_has_no_number(home, monkeypatch, tmp_path):
    said = run(home, "retrieval", monkeypatch, tmp_path, dataset="open_i")
    methods = {(row["method"], row["mode"]): row for row in said["methods"]}
    assert set(methods) == {(name, mode) for name in METHODS for mode in ("native", "paper")} - {
        ("clip_small", "paper")
    }
    assert methods["biomedclip", "native"]["reason"].startswith("$MEDCSP_WEIGHTS holds no folder biomedclip")
    assert "huggingface.co/microsoft" in methods["biomedclip", "paper"]["reason"]
    assert methods["clip_small", "native"]["reason"].startswith("clip_small was not trained")
    assert {row["method"] for row in said["metrics"]} & {"biomedclip", "clip_small"} == set()
    ours, clip = methods["medcsp", "native"], methods["clip", "native"]
    assert (ours["pictures"], ours["texts"], clip["pictures"]) == ("stored", "report", "original")
    assert (clip["texts"], methods["clip", "paper"]["texts"]) == ("findings_and_impression", "report")
    assert (ours["num_images"], ours["num_texts"], ours["reason"]) == (12, 6, None)


def test_dicom_films_are_shown_as_the_pictures_made_of_them(home, tmp_path, caplog):
    shutil.copytree(home / "searched", tmp_path / "dicom")
    told = json.loads((tmp_path / "dicom" / "films.json").read_text())
    told["films"]["path"] = [path.replace(".png", ".dcm") for path in told["films"]["path"]]
    (tmp_path / "dicom" / "films.json").write_text(json.dumps(told))
    for film in (tmp_path / "dicom" / "films").glob("*.png"):
        with Image.open(film) as opened:
            opened.convert("L").save(film.with_suffix(".jpg"), quality=100)
    clip = shown_to_clip(home, tmp_path / "dicom")
    assert clip.facts()["pictures"] == "original"
    (whole,) = clip._pictures(np.array([0]), "")
    assert whole.format == "JPEG" and whole.size == (40, 40)
    next((tmp_path / "dicom" / "films").glob("*.jpg")).unlink()
    without = shown_to_clip(home, tmp_path / "dicom")
    assert without.facts()["pictures"] == "stored"
    assert "1 of 12 films have no picture: all are shown as stored squares" in caplog.text
    (square,) = without._pictures(np.array([0]), "")
    assert square.size == (SIZE, SIZE)


def test_torn_films_are_named(home, tmp_path):
    shutil.copytree(home / "searched", tmp_path / "torn")
    (tmp_path / "torn" / "films.json").write_text("{")
    with pytest.raises(CorpusError, match=r"films\.json: not readable as JSON .* publish the evaluation set again"):
        EvaluationSet.open(tmp_path / "torn")


def test_embeddings_are_kept_by_the_films_that_they_are_of(home, tmp_path):
    clip = shown_to_clip(home, home / "searched", kept=tmp_path)
    first, others = (clip.images(records) for records in (np.arange(4), np.arange(4, 8)))
    assert not np.allclose(first, others)
    clip.model = None  # nothing is embedded again
    assert np.array_equal(clip.images(np.arange(4)), first)


def shown_to_clip(home, folder, *, kept=None):
    """A published model over a set whose root is its own folder."""
    from medcsp_model.baselines.radiology.registry import open_model

    model, data = open_model("clip", home / "weights", mode="native"), EvaluationSet.open(folder, root=str(folder))
    return Published("clip", model, data, kept=kept)


def test_differences_are_paired_and_the_declared_adjusted(home, monkeypatch, tmp_path):
    said = run(home, "zero_shot", monkeypatch, tmp_path, dataset="covid19")
    value = {(row["mode"], row["metric"], row["method"], row["split"]): row for row in said["metrics"]}
    for row in said["comparisons"]:
        pair = [value[row["mode"], row["metric"], row[side], row["split"]]["value"] for side in ("method", "other")]
        assert row["difference"] == pytest.approx(pair[0] - pair[1])
        assert (row["p_holm"] is not None) == (row["p_value"] is not None) == row["is_declared"]
    declared = [row for row in said["comparisons"] if row["is_declared"]]
    assert [(row["mode"], row["metric"], row["other"]) for row in declared] == [("description", "auroc", "clip")]


def test_only_declared_differences_of_a_retrieval_have_p(home, monkeypatch, tmp_path):
    monkeypatch.setattr("medcsp_model.evaluation.retrieval_report.DECLARED", ("recall_at_k", 3))  # so few images
    monkeypatch.setattr("medcsp_model.evaluation.bootstrap.LEAST_SUBJECTS", 2)  # of so few patients
    comparisons = run(home, "retrieval", monkeypatch, tmp_path, dataset="mimic_cxr")["comparisons"]
    told = [row for row in comparisons if row["ci_low"] is not None]
    assert {row["is_declared"] for row in told} == {True, False}
    for row in told:
        assert (row["p_holm"] is not None) == (row["p_value"] is not None) == row["is_declared"]


def test_prompts_controls_subgroups_and_constants_of_a_classification(home, monkeypatch, tmp_path):
    said = run(home, "zero_shot", monkeypatch, tmp_path, dataset="covid19")
    rows = said["metrics"]
    assert max(keys(rows, "method", "mode", "metric", "split").values()) == 1
    names = {each.name for each in read_prompts(PROMPTS / "covid19")}
    assert len(names) >= 5 and {row["mode"] for row in rows if row["method"] == "medcsp"} == {
        f"{mode}{suffix}"
        for mode in (*names, "mean", "description/lung_only", "description/border_only")
        for suffix in ("", "/paper")
    }
    value = {(row["method"], row["mode"], row["metric"], row["split"]): row for row in rows}
    own = {each["name"]: each["is_averaged"] for each in said["prompts"]}
    assert own == {name: name != "signs" for name in names}, "which ask for viral pneumonia, and the label is COVID-19"
    each = [value["clip", name, "auroc", "zero_shot_x"]["value"] for name in sorted(names - {"signs"})]
    assert value["clip", "mean", "auroc", "zero_shot_x"]["value"] == pytest.approx(np.mean(each))
    assert value["clip", "mean", "auroc_sd", "zero_shot_x"]["value"] == pytest.approx(np.std(each, ddof=1))
    assert value["clip", "description/lung_only", "auroc", "zero_shot_x"]["n"] == 11, "one film has no mask"
    assert value["clip", "description", "positive_rate", "zero_shot_x/origin=two"]["n"] == 6
    constants = {
        method: value[method, "constant", "f1", "zero_shot_x"]["value"] for method in ("all_positive", "chance")
    }
    assert constants == {"all_positive": pytest.approx(0.5), "chance": pytest.approx(1 / 3)}
    assert value["all_negative", "constant", "recall", "zero_shot_x"]["value"] == 0
    assert {row["grouping"]: row["num_images"] for row in said["duplicates"]} == dict.fromkeys(
        ("class", "origin", "subject"), 12
    )


def test_few_of_a_class_tell_no_area_of_a_subgroup(home, monkeypatch, tmp_path):
    """Of two positives of six an AUROC is told with smallest_group 2, and with 3 their share of positives alone."""
    for smallest, told in ((2, {"positive_rate", *METRICS}), (3, {"positive_rate"})):
        said = run(home, "zero_shot", monkeypatch, tmp_path / f"{smallest}", dataset="covid19", smallest_group=smallest)
        rows = [row for row in said["metrics"] if row["split"] == "zero_shot_x/origin=two"]
        assert {row["metric"] for row in rows} == told and {(row["n"], row["num_positive"]) for row in rows} == {(6, 2)}


def test_no_interval_where_many_draws_lack_a_class(home, monkeypatch, tmp_path):
    """Three patients, and all positives are one's: three in ten draws hold none of them."""
    folder = write_set(tmp_path / "classified", with_reports=False)
    told = json.loads((folder / "films.json").read_text())
    told["films"]["label"] = [number < 3 for number in range(12)]
    (folder / "films.json").write_text(json.dumps(told))
    for name in ("checkpoint", "words", "weights"):
        (tmp_path / name).symlink_to(home / name)
    for of, is_given in ((tmp_path, False), (home, True)):
        said = run(of, "zero_shot", monkeypatch, tmp_path / str(is_given), dataset="covid19")
        rows = [row for row in said["metrics"] if (row["mode"], row["split"]) == ("description", "zero_shot_x")]
        given = {row["metric"]: row["ci_low"] is not None for row in rows if row["method"] == "clip"}
        assert given == dict.fromkeys(METRICS, is_given) | {"positive_rate": True}


def test_curves_of_the_headline_have_its_areas(home, monkeypatch, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "FEWEST", 2)
        said = run(home, "zero_shot", monkeypatch, tmp_path, dataset="covid19")
    value = {(row["method"], row["mode"], row["metric"], row["split"]): row["value"] for row in said["metrics"]}
    places = keys(said["curves"], "method", "mode", "split")
    assert places == {
        (method, mode, "zero_shot_x"): 2
        for method in ("medcsp", "clip")
        for mode in ("description", "description/paper")
    }, "four positives are two cells of two"
    for method, mode, split in places:
        cells = [row for row in said["curves"] if (row["method"], row["mode"]) == (method, mode)]
        assert {(row["n"], row["num_positive"], row["num_seeds"]) for row in cells} == {(12, 4, 1)}
        false_positive_rate = np.mean([row["false_positive_rate"] for row in cells])
        assert value[method, mode, "auroc", split] == pytest.approx(1 - false_positive_rate)
        precision = np.mean([row["precision"] for row in cells])
        assert value[method, mode, "auprc", split] == pytest.approx(precision)


def test_one_class_alone_is_a_reason_and_no_failure(home, monkeypatch, tmp_path):
    folder = write_set(tmp_path / "classified", with_reports=False)
    told = json.loads((folder / "films.json").read_text())
    told["films"]["label"] = [True] * 12
    (folder / "films.json").write_text(json.dumps(told))
    for name in ("checkpoint", "words", "weights"):
        (tmp_path / name).symlink_to(home / name)
    said = run(tmp_path, "zero_shot", monkeypatch, tmp_path, dataset="chexpert")
    assert said["metrics"] == said["comparisons"] == said["curves"] == [] and {
        row["method"] for row in said["methods"]
    } == set(METHODS)
    assert {row["reason"] for row in said["methods"]} == {
        "12 of 12 labelled films are positive: there is nothing to tell apart"
    }


def test_a_control_leaves_what_it_says(home):
    data = EvaluationSet.open(home / "classified", root=str(home / "classified"))
    border = keep_of("border_only", None, size=10, border=0.2)
    assert border.sum() == 100 - 36 and not border[2:-2, 2:-2].any()
    ours = Ours(data, home / "checkpoint", mode="native", vocabulary=str(home / "words"), batch_size=5)
    records = np.arange(1, 12)
    whole, lungs = (ours.images(records, control=control) for control in ("", "lung_only"))
    assert whole.shape == lungs.shape == (11, 16) and not np.allclose(whole, lungs)
    assert np.allclose(np.linalg.norm(lungs, axis=1), 1, atol=1e-5)

    class Seen:
        """A model that only keeps what it is shown."""

        mode, logit_scale, embed_dim = "native", 1.0, 1

    shown = Published("clip", Seen(), data)
    (picture,) = shown._pictures(np.array([3]), "lung_only")
    grey = np.asarray(picture)
    assert picture.size == (40, 40) and grey[10, 10] > 0 and not grey[30:].any() and not grey[:3].any()
    (film,) = shown._pictures(np.array([3]), "")
    assert film.size == (40, 40), "the file as it was released, not the stored square"


def test_exposure_is_said_of_every_known_model_and_ours():
    rows = {row["method"]: row for row in exposure_rows("mimic_cxr", ["my_model", "clip_small"])}
    assert set(rows) == {"medcsp", "my_model", "clip_small", *SEEN}
    assert {name for name, row in rows.items() if row["is_contaminated"]} == {"medclip", "cxr_clip"}
    assert (rows["medcsp"]["counted"], rows["medclip"]["counted"]) == ("pretrain", "official_train")
    assert rows["my_model"]["exposure"] == "possible"


def test_ours_has_seen_what_its_towers_had_seen(home, monkeypatch, tmp_path):
    """The worse of both levels, for the variant with a language model as for ours; small models start at random."""
    ours = ("medcsp", "medcsp_llm")
    for dataset, towers, level, counted in (
        ("covid19", "", "none_known", "pretrain"),
        ("covid19", "biomedclip", "possible", "pretrain"),
        ("mimic_cxr", "biomedclip", "none_known", "pretrain"),
        ("mimic_cxr", "medcsp_released", "same_release", "pretrain"),
        ("mimic_cxr", "medclip", "trained_on", "official_train"),
        ("mimic_cxr", "my_towers", "possible", "pretrain"),
    ):
        rows = {row["method"]: row for row in exposure_rows(dataset, [*ours, "clip_small"], towers=towers)}
        assert {(rows[name]["exposure"], rows[name]["counted"]) for name in ours} == {(level, counted)}, towers
        assert rows["medcsp"]["is_contaminated"] == (level == "trained_on")
        assert rows["clip_small"]["exposure"] == "none_known"
        assert towers in rows["medcsp"]["seen"] and rows["medcsp"]["seen"].startswith("what cohort_split marks")
    said = run(home, "zero_shot", monkeypatch, tmp_path, dataset="covid19")
    exposed = {row["method"]: row["exposure"] for row in said["exposure"]}
    assert exposed["medcsp"] == exposed["biomedclip"] == "possible"


def test_settings_are_strict():
    with pytest.raises(ValueError, match="unknown key 'model'"):
        RadiologyEvaluation.from_json({"model": []})
    with pytest.raises(ValueError, match=r"border: must lie between 0 and 0\.5"):
        RadiologyEvaluation.from_json({"border": 0.5})
    with pytest.raises(ValueError, match="name at least one"):
        RadiologyEvaluation.from_json({"methods": []})
