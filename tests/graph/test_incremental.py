"""What a refresh costs after raw files changed: the tables of a run from scratch, made from what changed alone.

Against a run from scratch it is compared once, after the last change; MEDCSP_COMPARE_EACH=1 compares after each.
"""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from graph_runs import tiny_workspace, versions

from lake import Lake
from lake.gc import verify
from lake.ids import shard_of
from pipelines.assets.glue import build_and_publish
from pipelines.assets.graph import CPU_STEPS
from pipelines.assets.step import Build
from pipelines.features import images
from pipelines.resources import Workspace

NUM_SHARDS = 3
NUM_NEW_STUDIES = 10
LAB, CHART = "mimic_iv__labevents", "mimic_iv__chartevents"
COUNTS = ("series_variable_counts", "series_value_counts", "series_cell_counts")


@dataclass
class Home:
    """A home under test, and what its last refresh did.

    Attributes:
        built: tables that were made again, in order.
        shards: of those made shard by shard, which shards.
        decoded: films that were decoded.
        former: the data files of every table before it.
    """

    path: Path
    workspace: Workspace
    built: list[str] = field(default_factory=list)
    shards: dict[str, set[int]] = field(default_factory=dict)
    decoded: list[str] = field(default_factory=list)
    former: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        return self.workspace.lake

    def refresh(self) -> None:
        """What the job does, without Dagster around it."""
        self.former = {name: self.lake.files(name) for name in self.lake.tables()}
        self.built.clear(), self.shards.clear(), self.decoded.clear()
        for name, step in CPU_STEPS.items():
            inputs = step.input_versions(self.workspace)
            if step.current(self.workspace, inputs) is None:
                build_and_publish(step, self.workspace, inputs, log=lambda line: None)
                self.built.append(name)

    def rewritten(self, table: str) -> set[int]:
        """The data files of a table that are not those of before; a link is."""
        before = {path.name: path.stat().st_ino for path in self.former[table]}
        return {n for n, path in enumerate(self.lake.files(table)) if path.stat().st_ino != before[path.name]}

    def raw(self, name: str) -> Path:
        return self.path / "raw" / name


@pytest.fixture(scope="module")
def home(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A copy of the built home; the tests of this file change it one after the other."""
    path = tmp_path_factory.mktemp("incremental") / "home"
    shutil.copytree(built_home, path, copy_function=shutil.copy2)
    home = Home(path, tiny_workspace(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Build, "_rows_of_shard", noting(Build._rows_of_shard, home))
        patch.setattr(images, "_decode", counting(images._decode, home))
        yield home


@pytest.fixture(autouse=True)
def compared(home: Home, tmp_path: Path) -> Iterator[None]:
    """Compare after every test, where somebody has the minutes."""
    yield
    if os.environ.get("MEDCSP_COMPARE_EACH"):
        assert versions(from_scratch(home, tmp_path / "each").path) == versions(home.path)


def from_scratch(home: Home, path: Path) -> Home:
    """The tables of the same raw files, made in a home of their own."""
    shutil.copytree(home.path / "raw", path / "raw", copy_function=shutil.copy2)
    scratch = Home(path, tiny_workspace(path))
    scratch.refresh()
    return scratch


def noting(make: Callable[[Build, int], object], home: Home) -> Callable[[Build, int], object]:
    def noted(build: Build, shard: int) -> object:
        home.shards.setdefault(build.step.name, set()).add(shard)
        return make(build, shard)

    return noted


def counting(decode: Callable[..., object], home: Home) -> Callable[..., object]:
    def counted(task: object, **options: object) -> object:
        made = decode(task, **options)
        if made.pixels is not None:  # type: ignore[attr-defined]
            home.decoded.append(task.path if hasattr(task, "path") else str(task))
        return made

    return counted


def edit(path: Path, change: Callable[[list[str], list[str]], list[str]]) -> None:
    """Change the lines below the header of a CSV file without quoted commas."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    text = "\n".join([lines[0], *change(lines[0].split(","), lines[1:])]) + "\n"
    path.write_bytes(gzip.compress(text.encode()))


def lab_of_the_fit(home: Home) -> dict[str, Any]:
    """A lab row that alone shows its hour of a stay of the fit, with a value between others of one interval."""
    values = home.lake.scan("series_value_counts").filter(pl.col("number").is_not_null()).select("variable", "number")
    inside = (pl.col("number") > pl.col("low")) & (pl.col("number") <= pl.col("high"))
    ranges = home.lake.scan("series_candidates").filter(pl.col("statistic") == "value").drop_nulls("low")
    rank = pl.col("number").rank("dense").over("variable", "feature_index")
    between = (
        values.unique()
        .join(ranges.select("variable", "feature_index", "low", "high"), on="variable")
        .filter(inside)
        .filter((rank > 1) & (rank < rank.max().over("variable", "feature_index")))
    )
    fitted = home.lake.scan("cohort_split").filter(pl.col("split") == "pretrain").select("subject_id").unique()
    stays = home.lake.scan("ehr_stays").select("subject_id", "in_time").join(fitted, on="subject_id")
    variable = pl.concat_str(pl.lit("lab_"), "itemid")
    alone = pl.len().over("subject_id", "itemid") == 1
    shown = home.lake.scan(LAB).join(stays, on="subject_id").with_columns(variable.alias("variable"))
    window = pl.col("charttime").is_between(pl.col("in_time"), pl.col("in_time") + pl.duration(hours=40))
    rows = (
        shown.filter(window)
        .filter(alone)
        .join(between, left_on=["variable", "valuenum"], right_on=["variable", "number"])
    )
    return rows.sort("labevent_id").collect().row(0, named=True)


def correct_lab(home: Home, row: dict[str, Any], value: float) -> None:
    def correct(names: list[str], lines: list[str]) -> list[str]:
        (at,) = [n for n, line in enumerate(lines) if line.split(",")[0] == str(row["labevent_id"])]
        cells = lines[at].split(",")
        cells[names.index("value")] = cells[names.index("valuenum")] = str(value)
        return [*lines[:at], ",".join(cells), *lines[at + 1 :]]

    edit(home.raw("mimic-iv/hosp/labevents.csv.gz"), correct)


def test_a_corrected_lab_row_rewrites_the_files_of_its_patient(home: Home) -> None:
    row = lab_of_the_fit(home)
    correct_lab(home, row, row["valuenum"] + 1e-6)
    before = versions(home.path)
    home.refresh()
    changed = {name for name, version in versions(home.path).items() if version != before[name]}
    assert set(home.built) == {LAB} | {name for name, step in CPU_STEPS.items() if changed & set(step.inputs)}
    shard = {shard_of(row["subject_id"], NUM_SHARDS)}
    assert home.built[0] == LAB and "ehr_readings" in home.built and CHART not in home.built
    assert home.rewritten(LAB) == home.rewritten("ehr_readings") == shard
    assert [home.shards[name] for name in ("ehr_readings", "ehr_series", *COUNTS)] == [shard] * 5
    assert home.rewritten("series_value_counts") == shard
    assert not {"series_variables", "series_candidates", "series_features"} & changed  # no edge lies beside this value
    assert "ehr_notes" not in home.shards and not home.decoded


def test_a_lab_row_beyond_all_others_moves_the_edges_of_its_variable(home: Home) -> None:
    row = lab_of_the_fit(home)
    correct_lab(home, row, row["valuenum"] + 1e6)
    home.refresh()
    shard = {shard_of(row["subject_id"], NUM_SHARDS)}
    assert [home.shards[name] for name in COUNTS[:2]] == [shard, shard]
    assert home.shards["series_cell_counts"] == home.shards["ehr_series"] == set(range(NUM_SHARDS))
    manifest = home.lake.manifest("series_features")
    assert manifest is not None and manifest.extra["moved_variables"] == [row["variable"]]
    assert "ehr_notes" not in home.shards and not home.decoded


def test_a_new_patient_rewrites_one_file_of_each_table(home: Home) -> None:
    stays = home.lake.scan("ehr_stays").filter(pl.col("database").cast(pl.String) == "mimic_iv").collect()
    model = int(stays["subject_id"].sort()[0])
    new = 19_999_999

    def copy(names: list[str], lines: list[str]) -> list[str]:
        ids = [names.index(name) for name in ("subject_id", "hadm_id", "stay_id", "labevent_id") if name in names]
        added = []
        for line in lines:
            cells = line.split(",")
            if cells[names.index("subject_id")] == str(model):
                for at in ids:
                    cells[at] = str(new) if names[at] == "subject_id" else cells[at] and str(int(cells[at]) + 5_000_000)
                added.append(",".join(cells))
        assert added
        return [*lines, *added]

    for name in ("hosp/patients", "hosp/admissions", "icu/icustays", "icu/chartevents", "hosp/labevents"):
        edit(home.raw(f"mimic-iv/{name}.csv.gz"), copy)
    home.refresh()
    shard = {shard_of(new, NUM_SHARDS)}
    for table in (LAB, CHART, "ehr_readings"):
        assert home.rewritten(table) == shard, table
    assert home.shards["ehr_readings"] == home.shards["ehr_notes"] == home.shards["series_variable_counts"] == shard
    assert new in home.lake.scan("ehr_series").collect()["subject_id"]
    assert not home.decoded


def test_a_replaced_report_decodes_nothing(home: Home) -> None:
    report = sorted(home.raw("mimic-cxr/files").rglob("s*.txt"))[0]
    report.write_text("FINAL REPORT\n IMPRESSION: The report was replaced.\n")
    home.refresh()
    assert home.built[0] == "mimic_cxr__reports" and {"cxr_reports", "text_tokens"} <= set(home.built)
    assert not {"ehr_readings", "ehr_series", "cxr_images", CHART} & set(home.built)
    texts = home.lake.scan("cxr_reports").filter(pl.col("study_id") == int(report.stem[1:])).collect()["text"]
    assert ["was replaced" in text for text in texts] == [True]


def test_ten_new_studies_decode_ten_films(home: Home) -> None:
    raw, pixels = home.raw("mimic-cxr"), home.workspace.image_store
    shards = {path: path.stat().st_ino for path in (pixels.folder / "shards").iterdir()}
    films = home.lake.scan("cxr_records").filter(source="cxr").unique("study_id")
    films = films.sort("record_id").head(NUM_NEW_STUDIES).collect()
    added: dict[str, tuple[str, str]] = {}
    for number, film in enumerate(films.iter_rows(named=True)):
        source = raw / film["path"]
        dicom, study = f"{number:08x}{film['record_id'][8:]}", 59_000_000 + number
        folder = source.parents[1] / f"s{study}"
        folder.mkdir()
        body = source.read_bytes()
        (folder / f"{dicom}.dcm").write_bytes(body[:-2] + bytes([number, 255 - body[-1]]))  # other pixels: another film
        shutil.copy2(source.parent.with_suffix(".txt"), folder.with_suffix(".txt"))
        added[film["record_id"]] = (dicom, str(study))

    def copy(names: list[str], lines: list[str]) -> list[str]:
        new = []
        for line in lines:
            cells = line.split(",")
            for old, (dicom, study) in added.items():
                if old == cells[names.index("dicom_id")]:
                    former = cells[names.index("study_id")]
                    new.append(line.replace(old, dicom).replace(former, study))
        return [*lines, *new]

    edit(raw / "cxr-record-list.csv.gz", copy)
    edit(home.raw("mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"), copy)
    studies = [f"{film['subject_id']},{added[film['record_id']][1]}" for film in films.iter_rows(named=True)]
    paths = [str((raw / film["path"]).parents[1].relative_to(raw)) for film in films.iter_rows(named=True)]
    rows = [f"{s},{p}/s{s.split(',')[1]}.txt" for s, p in zip(studies, paths, strict=True)]
    edit(raw / "cxr-study-list.csv.gz", lambda names, lines: [*lines, *rows])
    before = len(pixels)
    home.refresh()
    assert len(home.decoded) == NUM_NEW_STUDIES
    assert len(pixels) == before + NUM_NEW_STUDIES
    assert {path: path.stat().st_ino for path in shards} == shards, "a shard of pixels never changes"
    assert not {CHART, LAB, "ehr_readings", "ehr_series"} & set(home.built)


def test_the_tables_are_those_of_a_run_from_scratch(home: Home, tmp_path: Path) -> None:
    assert versions(from_scratch(home, tmp_path / "home").path) == versions(home.path)
    assert verify(home.lake) == []
    home.refresh()
    assert home.built == []
