"""A refresh rebuilds what changed, each table once, and nothing else: by content, not by time of change."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import environment, run_job, tiny_workspace, versions

from lake import Lake
from pipelines.assets.graph import CPU_STEPS, DEVICE_STEPS
from pipelines.assets.step import Step
from pipelines.automation import REFRESH, gpu_automation, outdated
from pipelines.home import MadeWith, made_with
from pipelines.resources import REPOSITORY, Workspace

CORPORA = {"pretrain_corpus", "pretrain_corpus_shared"}
EVALUATION_SETS = {
    *("retrieval_mimic_cxr_corpus", "retrieval_open_i_corpus"),
    *("zero_shot_covid19_corpus", "zero_shot_chexpert_corpus"),
}
PREDICTION_CORPORA = {"critical_care_corpus", "discharge_corpus"}
WITH_SYNTHETIC = {*CPU_STEPS, "synthetic_sources"}


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a raw file, gzip or plain."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))
    else:
        path.write_text(change(path.read_text()))


def correct_one_lab_value(text: str) -> str:
    """Add 1 to the first number in the column valuenum."""
    lines = text.splitlines(keepends=True)
    names = lines[0].strip().split(",")
    at = names.index("valuenum")
    for number, line in enumerate(lines[1:], start=1):
        cells = line.split(",")
        if len(cells) == len(names) and cells[at]:
            cells[at] = str(float(cells[at]) + 1)
            lines[number] = ",".join(cells)
            return "".join(lines)
    raise AssertionError("no row with a number")


def downstream(*changed: str) -> set[str]:
    """The tables that may change when these do."""
    reached = set(changed)
    for name, step in CPU_STEPS.items():
        if reached & set(step.inputs):
            reached.add(name)
    return reached


def test_the_first_refresh_publishes_the_cpu_part_and_only_that(built_home: Path) -> None:
    assert set(versions(built_home)) == set(CPU_STEPS)
    assert made_with(built_home) == MadeWith(profile="tiny:tiny", is_synthetic=True)
    assert outdated(tiny_workspace(built_home), CPU_STEPS) == []


def test_a_report_without_words_goes_and_what_knew_it_is_rebuilt_once(fresh_copy: Path) -> None:
    before = Lake(fresh_copy).scan("cxr_records").collect().height
    report = sorted((fresh_copy / "raw" / "mimic-cxr").rglob("s*.txt"))[0]
    study = int(report.stem[1:])
    report.write_text("")
    outcome = run_job(tiny_workspace(fresh_copy))
    assert outcome.success, outcome.failures
    built = outcome.built
    assert len(built) == len(set(built))
    assert {"mimic_cxr__reports", "cxr_records", "cxr_reports", "cohort_split"} <= set(built)
    assert CORPORA & set(built)
    assert set(built) <= downstream("mimic_cxr__reports")
    lake = Lake(fresh_copy)
    assert lake.manifest("mimic_cxr__reports").rejected == {"text: empty": 1}
    assert study not in lake.scan("cxr_records").collect()["study_id"].to_list()
    assert lake.scan("cxr_records").collect().height < before
    assert outdated(tiny_workspace(fresh_copy), CPU_STEPS) == []
    assert {name for name, state in outcome.states if state == "current"} == WITH_SYNTHETIC - set(built)


def test_a_diamond_is_rebuilt_once_after_a_changed_setting_and_nothing_for_same_content_under_a_new_time(
    built_home: Path, fresh_copy: Path
) -> None:
    before = versions(fresh_copy)
    for path in (fresh_copy / "raw").rglob("*.csv.gz"):
        path.write_bytes(path.read_bytes())
        os.utime(path)
    workspace = tiny_workspace(fresh_copy)
    narrow = replace(workspace.profile, links=replace(workspace.profile.links, theta_days=1.0))
    outcome = run_job(replace(workspace, profile=narrow))
    assert outcome.success, outcome.failures
    behind_it = {"same_patient_pairs", "note_report_overlap", *CORPORA}
    assert sorted(outcome.built) == sorted(behind_it)
    assert len(outcome.states) == len(WITH_SYNTHETIC)
    assert {name for name, version in versions(fresh_copy).items() if version != before[name]} <= behind_it
    pairs = Lake(fresh_copy).scan("same_patient_pairs").collect()
    assert pairs["gap_days"].max() <= 1.0
    assert pairs.height < Lake(built_home).scan("same_patient_pairs").collect().height


WHAT_IS_BEHIND = """
import sys
from pathlib import Path
from graph_runs import tiny_workspace
from pipelines.assets.graph import CPU_STEPS
from pipelines.assets import glue
from pipelines.automation import outdated
from pipelines.home import MadeWith, made_with
from pipelines.resources import REPOSITORY
assert str(REPOSITORY) == sys.argv[2], REPOSITORY
print(*outdated(tiny_workspace(Path(sys.argv[1])), CPU_STEPS))
"""


def behind(home: Path, repository: Path) -> set[str]:
    """Ask a process that runs another copy of the code which tables are behind."""
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IS_BEHIND, str(home), str(repository)],
        env=environment(home, repository=repository),
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the code."""
    target = tmp_path / "repository"
    for folder in ("data_contracts", "lake", "medcsp_model", "pipelines", "sql"):
        shutil.copytree(REPOSITORY / folder, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def test_comments_and_docstrings_rebuild_nothing_and_code_what_it_makes(fresh_copy: Path, repository: Path) -> None:
    for path in [*(repository / "pipelines").rglob("*.py"), *(repository / "medcsp_model").rglob("*.py")]:
        path.write_text(path.read_text() + "\n# a remark that nobody asked for\n")
    for path in (repository / "sql").rglob("*.sql"):
        path.write_text("-- another remark\n" + path.read_text())
    features = repository / "pipelines" / "features" / "demographics.py"
    features.write_text(features.read_text().replace('"""', '"""Reworded. ', 1))
    assert behind(fresh_copy, repository) == set()

    features.write_text(features.read_text() + "\nA_NEW_CONSTANT = 1\n")
    assert behind(fresh_copy, repository) == {"demographics_shift", *CORPORA, *EVALUATION_SETS, *PREDICTION_CORPORA}


def test_a_changed_line_of_sql_and_a_changed_rule_rebuild_their_tables(fresh_copy: Path, repository: Path) -> None:
    path = repository / "sql" / "links" / "same_patient_pairs.sql"
    path.write_text(path.read_text().replace("8.64e10", "8.640001e10"))
    path = repository / "data_contracts" / "records.py"
    rule = 'los_hours = dy.Float64(nullable=True, min=0, description="Length'
    assert rule in path.read_text()
    stricter = rule.replace("min=0", "min=0, max=1e5").replace("Length", "Reworded: length")
    path.write_text(path.read_text().replace(rule, stricter))
    assert behind(fresh_copy, repository) == {"same_patient_pairs", "ehr_stays"}


def tick(workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"workspace": workspace})
        answer = gpu_automation(context)
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer


def test_the_device_sensor_waits_for_a_current_graph_and_fires_once_for_what_changed(fresh_copy: Path) -> None:
    workspace = tiny_workspace(fresh_copy)
    first, second = tick(workspace), tick(workspace)
    assert isinstance(first, dg.RunRequest) and isinstance(second, dg.RunRequest)
    assert first.run_key == second.run_key, "Dagster starts one run for a key"

    for step in DEVICE_STEPS.values():
        publish_empty(step, workspace)
    answer = tick(workspace)
    assert isinstance(answer, dg.SkipReason) and "report are current" in str(answer.skip_message)

    drawn = replace(workspace.profile, retrieval=replace(workspace.profile.retrieval, num_draws=7))
    answer = tick(replace(workspace, profile=drawn))
    assert isinstance(answer, dg.RunRequest), "the checkpoint is current, its evaluation is not"
    assert answer.run_key != first.run_key

    rewrite(fresh_copy / "raw" / "mimic-iv" / "hosp" / "labevents.csv.gz", correct_one_lab_value)
    answer = tick(workspace)
    assert isinstance(answer, dg.SkipReason) and "mimic_iv__labevents" in str(answer.skip_message)
    assert REFRESH in str(answer.skip_message)


def publish_empty(step: Step, workspace: Workspace) -> None:
    """Publish a table without rows under the fingerprint that a run would; the sensor looks at nothing else."""
    workspace.lake.publish(
        step.contract,
        step.contract.create_empty(),
        code_version=step.code_version(),
        inputs=step.input_versions(workspace),
        settings=step.settings(workspace.profile),
    )


def test_the_device_sensor_skips_an_empty_home(tmp_path: Path) -> None:
    answer = tick(tiny_workspace(tmp_path))
    assert isinstance(answer, dg.SkipReason) and f"run the {REFRESH} job" in str(answer.skip_message)
