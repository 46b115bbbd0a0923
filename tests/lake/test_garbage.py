"""gc spares what is current, pinned or young; verify finds what changed; the command line shows both."""

import os
import time
from pathlib import Path

import polars as pl
import pytest

from lake import Lake
from lake.__main__ import main
from lake.files import locked
from lake.gc import collect, verify


@pytest.fixture
def two_versions(lake, readings, readings_rows, made_from) -> list[Path]:
    """Folders of a former and a current version."""
    folders = []
    for number in (1, 2):
        lake.publish(readings, readings_rows.head(number), **{**made_from, "inputs": {"raw": str(number)}})
        folders.append(lake.files("readings")[0].parent)
    return folders


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_it_deletes_a_former_version_after_the_grace_that_began_when_it_was_replaced(lake, two_versions):
    former, current = two_versions
    age(former, 30)
    assert collect(lake, grace_days=1) == []
    (history,) = (former.parent / "history").iterdir()
    age(history, 2)
    assert collect(lake, grace_days=1, dry_run=True) == [former] and former.exists()
    assert collect(lake, grace_days=1) == [former]
    assert not former.exists() and current.exists()
    assert lake.scan("readings").collect().height == 2
    assert len(lake.history("readings")) == 1


def test_a_pinned_version_stays_until_its_reader_is_done(lake, readings, readings_rows, made_from, two_versions):
    former, current = two_versions
    with lake.pin("readings") as manifest:
        assert manifest.version == current.name
        lake.publish(readings, readings_rows, **{**made_from, "inputs": {"raw": "3"}})
        assert collect(lake, grace_days=0) == [former]
        assert current.exists()
    assert collect(lake, grace_days=0) == [current]


def test_a_version_replaced_before_its_pin_is_held_is_not_the_one_that_is_read(
    lake, readings, readings_rows, made_from, two_versions, monkeypatch
):
    find = Lake.manifest

    def find_and_replace(lake, table):
        manifest = find(lake, table)
        monkeypatch.setattr(Lake, "manifest", find)
        lake.publish(readings, readings_rows, **{**made_from, "inputs": {"raw": "3"}})
        return manifest

    monkeypatch.setattr(Lake, "manifest", find_and_replace)
    with lake.pin("readings") as manifest:
        assert manifest == lake.manifest("readings")


def test_the_pin_of_a_dead_process_holds_nothing(lake, two_versions):
    former, _ = two_versions
    pin = former.parent / ".pins" / f"{former.name}-dead"
    pin.parent.mkdir(exist_ok=True)
    pin.touch()
    assert collect(lake, grace_days=0) == [former]
    assert not pin.exists()


def test_a_table_that_is_being_published_is_left_alone(lake, two_versions):
    with locked(two_versions[0].parent / ".lock"):
        assert collect(lake, grace_days=0) == []
    assert collect(lake, grace_days=0) == [two_versions[0]]


def test_a_version_that_returns_is_spared(lake, readings, readings_rows, made_from, two_versions):
    former, current = two_versions
    lake.publish(readings, readings_rows.head(1), **{**made_from, "inputs": {"raw": "1"}})
    assert collect(lake, grace_days=0) == [current]
    assert former.exists()


def test_former_rejects_go_and_current_ones_stay(lake, readings, readings_rows, made_from):
    bad = readings_rows.with_columns(value=pl.Series([-1.0, 1.0, 1.0]))
    for number in (1, 2):
        lake.publish(readings, bad, **{**made_from, "inputs": {"raw": str(number)}})
    assert collect(lake, grace_days=1) == []
    (gone,) = collect(lake, grace_days=0)
    assert gone.parent.name == "rejected"
    assert lake.rejected("readings").collect().height == 1


def test_scratch_is_fresh_and_deleted_and_old_leftovers_go(lake):
    with lake.scratch("series") as first, lake.scratch("series") as second:
        assert first != second and not list(first.iterdir())
        (first / "x").touch()
    assert not first.exists()
    left = lake.home / "scratch" / "series" / "left"
    left.mkdir()
    left.with_suffix(".lock").touch()  # as a killed process leaves them
    with lake.scratch("series"):
        assert not left.exists()
    spilled = lake.home / "scratch" / "duckdb" / "old"
    spilled.mkdir(parents=True)
    assert collect(lake, grace_days=1) == []
    age(spilled, 2)
    assert collect(lake, grace_days=1) == [spilled]


def test_old_scratch_stays_while_its_process_lives(lake):
    with lake.scratch("series") as folder:
        age(folder, 30)
        assert collect(lake, grace_days=1) == []
        assert folder.exists()


@pytest.fixture
def runs(lake, two_versions) -> dict[str, Path]:
    """Run folders of the former and the current fingerprint of a corpus, as old as the one replaced."""
    (former,) = lake.history("readings")
    made = {"former": former.fingerprint, "current": lake.manifest("readings").fingerprint}
    folders = {name: lake.run_folder("readings", fingerprint) for name, fingerprint in made.items()}
    for folder in folders.values():
        (folder / "corpus.npy").write_text("records of patients")
        age_all(folder, 30)
    age(lake.history_path(former), 30)
    age_all(two_versions[0], 0)
    return folders


def age_all(folder: Path, days: float) -> None:
    for path in (*folder.rglob("*"), folder):
        age(path, days)


def begun(lake: Lake, fingerprint: str, reads: Path, days: float = 30) -> Path:
    """The folder of a training that was never published."""
    folder = lake.run_folder("pretrain_checkpoint", fingerprint)
    (folder / "train.json").write_text(f'{{"corpus": "{reads}", "run_folder": "{folder}"}}')
    age_all(folder, days)
    return folder


def test_a_run_folder_goes_when_nothing_current_needs_it(lake, runs):
    assert collect(lake, grace_days=1) == [], "only where it is asked for"
    assert collect(lake, grace_days=60, runs=True) == []
    assert collect(lake, grace_days=1, runs=True, dry_run=True) == [runs["former"]] and runs["former"].exists()
    assert collect(lake, grace_days=1, runs=True) == [runs["former"]]
    assert not runs["former"].exists() and runs["current"].exists()


@pytest.mark.parametrize("named_by", ["version", "made", "settings"])
def test_what_something_current_was_made_from_stays(lake, runs, events, made_from, named_by):
    (former,) = lake.history("readings")
    inputs = {"version": {"readings": former.version}, "made": {"made:readings": former.fingerprint}, "settings": {}}
    rows = events.create_empty()
    manifest = lake.publish(events, rows, **{**made_from, "inputs": inputs[named_by]})
    if named_by == "settings":
        (lake.run_folder("events", manifest.fingerprint) / "train.json").write_text(f'{{"corpus": "{runs["former"]}"}}')
    assert collect(lake, grace_days=1, runs=True) == []


def test_a_training_that_could_go_on_stays_and_one_whose_corpus_is_superseded_goes(lake, runs):
    goes_on, over = (begun(lake, digit * 16, runs[name]) for digit, name in (("a", "current"), ("b", "former")))
    lock = lake.home / "locks" / "device-cpu.lock"
    with locked(lock):
        assert collect(lake, grace_days=1, runs=True) == [], "it may be the one that is running"
    assert sorted(collect(lake, grace_days=1, runs=True)) == sorted([over, runs["former"]])
    assert goes_on.exists()


def test_what_is_being_written_and_trials_stay(lake, runs):
    written = lake.run_folder("other_corpus", "c" * 16)
    trial = lake.run_folder("ablation_trials", "d" * 16)
    age_all(trial, 90)
    assert collect(lake, grace_days=0, runs=True)[1:] == [runs["former"]]
    age_all(written, 0.5)
    assert collect(lake, grace_days=0, runs=True) == [written]


def test_verify_finds_changed_and_missing_files(lake, two_versions):
    assert verify(lake) == []
    path = lake.files("readings")[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert verify(lake) == [f"readings: {path} is not what was published; delete it and publish again"]
    path.unlink()
    assert verify(lake) == [f"readings: {path} is missing; publish again"]


def test_verify_finds_a_manifest_that_does_not_say_what_was_published(lake, two_versions):
    path = two_versions[1].parent / "current.json"
    path.write_text(path.read_text().replace("Int64", "Int32", 1))
    (problem,) = verify(lake)
    assert problem == (
        f"readings: its manifest does not add up to version {two_versions[1].name}; delete it and publish again"
    )


def test_the_command_line_lists_verifies_and_cleans(lake: Lake, two_versions, capsys):
    home = ["--home", str(lake.home)]
    assert main(["ls", *home]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if " readings " in line)
    assert line.split()[:4] == ["tables", "readings", "2", "0"] and line.endswith(two_versions[1].name)
    assert main(["verify", *home]) == 0
    assert "1 tables are what their manifests say" in capsys.readouterr().out
    assert main(["gc", *home, "--grace-days", "0", "--runs"]) == 0
    assert str(two_versions[0]) in capsys.readouterr().out
    lake.files("readings")[0].unlink()
    assert main(["verify", *home]) == 1
    assert "is missing" in capsys.readouterr().out


def test_the_command_line_says_where_it_looked(tmp_path, capsys):
    assert main(["ls", "--home", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_command_line_says_in_a_line_what_it_may_not_do(lake, two_versions, capsys, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(lake.home / "warehouse.lock"))

    monkeypatch.setattr("lake.__main__.collect", refused)
    assert main(["gc", "--home", str(lake.home)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "warehouse.lock" in said and said.count("\n") == 1


def test_scratch_that_goes_while_gc_looks_stops_nothing(lake, two_versions, monkeypatch):
    gone = lake.home / "scratch" / "duckdb" / "gone"
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([gone] if pattern == "*/*" else []))
    assert collect(lake) == []
