"""COVID-19 Radiography and CheXpert: labels from folders and lists, and where every image lies, in each layout."""

from pathlib import Path

import pytest

from pipelines.sources import TABLES, SourceError

COVID19, CHEXPERT = TABLES["covid19__images"], TABLES["chexpert__images"]
HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
LABELS = "0.0,1.0,-1.0,,,,,,,,,,,1.0"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.mark.parametrize("outer", ["", "COVID-19_Radiography_Dataset/"])
def test_covid19_since_release_5(outer: str, tmp_path: Path) -> None:
    put(tmp_path, f"{outer}COVID/images/COVID-1.png", f"{outer}COVID/masks/COVID-1.png")
    put(tmp_path, f"{outer}Viral Pneumonia/images/Viral Pneumonia-3.png", f"{outer}Viral Pneumonia/images/Thumbs.db")
    rows = COVID19.read(tmp_path).collect().drop("url").rows()
    assert rows == [
        ("COVID-1", "COVID", f"{outer}COVID/images/COVID-1.png", f"{outer}COVID/masks/COVID-1.png", None),
        ("Viral Pneumonia-3", "Viral Pneumonia", f"{outer}Viral Pneumonia/images/Viral Pneumonia-3.png", None, None),
    ]


def test_covid19_before_release_5(tmp_path: Path) -> None:
    put(tmp_path, "Normal/Normal-2.png", "Normal/Normal-1.png")
    rows = COVID19.read(tmp_path).collect().select("image_id", "path").rows()
    assert rows == [("Normal-1", "Normal/Normal-1.png"), ("Normal-2", "Normal/Normal-2.png")]
    assert COVID19.listing(COVID19, tmp_path) == ["Normal/Normal-1.png", "Normal/Normal-2.png"]


def test_covid19_without_a_class_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_COVID19=.* holds none of the folders COVID, "):
        COVID19.read(tmp_path)


@pytest.mark.parametrize("folder", ["", "CheXpert-v1.0-small/"])
def test_chexpert_small(folder: str, write, tmp_path: Path) -> None:
    path = "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg"
    write(f"{folder}valid.csv", HEADER, [f"{path},Male,73,Frontal,AP,{LABELS}"])
    put(tmp_path, f"{folder}valid/patient64541/study1/view1_frontal.jpg")
    row = CHEXPERT.read(tmp_path).collect().row(0, named=True)
    assert row["image_id"] == "valid/patient64541/study1/view1_frontal.jpg"
    assert row["path"] == folder + row["image_id"]
    assert (row["split"], row["patient_id"], row["study"]) == ("valid", 64541, 1)
    assert (row["sex"], row["age"], row["frontal_lateral"], row["ap_pa"]) == ("Male", 73, "Frontal", "AP")
    labels = ("no_finding", "enlarged_cardiomediastinum", "cardiomegaly", "edema", "support_devices")
    assert [row[name] for name in labels] == [0, 1, -1, None, 1]
    assert row["_rejected"] is None


def test_chexpert_full_drops_train_between_batch_and_patient(write, tmp_path: Path) -> None:
    lists = "CheXpert-v1.0 batch 1 (validate & csv)"
    images = [f"patient{number}/study1/view1_frontal.jpg" for number in ("00001", "50000", "60000")]
    rows = [f"CheXpert-v1.0/train/{image},Female,40,Frontal,PA,{LABELS}" for image in images]
    write(f"{lists}/train.csv", HEADER, rows)
    write("train_cheXbert.csv", HEADER, rows[:1])
    put(tmp_path, f"CheXpert-v1.0 batch 2 (train 1)/{images[0]}", f"CheXpert-v1.0 batch 4 (train 3)/{images[1]}")
    frame = CHEXPERT.read(tmp_path).collect()
    assert frame["path"].to_list() == [
        f"CheXpert-v1.0 batch 2 (train 1)/{images[0]}",
        f"CheXpert-v1.0 batch 4 (train 3)/{images[1]}",
        None,
    ]
    assert frame["image_id"].to_list() == [f"train/{image}" for image in images]
    labels = TABLES["chexpert__chexbert"].read(tmp_path).collect()
    assert labels.select("image_id", "support_devices").rows() == [(f"train/{images[0]}", 1)]
    assert TABLES["chexpert__visual_chexbert"].is_left_out(tmp_path)


def test_chexpert_test_list_has_labels_alone(write, tmp_path: Path) -> None:
    names = [name for name in HEADER.split(",") if name not in ("Sex", "Age", "Frontal/Lateral", "AP/PA")]
    write("test_labels.csv", ",".join(names), [f"CheXpert-v1.0/test/patient64741/study1/view1_frontal.jpg,{LABELS}"])
    row = CHEXPERT.read(tmp_path).collect().row(0, named=True)
    assert (row["split"], row["sex"], row["age"], row["no_finding"]) == ("test", None, None, 0)


def test_a_label_that_is_none_is_rejected(write, tmp_path: Path, rejected) -> None:
    lines = [
        f"CheXpert-v1.0/valid/patient1/study1/view{k}.jpg,Male,1,Frontal,AP,{label}{LABELS[3:]}"
        for k, label in enumerate(("1.0", "0.5", "yes"))
    ]
    write("valid.csv", HEADER, lines)
    assert rejected(CHEXPERT.read(tmp_path)) == {"no_finding: not a whole number": 2}


def test_chexpert_without_lists_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_CHEXPERT=.* needs train\.csv or valid\.csv"):
        CHEXPERT.read(tmp_path)
