"""What is asked of the methods: feature spaces by cohort, modes, codes with and without, and who is tested."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.features.prediction_questions import EvaluationSettings, Places, questions

SPACES = ("native", "shared")
PLACES = Places(
    folders={space: Path("tasks", space) for space in SPACES},
    checkpoints={space: Path("checkpoint", space) for space in SPACES},
    corpora={space: Path("corpus", space) for space in SPACES},
)
EVERY = EvaluationSettings()


def asked(*tasks: str, settings: EvaluationSettings = EVERY) -> list[dict[str, Any]]:
    return questions(tasks, settings, PLACES)


def places(rows: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    return {tuple(row["labels"][key] for key in ("dataset", "cohort", "mode")) for row in rows}


def test_a_stay_is_asked_about_in_every_cohort_and_horizon() -> None:
    rows = asked("arf")
    assert {row["labels"]["task"] for row in rows} == {"prediction_arf"}
    assert places(rows) == {
        place
        for horizon in ("unbounded", "within_48h")
        for place in (
            ("mimic_iv", "ehr_holdout", horizon),
            ("mimic_iii", "metavision", horizon),
            ("mimic_iii", "carevue", f"{horizon}/shared"),
            ("mimic_iii", "carevue_filtered", f"{horizon}/shared"),
            ("mimic_iii", "carevue", f"{horizon}/shared/transfer"),
        )
    }
    for row in rows:
        space = "shared" if "shared" in row["labels"]["mode"] else "native"
        assert (row["folder"], row["checkpoint"]) == (f"tasks/{space}", f"checkpoint/{space}")
    (transfer,) = [row for row in rows if row["tested_on"] and row["horizon"] == "unbounded"]
    assert (transfer["cohort"], transfer["tested_on"]) == ("metavision", "carevue")


def test_codes_come_after_discharge_and_are_left_out_once() -> None:
    rows = asked("readmission", "readmission_any")
    assert {row["labels"]["task"] for row in rows} == {"prediction_readmission", "prediction_readmission_any"}
    without = [row for row in rows if row["without"]]
    assert {tuple(row["without"]) for row in without} == {("diagnosis",)}
    assert all("without_codes" in row["labels"]["mode"] for row in without)
    assert len(without) == len(rows) / 2
    with_codes = asked("readmission", settings=replace(EVERY, without_codes=False))
    assert not any(row["without"] for row in with_codes)


def test_every_cohort_is_asked_about_as_a_whole_once() -> None:
    rows = asked("arf", "readmission")
    whole = Counter((row["task"], row["cohort"]) for row in rows if row["is_whole"])
    assert whole == {(task, cohort): 1 for task in ("arf", "readmission") for cohort in EVERY.cohorts}
    assert len({tuple(row["labels"].values()) for row in rows}) == len(rows)


def test_settings_say_which_spaces_are_needed() -> None:
    native = replace(EVERY, cohorts=("ehr_holdout",), is_transferred=False)
    assert (EVERY.spaces, native.spaces) == (("native", "shared"), ("native",))
    assert EVERY.shared_cohorts == ("carevue", "carevue_filtered")
    assert replace(native, is_transferred=True).shared_cohorts == ("carevue",)
    assert asked("arf", settings=replace(native, tasks=("shock",))) == []
    with pytest.raises(ValueError, match=r"evaluation.cohorts names 'icu'; known: .*carevue"):
        replace(EVERY, cohorts=("icu",))
