"""The release of a tree is told from its structure and its data; a tree of no known release is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.sources import SOURCES, Release, SourceError, detect_release
from pipelines.sources.releases import has_open_licence

MIMIC_IV = SOURCES["mimic_iv"]
MIMIC_III = SOURCES["mimic_iii"]
CAREVUE = SOURCES["mimic_iii_carevue"]


def write_headers(root: Path, source, rows: dict[str, str] | None = None, without: str = "") -> None:
    """Write every file that tells a source's releases: its header, and a row where one is given."""
    for file, columns in source.releases[0].columns.items():
        path = root / file.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            ",".join(name.upper() for name in columns if name != without),
            *([rows[file]] if file in (rows or {}) else []),
        ]
        path.write_text("\n".join(lines) + "\n")


def patients(group: str) -> dict[str, str]:
    return {"hosp/patients.csv.gz": f"1,F,60,2150,{group},"}


@pytest.mark.parametrize(
    ("group", "folder", "log", "expected"),
    [
        ("2017 - 2019", "tree", "", "2.2"),
        ("2020 - 2022", "tree", "", "3.0 or 3.1"),
        ("2020 - 2022", "mimic-iv-3.1", "", "3.1"),
        ("2020 - 2022", "mimiciv/3.0", "", "3.0"),
        ("2020 - 2022", "tree", "# Changes\n\n## MIMIC-IV v3.1\nas 3.0, but\n", "3.1"),
        ("2020 - 2022", "tree", "nothing about 13.1 or v3.12", "3.0 or 3.1"),
        ("2020 - 2022", "mimic-iv-3.0", "v3.1", "3.0"),
        ("2017 - 2019", "mimic-iv-3.1", "v3.1", "2.2"),
        ("2020 - 2022", "mimic-iv-2.2", "", "3.0 or 3.1"),
    ],
)
def test_mimic_iv(group: str, folder: str, log: str, expected: str, tmp_path: Path) -> None:
    root = tmp_path / folder
    write_headers(root, MIMIC_IV, patients(group))
    if log:
        (root / "CHANGELOG.txt").write_text(log)
    assert detect_release(MIMIC_IV, root) == expected


@pytest.mark.parametrize(
    ("item", "folder", "expected"),
    [("53132", "mimic-iv-3.0", "3.1"), ("53152", "mimic-iv-3.1", "3.0"), ("50912", "mimic-iv-3.1", "3.1")],
)
def test_laboratory_items_that_moved_tell_3_0_from_3_1(item: str, folder: str, expected: str, tmp_path: Path) -> None:
    items = {"hosp/d_labitems.csv.gz": f"{item},Absolute Lymphocyte Count,Blood,Chemistry"}
    write_headers(tmp_path / folder, MIMIC_IV, {**patients("2020 - 2022"), **items})
    assert detect_release(MIMIC_IV, tmp_path / folder) == expected


def test_demo_is_told_by_its_licence(tmp_path: Path) -> None:
    write_headers(tmp_path, MIMIC_IV, patients("2014 - 2016"))
    (tmp_path / "LICENSE.txt").write_text("## ODC Open Database License (ODbL)\n")
    assert has_open_licence(tmp_path)
    assert detect_release(MIMIC_IV, tmp_path) == "demo 2.2"
    (tmp_path / "LICENSE.txt").write_text("PhysioNet Credentialed Health Data License\n")
    assert detect_release(MIMIC_IV, tmp_path) == "2.2"


def test_earlier_release_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    write_headers(tmp_path, MIMIC_IV, without="admit_provider_id")
    (tmp_path / "icu/icustays.csv").unlink()
    expected = (
        r"MEDCSP_MIMIC_IV=.* is no known release of mimic_iv \(demo 2\.2, 2\.2, 3\.0, 3\.1\); .* lacks "
        r"column admit_provider_id of .*admissions\.csv; file icu/icustays\.csv\.gz; physionet"
    )
    with pytest.raises(SourceError, match=expected):
        detect_release(MIMIC_IV, tmp_path)


def test_carevue_subset_may_not_hold_metavision_stays(tmp_path: Path) -> None:
    write_headers(tmp_path, CAREVUE, {"ICUSTAYS.csv.gz": "1,2,3,carevue,,"})
    assert detect_release(CAREVUE, tmp_path) == "1.4"
    assert detect_release(MIMIC_III, tmp_path) == "1.4"
    write_headers(tmp_path, CAREVUE, {"ICUSTAYS.csv.gz": "1,2,3,both,,"})
    with pytest.raises(SourceError, match=r"MEDCSP_MIMIC_III_CAREVUE=.* no stay in ICUSTAYS is from metavision"):
        detect_release(CAREVUE, tmp_path)
    assert detect_release(MIMIC_III, tmp_path) == "1.4"


def test_real_slices(open_data: Path) -> None:
    assert detect_release(MIMIC_IV, open_data / "mimic-iv-demo-25pt") == "demo 2.2"
    assert detect_release(MIMIC_III, open_data / "mimic-iii-demo-10pt") == "demo 1.4"
    with pytest.raises(SourceError, match="from metavision"):
        detect_release(CAREVUE, open_data / "mimic-iii-demo-10pt")


def test_notes(tmp_path: Path) -> None:
    write_headers(tmp_path, SOURCES["mimic_iv_note"])
    assert detect_release(SOURCES["mimic_iv_note"], tmp_path) == "2.2"


def test_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_MIMIC_IV=.*nowhere is not a folder"):
        detect_release(MIMIC_IV, tmp_path / "nowhere")


def test_release_of_files_alone(tmp_path: Path) -> None:
    source = replace(
        MIMIC_IV, releases=(Release(name="4", files=("images/a.png",)), Release(name="5", files=("b.csv",)))
    )
    (tmp_path / "b.csv").touch()
    assert detect_release(source, tmp_path) == "5"
    assert detect_release(replace(MIMIC_IV, releases=()), tmp_path) == ""
