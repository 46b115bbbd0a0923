"""What a run prints at its end."""

from typing import Any

import dagster as dg
import polars as pl
import pytest

from data_contracts.evaluation import Metrics
from pipelines.run import failed_warnings, print_metrics, print_warnings

RETRIEVAL: dict[str, Any] = {
    "task": "retrieval_mimic_cxr",
    "dataset": "mimic_cxr",
    "cohort": "all_views",
    "method": "medcsp",
    "mode": "text_to_image",
    "metric": "recall_at_k",
    "k": 10,
    "split": "retrieval_mimic_cxr",
    "seed": 0,
    "value": 0.25,
    "ci_low": 0.2,
    "ci_high": 0.3,
    "n": 40,
    "num_positive": None,
    "paper_value": None,
    "fingerprint": "f",
    "synthetic": True,
}
PREDICTION = RETRIEVAL | {
    "task": "prediction_arf",
    "dataset": "mimic_iv",
    "cohort": "ehr_holdout",
    "mode": "unbounded",
    "metric": "auroc",
    "k": 0,
    "split": "test",
    "seed": -1,
    "num_positive": 8,
}


def test_a_classification_stands_beside_what_sees_no_image(capsys: pytest.CaptureFixture[str]) -> None:
    place = {"task": "zero_shot_covid19", "dataset": "covid19", "split": "zero_shot_covid19", "k": 0, "num_positive": 8}
    own = RETRIEVAL | place | {"cohort": "covid_or_normal", "metric": "auroc", "mode": "mean"}
    constant = {"method": "all_positive", "mode": "constant", "metric": "f1", "ci_low": None, "ci_high": None}
    rows = [
        own | {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9},
        own | constant | {"value": 1 / 3},
        own | {"mode": "description", "value": 0.11},
        own | {"split": "zero_shot_covid19/origin=a", "value": 0.12},
        own | {"metric": "auroc_sd", "value": 0.13},
    ]
    print_metrics(pl.DataFrame(rows, schema=Metrics.create_empty().schema, infer_schema_length=None))
    said = [line.split() for line in capsys.readouterr().out.strip().splitlines()]
    assert said == [
        ["zero_shot_covid19,", "8", "of", "40", "films", "positive,", "synthetic", "data"],
        ["mean", "of", "prompts,", "percent", "auroc", "f1", "balanced_accuracy"],
        ["medcsp", "80.0", "-", "-"],
        ["95", "%", "interval", "70.0-90.0"],
        ["all_positive", "-", "33.3", "-"],
    ]


def test_predictions_stand_task_by_method_with_their_events(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        RETRIEVAL,
        PREDICTION | {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9},
        PREDICTION | {"method": "logistic_regression", "value": 0.6, "ci_low": None, "ci_high": None},
        PREDICTION | {"task": "prediction_readmission", "mode": "within_30d", "value": 0.5, "n": 50, "num_positive": 9},
        PREDICTION | {"mode": "within_48h", "value": 0.11},
        PREDICTION | {"k": 10, "value": 0.12},
        PREDICTION | {"seed": 0, "value": 0.13},
        PREDICTION | {"split": "test/sex=F", "value": 0.14},
        PREDICTION | {"mode": "within_30d/without_codes", "value": 0.15},
    ]
    print_metrics(pl.DataFrame(rows, schema=Metrics.create_empty().schema, infer_schema_length=None))
    said = capsys.readouterr().out
    assert "retrieval_mimic_cxr, 40 queries, synthetic data" in said
    table = [line.split() for line in said.split("predictions, mimic_iv ehr_holdout, synthetic data\n")[1].splitlines()]
    assert table == [
        ["auroc,", "percent", "arf", "readmission"],
        ["events", "/", "tested", "8", "/", "40", "9", "/", "50"],
        ["medcsp", "80.0", "50.0"],
        ["95", "%", "interval", "70.0-90.0", "20.0-30.0"],
        ["logistic_regression", "60.0", "-"],
        ["95", "%", "interval"],
    ]


def test_rules_that_only_warn_are_named_with_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rules = {"contract": {"rejected: path: empty": 2}, "stays__left_out": {"rows": 1234}, "stays__odd": {"rows": 0}}

    @dg.multi_asset(
        specs=[dg.AssetSpec("stays")], check_specs=[dg.AssetCheckSpec(rule, asset="stays") for rule in rules]
    )
    def stays() -> dg.MaterializeResult:
        checks = [
            dg.AssetCheckResult(
                check_name=rule,
                passed=not any(numbers.values()),
                severity=dg.AssetCheckSeverity.WARN,
                metadata=numbers,
            )
            for rule, numbers in rules.items()
        ]
        return dg.MaterializeResult(asset_key="stays", check_results=checks)

    failed = failed_warnings(dg.materialize([stays]))
    assert failed == {"stays__left_out": 1234}
    print_warnings(failed)
    assert capsys.readouterr().out.split()[-2:] == ["stays__left_out", "1,234"]
    print_warnings({})
    assert capsys.readouterr().out == ""


def test_nothing_is_printed_of_what_was_not_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics(Metrics.create_empty())
    assert capsys.readouterr().out == ""
