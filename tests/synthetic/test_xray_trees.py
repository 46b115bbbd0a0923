"""Open-I, COVID-19 Radiography, CheXpert and the whole of MIMIC-CXR-JPG: paths, headers, labels, pixels."""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import polars as pl
import pytest

from pipelines.synthetic import SyntheticSettings

OBSERVATIONS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
CHEXPERT_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def _pixels(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_every_film_is_in_the_jpg_release_too_and_shows_the_same(raw: Path) -> None:
    from pydicom import dcmread

    films = sorted((raw / "mimic-cxr" / "files").rglob("*.dcm"))
    jpgs = sorted((raw / "mimic-cxr-jpg" / "files").rglob("*.jpg"))
    relative = [path.relative_to(raw / "mimic-cxr-jpg").with_suffix("") for path in jpgs]
    assert relative == [path.relative_to(raw / "mimic-cxr").with_suffix("") for path in films]
    seen = set()
    for film, jpg in zip(films, jpgs, strict=True):
        header = dcmread(film)
        stored = header.pixel_array.astype(float)
        bright = -stored if header.PhotometricInterpretation == "MONOCHROME1" else stored
        seen.add(header.PhotometricInterpretation)
        pixels = _pixels(jpg)
        assert pixels.dtype == np.uint8 and pixels.shape == bright.shape
        ranks = [np.argsort(np.argsort(image.ravel())) for image in (bright, pixels)]
        assert np.corrcoef(*ranks)[0, 1] > 0.95, "the JPG is not its film, equalised"
    assert seen == {"MONOCHROME1", "MONOCHROME2"}


def test_compressed_films_hold_the_same_pixels(raw: Path, other: Path) -> None:
    from pydicom import dcmread

    syntaxes = []
    for path in sorted((other / "mimic-cxr/files").rglob("*.dcm")):
        film, plain = dcmread(path), dcmread(raw / path.relative_to(other))
        assert (film.pixel_array == plain.pixel_array).all()
        assert film.SOPInstanceUID == plain.SOPInstanceUID
        syntaxes.append(film.file_meta.TransferSyntaxUID)
    assert syntaxes.count("1.2.840.10008.1.2.4.90") == syntaxes.count("1.2.840.10008.1.2.5") == 2


def test_split_keeps_patients_together_and_labels_have_the_published_header(raw: Path) -> None:
    split = pl.read_csv(raw / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz")
    assert split.columns == ["dicom_id", "study_id", "subject_id", "split"]
    assert set(split["split"]) == {"train", "validate", "test"}
    assert split.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    for labeler in ("chexpert", "negbio"):
        labels = pl.read_csv(raw / f"mimic-cxr-jpg/mimic-cxr-2.0.0-{labeler}.csv.gz", infer_schema=False)
        assert ",".join(labels.columns) == f"subject_id,study_id,{OBSERVATIONS}"
        values = {value for name in OBSERVATIONS.split(",") for value in labels[name].to_list()}
        assert values == {"1.0", "0.0", "-1.0", None}


def test_labels_follow_the_findings(raw: Path) -> None:
    labels = pl.read_csv(raw / "mimic-cxr-jpg/mimic-cxr-2.0.0-chexpert.csv.gz", infer_schema_length=None)
    drawn = pl.read_parquet(raw / "truth/studies.parquet").join(labels, on="study_id")
    fluid = pl.max_horizontal("right_effusion", "left_effusion") > 0
    assert drawn.filter(fluid)["Pleural Effusion"].is_in([1.0, -1.0]).all()
    assert not drawn.filter(~fluid)["Pleural Effusion"].is_in([1.0, -1.0]).any()
    healthy = drawn.filter(pl.col("No Finding") == 1)
    assert len(healthy)
    assert (
        not healthy.select(pl.any_horizontal(fluid, pl.col("edema") > 0, pl.col("right_upper") > 0)).to_series().any()
    )


def test_release_2_1_0_has_labels_by_people_and_reports_may_be_zipped(raw: Path, other: Path) -> None:
    assert not list((other / "mimic-cxr/files").rglob("*.txt"))
    listed = pl.read_csv(other / "mimic-cxr/cxr-study-list.csv.gz")["path"].to_list()
    with zipfile.ZipFile(other / "mimic-cxr/mimic-cxr-reports.zip") as packed:
        assert sorted(packed.namelist()) == sorted(listed)
        for path in listed[:5]:
            assert packed.read(path).decode() == (raw / "mimic-cxr" / path).read_text()
    name = "mimic-cxr-2.1.0-test-set-labeled.csv"
    assert not (raw / "mimic-cxr-jpg" / name).exists()
    people = pl.read_csv(other / "mimic-cxr-jpg" / name)
    header = OBSERVATIONS.replace("Lung Opacity", "Airspace Opacity")
    assert ",".join(people.columns) == f"study_id,{header}"
    split = pl.read_csv(other / "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz").filter(pl.col("split") == "test")
    assert set(people["study_id"]) == set(split["study_id"])


def test_open_i_reports_are_xml_that_names_its_images(raw: Path) -> None:
    root = raw / "open-i"
    named, texts = set(), []
    for path in (root / "ecgen-radiology").iterdir():
        tree = ElementTree.parse(path).getroot()
        assert tree.tag == "eCitation" and tree.find("uId").get("id") == f"CXR{path.stem}"
        labels = [part.get("Label") for part in tree.iter("AbstractText")]
        assert labels == ["COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION"]
        texts.append({part.get("Label"): part.text for part in tree.iter("AbstractText")})
        assert tree.findall("MeSH/major")
        named |= {image.get("id") for image in tree.findall("parentImage")}
    assert {path.stem for path in (root / "NLMCXR_png").iterdir()} == named
    assert all(re.fullmatch(r"CXR\d+_1_IM-\d{4}-\d{4}", name) for name in named)
    assert any(text["FINDINGS"] is None for text in texts) and all(any(text.values()) for text in texts)
    assert any("XXXX" in (text["INDICATION"] or "") for text in texts)


def test_open_i_as_kaggle_has_the_same_reports_and_images(raw: Path, other: Path) -> None:
    root = other / "open-i"
    reports = pl.read_csv(root / "indiana_reports.csv")
    images = pl.read_csv(root / "indiana_projections.csv")
    assert ",".join(reports.columns) == "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    assert images.columns == ["uid", "filename", "projection"] and set(images["projection"]) == {"Frontal", "Lateral"}
    for name in images["filename"]:
        ours = root / "images/images_normalized" / name
        theirs = raw / "open-i/NLMCXR_png" / re.sub(r"^(\d+)_(.*)\.dcm\.png$", r"CXR\1_1_\2.png", name)
        assert ours.read_bytes() == theirs.read_bytes()
    impression = dict(reports.select("uid", "impression").iter_rows())
    for uid, text in impression.items():
        tree = ElementTree.parse(raw / f"open-i/ecgen-radiology/{uid}.xml")
        assert tree.find(".//AbstractText[@Label='IMPRESSION']").text == text


def test_covid19_has_four_classes_of_square_png_and_sheets(raw: Path, other: Path, settings: SyntheticSettings) -> None:
    base = raw / "covid19/COVID-19_Radiography_Dataset"
    classes = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
    for label in classes:
        images = sorted((base / label / "images").iterdir())
        assert {path.name for path in images} == {f"{label}-{at + 1}.png" for at in range(settings.num_covid19)}
        assert {path.name for path in (base / label / "masks").iterdir()} == {path.name for path in images}
        shapes = {_pixels(path).shape for path in images}
        assert shapes == {(299, 299), (299, 299, 3)}
        older = other / "covid19" / label
        assert {path.name for path in older.iterdir()} == {path.name for path in images}
        with zipfile.ZipFile(base / f"{label}.metadata.xlsx") as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "FILE NAME" in sheet and (f"{label.upper() if label == 'Normal' else label}-1<" in sheet)


def test_covid19_classes_look_different(raw: Path) -> None:
    base = raw / "covid19/COVID-19_Radiography_Dataset"

    def haze(label: str) -> float:
        films = [_pixels(path) for path in (base / label / "images").iterdir()]
        grey = [film if film.ndim == 2 else film[:, :, 0] for film in films]
        # lungs' bases against their tops, which exposure does not change
        return float(np.mean([film[160:190, 80:120].mean() / film[60:120, 80:120].mean() for film in grey]))

    assert haze("COVID") > haze("Normal") + 0.2


@pytest.mark.parametrize("layout", ["small", "full"])
def test_chexpert_lists_every_image_it_has(raw: Path, other: Path, layout: str) -> None:
    root = (raw if layout == "small" else other) / "chexpert"
    lists = root / ("CheXpert-v1.0-small" if layout == "small" else "CheXpert-v1.0 batch 1 (validate & csv)")
    found = {path.relative_to(root).as_posix() for path in root.rglob("*.jpg")}
    count = 0
    for part in ("train", "valid"):
        rows = pl.read_csv(lists / f"{part}.csv", infer_schema=False)
        assert ",".join(rows.columns) == CHEXPERT_HEADER
        assert (
            rows["Path"]
            .str.contains(rf"^CheXpert-v1\.0(-small)?/{part}/patient\d{{5}}/study\d/view\d_(frontal|lateral)\.jpg$")
            .all()
        )
        below = rows["Path"].str.replace(r"^[^/]+/", "")
        for path in below:
            tail = path if layout == "small" or part == "valid" else path.removeprefix("train/")
            places = [place for place in found if place.endswith(f"/{tail}")]
            assert len(places) == 1
        count += len(rows)
        lateral = rows["Frontal/Lateral"] == "Lateral"
        assert rows.filter(lateral)["AP/PA"].null_count() == lateral.sum()
        labels = {value for name in CHEXPERT_HEADER.split(",")[5:] for value in rows[name]}
        assert labels == ({"1.0", "0.0", "-1.0", None} if part == "train" else {"1.0", "0.0"})
    assert len(found) == count
    if layout == "full":
        assert {path.name for path in root.iterdir() if path.is_dir()} >= {"CheXpert-v1.0 batch 2 (train 1)"}
        assert (root / "train_cheXbert.csv").exists() and (root / "train_visualCheXbert.csv").exists()
