"""Sources that are absent, files that are broken: one readable error or a counted rejection, and nothing lost."""

import errno
import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from graph_runs import Outcome, copy_home, making, run_job, tiny_workspace, versions

from lake import Lake
from lake.files import locked_if_free
from medcsp_model.corpus import Corpus
from pipelines.assets.graph import STEPS
from pipelines.profiles import profile_named
from pipelines.resources import Sources, Workspace, workspace_from_environment
from pipelines.run import STOPPED, announce, main


def only(workspace: Workspace, *names: str) -> Outcome:
    """Run a few assets of the refresh alone."""
    return run_job(workspace, only=list(names))


def real(workspace: Workspace, **roots: Path | None) -> Workspace:
    """Take the synthetic trees of a built home for the user's own; None takes a root away."""
    kept = {name: root for name, root in {**workspace.sources.roots, **roots}.items() if root is not None}
    return replace(workspace, sources=Sources(roots=kept), profile=replace(workspace.profile, synthetic=None))


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a csv.gz, the header first."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress(("\n".join(change(lines)) + "\n").encode()))


def hosp(home: Path, table: str) -> Path:
    return home / "raw" / "mimic-iv" / "hosp" / f"{table}.csv.gz"


@pytest.fixture
def workspace(fresh_copy: Path) -> Workspace:
    return tiny_workspace(fresh_copy)


def test_a_missing_required_root_names_its_variable(tmp_path: Path) -> None:
    outcome = run_job(tiny_workspace(tmp_path, profile="default"), only=["mimic_iv__patients"])
    assert not outcome.success
    assert outcome.failures == ["source mimic_iv has no root: set MEDCSP_MIMIC_IV to the folder of its release"]


def test_a_required_root_that_is_missing_is_said_at_once_and_its_failure_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tiny_workspace(tmp_path, profile="default")
    announce(workspace)
    assert "mimic_iv: needed, and MEDCSP_MIMIC_IV is not set" in capsys.readouterr().out
    outcome = run_job(workspace, only=["mimic_iv__patients", "mimic_iv__admissions"])
    assert outcome.failures == ["source mimic_iv has no root: set MEDCSP_MIMIC_IV to the folder of its release"]


def test_a_full_disk_is_a_line_that_names_no_raw_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(film))

    film = workspace.sources.roots["mimic_cxr"] / "files" / "p10" / "p10000032" / "film.dcm"
    (workspace.home / "lake" / "features" / "cxr_images" / "current.json").unlink()
    monkeypatch.setattr("pipelines.assets.images.images.decode_images", full)
    events = tmp_path / "events.jsonl"
    outcome = run_job(workspace, only=["cxr_images"], events=events)
    (line,) = outcome.failures
    assert line.startswith(f"cxr_images: No space left on device ({workspace.sources.roots['mimic_cxr']}): see to")
    assert "p10000032" not in events.read_text()


def test_a_stopped_run_says_that_it_was_stopped(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    (workspace.home / "lake" / "features" / "cxr_images" / "current.json").unlink()
    monkeypatch.setattr("pipelines.assets.images.images.decode_images", stopped)
    assert run_job(workspace, only=["cxr_images"]).failures == [STOPPED]


def test_a_run_that_writes_synthetic_sources_keeps_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []

    def look(workspace: Workspace) -> None:
        with locked_if_free(workspace.home / "locks" / "synthetic.lock") as is_free:
            free.append(is_free)

    monkeypatch.setattr("pipelines.assets.raw.write_synthetic", look)
    assert run_job(tiny_workspace(tmp_path), only=["synthetic_sources"]).success
    assert free == [False]


@pytest.mark.parametrize("number", ["0", "-1", "all", "2.5"])
def test_processes_that_are_no_number_are_refused_before_anything_runs(tmp_path: Path, number: str) -> None:
    environment = {"MEDCSP_HOME": str(tmp_path), "MEDCSP_PROFILE": "demo", "MEDCSP_PROCESSES": number}
    with pytest.raises(ValueError, match=f"MEDCSP_PROCESSES is '{number}': set it to how many GPUs"):
        workspace_from_environment(environment)
    assert workspace_from_environment(environment | {"MEDCSP_PROCESSES": "8"}).launcher.num_processes == 8
    assert workspace_from_environment(environment | {"MEDCSP_PROCESSES": ""}).launcher.num_processes == 1


def test_a_root_that_is_no_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MEDCSP_MIMIC_IV names .*nowhere, which is not a folder"):
        tiny_workspace(tmp_path, MEDCSP_MIMIC_IV=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "use one of demo, demo_full, demo_ablation, paper, default, default_ablation, or your own"),
        ("tiny:nothing", "has no attribute 'nothing': is the module on PYTHONPATH"),
        ("no_such_module:profile", "No module named 'no_such_module'"),
        ("tiny:not_a_profile", "which returns str, not a Profile"),
    ],
)
def test_an_unknown_profile_is_a_clear_error(name: str, message: str) -> None:
    with pytest.raises(ValueError, match="MEDCSP_PROFILE") as caught:
        profile_named(name)
    assert message in str(caught.value)


def test_absent_notes_are_said_once_and_masked_in_the_corpus(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("mimic_iv_note", "mimic_cxr_jpg", "mimic_iii", "mimic_iii_carevue", "open_i", "covid19", "chexpert")
    gone = dict.fromkeys(names)
    absent = real(workspace, **gone)
    announce(absent)
    told = capsys.readouterr().out
    assert told.count("set MEDCSP_MIMIC_IV_NOTE") == told.count("set MEDCSP_MIMIC_CXR_JPG") == 1
    emptied = ("mimic_iv_note__discharge", "ehr_notes", "mimic_cxr_jpg__metadata", "open_i_films", "open_i_texts")
    outcome = run_job(absent, only=[name for name in making("pretrain_corpus", *emptied) if name in STEPS])
    assert outcome.success, outcome.failures
    lake = absent.lake
    for table in emptied:
        assert lake.manifest(table).rows == 0, table
    assert lake.manifest("mimic_cxr__headers").rows > 0, "times come from the headers where the JPG release is absent"
    manifest = lake.manifest("pretrain_corpus")
    corpus = Corpus.open(lake.run_folder("pretrain_corpus", manifest.fingerprint))
    ehr = corpus.sources["ehr"]
    assert len(ehr.record_id) > 0
    assert not ehr.modalities["note"].present.any()
    assert corpus.sources["cxr"].modalities["report"].present.all()
    for table in ("cxr_records", "cxr_reports", "cxr_images", "text_tokens", "cohort_split", "diagnosis_histories"):
        assert "open_i" not in lake.scan(table).select("source").unique().collect()["source"].to_list(), table


def test_a_missing_table_is_one_error_and_what_was_published_stays(workspace: Workspace) -> None:
    before = versions(workspace.home)
    hosp(workspace.home, "prescriptions").unlink()
    outcome = run_job(real(workspace), only=["mimic_iv__prescriptions", "ehr_codes"])
    assert not outcome.success
    (line,) = outcome.failures
    assert "MEDCSP_MIMIC_IV=" in line and "hosp/prescriptions.csv.gz" in line
    assert versions(workspace.home) == before
    assert workspace.lake.scan("mimic_iv__prescriptions").collect().height > 0


def test_a_renamed_column_is_one_error_that_names_file_and_column(workspace: Workspace) -> None:
    before = versions(workspace.home)
    edit(hosp(workspace.home, "admissions"), lambda lines: [lines[0].replace("admittime", "admit_time"), *lines[1:]])
    outcome = only(real(workspace), "mimic_iv__admissions", "ehr_records")
    assert not outcome.success
    (line,) = outcome.failures
    assert "admissions.csv.gz" in line and "admittime" in line
    assert versions(workspace.home) == before


def test_a_release_is_an_input_of_every_table_read_from_it(workspace: Workspace) -> None:
    """A file that two releases share is told apart by what else lies in the tree."""
    root = workspace.sources.roots["mimic_cxr"]
    studies = STEPS["mimic_cxr__study_list"]
    before = studies.input_versions(workspace)
    assert before["release:mimic_cxr"] == "2.0.0"
    (root / "CHANGELOG.txt").write_text("Version 2.1.0\n")
    assert studies.input_versions(workspace) == before | {"release:mimic_cxr": "2.1.0"}


def test_a_truncated_file_is_one_error(workspace: Workspace) -> None:
    before = versions(workspace.home)
    path = hosp(workspace.home, "labevents")
    path.write_bytes(path.read_bytes()[:-2000])
    outcome = only(real(workspace), "mimic_iv__labevents")
    assert not outcome.success
    (line,) = outcome.failures
    assert "labevents.csv.gz" in line
    assert versions(workspace.home) == before


def test_bad_rows_are_rejected_counted_and_listed(workspace: Workspace) -> None:
    before = workspace.lake.manifest("mimic_iv__patients").rows
    number = workspace.lake.manifest("mimic_iv__admissions").rows

    def break_a_time(lines: list[str]) -> list[str]:
        at = lines[0].split(",").index("admittime")
        cells = lines[1].split(",")
        cells[at] = "yesterday"
        return [lines[0], ",".join(cells), *lines[2:]]

    edit(hosp(workspace.home, "admissions"), break_a_time)
    edit(hosp(workspace.home, "patients"), lambda lines: [*lines, lines[1]])
    outcome = only(real(workspace), "mimic_iv__admissions", "mimic_iv__patients")
    assert outcome.success, outcome.failures
    lake = workspace.lake
    admissions, patients = lake.manifest("mimic_iv__admissions"), lake.manifest("mimic_iv__patients")
    assert admissions.rejected == {"admittime: not a timestamp": 1} and admissions.rows == number - 1
    kept_aside = lake.rejected("mimic_iv__admissions").collect()
    assert kept_aside["_rejected"].to_list() == ["admittime: not a timestamp"]
    assert patients.rejected == {"duplicate row": 1} and patients.rows == before
    assert lake.rejected("mimic_iv__patients").collect()["_rejected"].to_list() == ["duplicate row"]


def test_films_that_do_not_decode_and_reports_without_image_leave_the_rest_alone(workspace: Workspace) -> None:
    root = workspace.home / "raw" / "mimic-cxr"
    before = workspace.lake.scan("cxr_images").collect()
    film = sorted(root.rglob("*.dcm"))[3]
    film.write_bytes(film.read_bytes()[:-3000])
    lists = [root / "cxr-record-list.csv.gz"]
    study = workspace.lake.scan("cxr_reports").collect()["study_id"][0]
    for path in lists:
        edit(path, lambda lines: [line for line in lines if f",{study}," not in line])
    names = ("mimic_cxr__record_list", "mimic_cxr_films", "cxr_records", "cxr_reports", "cxr_images")
    outcome = only(real(workspace), *names)
    assert outcome.success, outcome.failures
    lake = workspace.lake
    rejected = lake.rejected("cxr_images").collect()
    assert rejected["record_id"].to_list() == [film.stem]
    assert lake.manifest("cxr_images").rejected.keys() == set(rejected["_rejected"])
    films = lake.scan("cxr_records").collect()
    assert study not in films["study_id"].to_list()
    assert lake.scan("cxr_images").collect().height == films.height - 1 < before.height - 1
    assert study not in lake.scan("cxr_reports").collect()["study_id"].to_list()


def test_one_asset_fails_and_what_does_not_need_it_goes_on(workspace: Workspace) -> None:
    edit(hosp(workspace.home, "prescriptions"), lambda lines: [lines[0].replace("drug", "medicine"), *lines[1:]])
    before = versions(workspace.home)
    report = sorted((workspace.home / "raw" / "mimic-cxr").rglob("s*.txt"))[0]
    report.write_text("FINAL REPORT\n IMPRESSION: Rewritten.\n")
    names = ("mimic_cxr__reports", "mimic_cxr_films", "cxr_records", "cxr_reports")
    outcome = only(real(workspace), "mimic_iv__prescriptions", "ehr_codes", *names)
    assert not outcome.success and len(outcome.failures) == 1
    assert "cxr_reports" in outcome.built
    after = versions(workspace.home)
    assert after["cxr_reports"] != before["cxr_reports"] and after["ehr_codes"] == before["ehr_codes"]


def test_a_home_may_move(built_home: Path, tmp_path: Path) -> None:
    moved = copy_home(built_home, tmp_path / "elsewhere")
    assert isinstance(Lake(moved).scan("ehr_records").collect(), pl.DataFrame)
    outcome = only(tiny_workspace(moved), "mimic_iv__patients")
    assert [state for name, state in outcome.states if name == "mimic_iv__patients"] == ["current"]
    import duckdb

    with duckdb.connect(str(moved / "warehouse.duckdb"), read_only=True) as connection:
        views = connection.sql("select sql from duckdb_views() where not internal").fetchall()
    assert views and all(str(built_home) not in text for (text,) in views)


def test_a_key_press_that_stops_a_command_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.run.workspace_from_environment", interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err == f"failed: {STOPPED}\n"
