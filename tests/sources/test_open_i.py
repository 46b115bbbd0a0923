"""Open-I in both forms: one table of sections and one of images come of either; the open slice is read as published."""

import os
from pathlib import Path

import polars as pl
import pytest

from pipelines.sources import TABLES, SourceError

REPORTS, IMAGES = TABLES["open_i__reports"], TABLES["open_i__images"]
XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><meta type="rr"/><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION"/>
<AbstractText Label="FINDINGS">Heart is large. A &lt; B.</AbstractText>
<AbstractText Label="IMPRESSION"> Cardiomegaly.
</AbstractText></Abstract></Article></MedlineCitation>
<MeSH><major>Cardiomegaly/mild</major><major>Cardiomegaly</major><major>Lung/left/small</major>
<automatic>cardiomegaly</automatic></MeSH>{images}</eCitation>"""
IMAGE = '<parentImage id="{name}"><figureId>F1</figureId><caption>Xray Chest PA</caption></parentImage>'


@pytest.fixture
def xml_root(tmp_path: Path) -> Path:
    (tmp_path / "ecgen-radiology").mkdir()
    images = "".join(IMAGE.format(name=f"CXR7_IM-{k}") for k in (1, 2))
    (tmp_path / "ecgen-radiology" / "7.xml").write_text(XML.format(uid=7, images=images))
    (tmp_path / "ecgen-radiology" / "8.xml").write_text(XML.format(uid=8, images=""))
    (tmp_path / "NLMCXR_png").mkdir()
    (tmp_path / "NLMCXR_png" / "CXR7_IM-2.png").write_bytes(b"")
    return tmp_path


def test_xml_reports_by_section(xml_root: Path) -> None:
    rows = REPORTS.read(xml_root).collect()
    assert rows["uid"].to_list() == [7, 8]
    assert rows.drop("uid").row(0, named=True) == {
        "comparison": "None.",
        "indication": None,
        "findings": "Heart is large. A < B.",
        "impression": "Cardiomegaly.",
        "mesh": "Cardiomegaly/mild;Cardiomegaly;Lung/left/small",
        "problems": "Cardiomegaly;Lung",
        "automatic": "cardiomegaly",
        "image": "Xray Chest PA",
        "_rejected": None,
    }
    assert len(REPORTS.raw_files(xml_root)) == 2


def test_xml_images_and_where_they_lie(xml_root: Path) -> None:
    rows = IMAGES.read(xml_root).collect()
    assert rows.select("image_id", "uid", "projection", "path").rows() == [
        ("CXR7_IM-1", 7, None, None),
        ("CXR7_IM-2", 7, None, "NLMCXR_png/CXR7_IM-2.png"),
    ]
    assert IMAGES.listing(IMAGES, xml_root) == ["NLMCXR_png/CXR7_IM-2.png"]


def test_kaggle_s_form(write, tmp_path: Path) -> None:
    header = "uid,MeSH,Problems,image,indication,comparison,findings,impression"
    write("indiana_reports.csv", header, ['7,normal,normal,Xray,,None.,"Clear,\nlarge heart.",Normal.'])
    write(
        "indiana_projections.csv", "uid,filename,projection", ["7,7_IM-1.dcm.png,Frontal", "7,7_IM-2.dcm.png,Oblique"]
    )
    folder = tmp_path / "images" / "images_normalized"
    folder.mkdir(parents=True)
    (folder / "7_IM-1.dcm.png").write_bytes(b"")
    report = REPORTS.read(tmp_path).collect().row(0, named=True)
    assert (report["uid"], report["findings"], report["automatic"]) == (7, "Clear,\nlarge heart.", None)
    images = IMAGES.read(tmp_path).collect()
    assert images["path"].to_list() == ["images/images_normalized/7_IM-1.dcm.png", None]
    assert images["projection"].to_list() == ["Frontal", None]
    assert images["_rejected"].to_list() == [None, "projection: not one of Frontal, Lateral"]


def test_neither_form_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_OPEN_I=.* holds neither ecgen-radiology/ nor indiana_reports\.csv"):
        REPORTS.read(tmp_path)


def test_the_open_slice_is_read_whole() -> None:
    data = os.environ.get("MEDCSP_TEST_DATA")
    if not data:
        pytest.skip("MEDCSP_TEST_DATA is not set: it names the folder of open test data")
    root = Path(data) / "open-i"
    reports, images = (table.read(root).collect() for table in (REPORTS, IMAGES))
    assert (reports.height, images.height) == (58, 113)
    assert reports["_rejected"].null_count() == 58
    assert images["_rejected"].null_count() == 113
    assert images["path"].drop_nulls().len() == 3
    assert reports.filter(pl.col("uid") == 1)["impression"].item() == "Normal chest x-XXXX."
    assert set(images["uid"]) <= set(reports["uid"])
