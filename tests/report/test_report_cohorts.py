"""Who is evaluated: the flow diagrams, events of each task, and the published counts beside ours."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from data_contracts.labels import COHORTS, EXCLUSIONS, HORIZONS, TASKS
from data_contracts.prediction import OBSTACLES
from lake import Lake
from pipelines.report import Site, cohorts
from pipelines.report.content import Flow, Note, Section, Table
from pipelines.report.paper_numbers import FIDDLE_STAYS, TABLE_1_COHORTS

NewLake = Callable[[Mapping[str, list[dict[str, Any]]]], Lake]
STEP = {"cohort": "metavision", "num_subjects": 1, "num_excluded": 0}


def parts_of(section: Section, kind: type) -> list[Any]:
    return [part for band in section.bands for part in band if isinstance(part, kind)]


def cells(table: Table) -> dict[str, list[str]]:
    return {row.label: [f"{cell.text} {cell.detail}".strip() for cell in row.cells] for row in table.rows}


@pytest.fixture(scope="module")
def section(planted: Lake) -> Section:
    return cohorts.cohorts_section(planted, synthetic_sources=["mimic_iii"])


def test_a_cohort_flows_from_its_candidates_to_the_tasks(section: Section) -> None:
    at_48h, at_discharge = parts_of(section, Flow)
    start, shared = at_48h.trunk
    assert start.text == "40 stays of 30 patients" and not start.outs
    assert shared.text == "38 stays of 29 patients"
    assert [(out.number, out.reason) for out in shared.outs] == [
        ("0", "outside the cohort"),
        ("2", "under 18, or of unknown age"),
    ]
    arf, mortality = at_48h.branches
    assert [(out.number, out.reason) for out in arf.outs] == [("8", "onset before 48 h")]
    assert arf.text == "30 stays of 24 patients"
    assert arf.ends == ("6 events (20.0 %) at any time", "3 died without it at any time")
    assert mortality.text == shared.text and not mortality.outs
    (readmission,) = at_discharge.branches
    assert readmission.ends == ("4 events (13.8 %) within 30 days",)


def test_every_cohort_has_its_badge_and_nobody_is_said(section: Section, site: Site) -> None:
    assert {flow.badge for flow in parts_of(section, Flow)} == {"leaks"}
    missing = [note.text for note in parts_of(section, Note) if note.tone == "missing"]
    assert [text.split(":")[0] for text in missing] == [
        "Cohort carevue",
        "Cohort carevue_filtered",
        "Cohort ehr_holdout",
    ]
    assert all("Not available" in text for text in missing)
    assert re.search(
        r'<h3>metavision, predicted at 48 h into the stay <span class="badge synthetic">leaks', site.pages["data.html"]
    )


def test_events_of_each_part_and_what_stands_in_the_way(section: Section) -> None:
    events = next(table for table in parts_of(section, Table) if table.anchor == "prediction-events")
    rows = {row.label: row for row in events.rows}
    assert list(rows) == ["arf, at any time, metavision", "arf, at any time, carevue"]
    assert cells(events)["arf, at any time, metavision"] == [
        *("30", "24", "6 20.0 %", "5 of 24", "1 of 3", "0 of 3"),
        "split: one class is tested",
    ]
    assert rows["arf, at any time, metavision"].badge == "leaks"
    assert rows["arf, at any time, carevue"].badge == "not available"
    assert cells(events)["arf, at any time, carevue"][-1] == "split: no example; folds: no example"


def test_published_counts_stand_beside_ours(section: Section) -> None:
    published = next(table for table in parts_of(section, Table) if table.anchor == "published-cohorts")
    rows = cells(published)
    assert rows["MetaVision stays"] == ["40", "–", "–", "–", "23,620"]
    assert rows["of adults"] == ["38", "–", "–", "–", "23,593"]
    arf = "15,873, 2,900 events at 4 h; 14,174, 1,368 events at 12 h"
    assert rows["acute respiratory failure"] == ["30", "6", "5,038", "402", arf]
    mortality = "8,577, 1,031 events at 48 h; 11,695, events not printed at 48 h"
    assert rows["death in hospital"] == ["38", "9", "–", "–", mortality]
    assert rows["readmission to the ICU"] == ["29", "4", "11,695", "1,581", "–"]


def flow_of(num_stays: int, **ends: tuple[int, int]) -> list[dict[str, Any]]:
    """Steps of tasks with so many candidates, and examples and events by task."""
    return [
        {**STEP, "task": task, "step_index": index, "kind": kind, "step": step, "num_stays": number}
        for task, (examples, events) in ends.items()
        for index, (kind, step, number) in enumerate(
            (
                ("start", "candidates", num_stays),
                ("exclusion", "under_18", examples),
                ("outcome", f"event in {'30d' if task == 'readmission' else 'unbounded'}", events),
            )
        )
    ]


@pytest.mark.parametrize(
    ("num_stays", "ends", "synthetic", "text", "tone"),
    [
        (FIDDLE_STAYS, TABLE_1_COHORTS, [], "the counts are those of the paper's Table 1", "plain"),
        (
            FIDDLE_STAYS,
            {**TABLE_1_COHORTS, "arf": (5_000, 402)},
            [],
            "differ from Table 1: acute respiratory failure 5,000 with 402 events for 5,038 with 402.",
            "warning",
        ),
        (77, {"arf": (40, 3)}, [], "not the whole of MIMIC-III (77 MetaVision stays of about 23,620)", "plain"),
        (FIDDLE_STAYS, {"arf": (40, 3)}, ["mimic_iii"], "MIMIC-III is synthetic here", "plain"),
    ],
    ids=["same", "differs", "part", "synthetic"],
)
def test_a_difference_on_the_whole_database_is_said(
    new_lake: NewLake, num_stays: int, ends: dict[str, tuple[int, int]], synthetic: list[str], text: str, tone: str
) -> None:
    lake = new_lake({"cohort_flow": flow_of(num_stays, **ends)})
    note = parts_of(cohorts.cohorts_section(lake, synthetic_sources=synthetic), Note)[-1]
    assert text in note.text and note.tone == tone


def test_nothing_declared_is_said(new_lake: NewLake) -> None:
    lake = new_lake({"cohort_flow": [], "prediction_events": []})
    section = cohorts.cohorts_section(lake, synthetic_sources=[])
    assert any(note.text.startswith("No prediction task is declared.") for note in parts_of(section, Note))


def test_everything_that_can_be_published_has_words() -> None:
    assert set(cohorts.TASKS) == set(TASKS) == {task for _, tasks in cohorts.EVENTS.values() for task in tasks}
    assert set(cohorts.REASONS) == set(EXCLUSIONS)
    assert set(cohorts.HORIZONS) == set(HORIZONS)
    assert set(cohorts.OBSTACLES) == set(OBSTACLES)
    assert set(cohorts.BADGES) == set(COHORTS)
