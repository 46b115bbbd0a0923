"""Every raw table finds its files, says what is missing, and has an empty form."""

from pathlib import Path

import pytest

from data_contracts import CONTRACTS
from pipelines.sources import SOURCES, TABLES, SourceError

HEADERS = {
    "hosp/patients.csv.gz": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "hosp/d_labitems.csv.gz": "itemid,label,fluid,category",
}
PATIENTS = TABLES["mimic_iv__patients"]


def test_every_contract_of_the_layer_has_a_table() -> None:
    assert set(TABLES) == {name for name, contract in CONTRACTS.items() if contract.layer == "tables"}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_absent_source_gives_an_empty_typed_table(name: str) -> None:
    empty = TABLES[name].empty().collect()
    assert empty.height == 0
    assert empty.drop("_rejected").schema == CONTRACTS[name].create_empty().schema


def test_sources_name_their_variables() -> None:
    named = {source.variable: source.required for source in SOURCES.values()}
    assert (
        named
        | {
            "MEDCSP_MIMIC_IV": True,
            "MEDCSP_MIMIC_IV_NOTE": False,
            "MEDCSP_MIMIC_III": False,
            "MEDCSP_MIMIC_III_CAREVUE": False,
            "MEDCSP_MIMIC_CXR": True,
            "MEDCSP_MIMIC_CXR_JPG": False,
        }
        == named
    )


@pytest.mark.parametrize("name", ["hosp/patients.csv.gz", "hosp/patients.csv", "HOSP/PATIENTS.CSV.GZ"])
def test_file_is_found_under_any_of_its_names(name: str, write, tmp_path: Path) -> None:
    path = write(name.replace(".GZ", ".gz"), HEADERS["hosp/patients.csv.gz"], ["1,F,50,2180,2014 - 2016,"])
    if name.isupper():
        path = path.rename(path.with_name("PATIENTS.CSV.GZ"))
    assert PATIENTS.find(tmp_path) == [path]
    assert PATIENTS.raw_files(tmp_path) == [path]


def test_compressed_file_goes_before_the_plain_one_and_that_is_said_once(write, tmp_path: Path, caplog) -> None:
    write("hosp/patients.csv", HEADERS["hosp/patients.csv.gz"])
    compressed = write("hosp/patients.csv.gz", HEADERS["hosp/patients.csv.gz"])
    assert PATIENTS.find(tmp_path) == PATIENTS.find(tmp_path) == [compressed]
    (said,) = caplog.messages
    assert said.startswith(f"{compressed} is read; patients.csv beside it is not")


def test_missing_file_names_variable_table_and_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_MIMIC_IV=.* mimic_iv__patients needs hosp/patients\.csv\.gz or"):
        PATIENTS.read(tmp_path)


def test_missing_root_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"MEDCSP_MIMIC_IV=.*nowhere is not a folder"):
        PATIENTS.read(tmp_path / "nowhere")


def test_release_in_a_folder_below_is_pointed_at(write, tmp_path: Path) -> None:
    write("mimic-iv/3.1/hosp/patients.csv.gz", HEADERS["hosp/patients.csv.gz"])
    with pytest.raises(SourceError, match=r"did you mean MEDCSP_MIMIC_IV=.*mimic-iv/3\.1\?"):
        PATIENTS.read(tmp_path)


def test_icd_codes_lose_trailing_blanks(write, tmp_path: Path, rejected) -> None:
    lines = ["1,2,1,4019   ,9", '1,2,2,"I10    ",10', "1,2,3,,10", "1,2,x,I10,10"]
    write("hosp/diagnoses_icd.csv.gz", "subject_id,hadm_id,seq_num,icd_code,icd_version", lines)
    frame = TABLES["mimic_iv__diagnoses_icd"].read(tmp_path)
    assert frame.collect()["icd_code"].to_list() == ["4019", "I10", None, "I10"]
    assert rejected(frame) == {"icd_code: empty": 1, "seq_num: not a whole number": 1}


def test_notes_span_lines(write, tmp_path: Path) -> None:
    header = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"
    text = 'Name: ___\n \nHe said "better",\nand left.\n'
    quoted = text.replace('"', '""')
    write("note/discharge.csv.gz", header, [f'1-DS-1,1,2,DS,1,2180-01-01 00:00:00,,"{quoted}"'])
    row = TABLES["mimic_iv_note__discharge"].read(tmp_path).collect().row(0, named=True)
    assert row["text"] == text
    assert row["_rejected"] is None


def test_optional_table_without_its_file_is_empty(write, tmp_path: Path) -> None:
    radiology = TABLES["mimic_iv_note__radiology"]
    assert radiology.is_left_out(tmp_path)
    assert radiology.read(tmp_path).collect().height == 0
    assert radiology.raw_files(tmp_path) == []
    write("note/radiology.csv.gz", "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text")
    assert not radiology.is_left_out(tmp_path)
    assert radiology.raw_files(tmp_path) == [tmp_path / "note/radiology.csv.gz"]


def test_carevue_twins_have_the_columns_of_mimic_iii() -> None:
    twins = {table.table: table for table in SOURCES["mimic_iii_carevue"].tables}
    assert len(twins) == len(SOURCES["mimic_iii"].tables)
    for table in SOURCES["mimic_iii"].tables:
        twin = twins[table.table.replace("mimic_iii", "mimic_iii_carevue")]
        assert twin.contract.create_empty().schema == table.contract.create_empty().schema
        assert (twin.contract.key, twin.contract.order) == (table.contract.key, table.contract.order)


def test_link_out_of_the_root_is_refused_and_a_linked_folder_in_it_is_read(write, tmp_path: Path) -> None:
    elsewhere = write("elsewhere/hosp/patients.csv", HEADERS["hosp/patients.csv.gz"], ["1,F,50,2180,2014 - 2016,"])
    root = tmp_path / "root"
    (root / "hosp").mkdir(parents=True)
    (root / "hosp" / "patients.csv").symlink_to(elsewhere)
    with pytest.raises(SourceError, match=r"hosp/patients\.csv is a link that leaves the root .*: put the file itself"):
        PATIENTS.read(root)
    (root / "hosp" / "patients.csv").unlink()
    (root / "hosp").rmdir()
    (root / "hosp").symlink_to(elsewhere.parent)
    assert PATIENTS.read(root).collect().height == 1
