"""What Dagster shows of every asset, and that steps, contracts, SQL files and checks belong together."""

import re
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import tiny_workspace

from data_contracts import CONTRACTS
from lake.sql import SqlFile, parts_of, table_names
from pipelines.assets.column_lineage import source_columns
from pipelines.assets.glue import CONTRACT_CHECK
from pipelines.assets.graph import CPU_STEPS, STEPS
from pipelines.assets.step import SQL_FOLDER
from pipelines.definitions import build_defs
from pipelines.sources import SOURCES

ASSETS_BY_GROUP = {
    "tables": {table.table for source in SOURCES.values() for table in source.tables},
    "records": {
        *("ehr_admissions", "ehr_records", "ehr_stays", "ehr_codes", "ehr_readings", "ehr_notes", "ehr_demographics"),
        *("code_mappings", "admission_diagnoses", "cxr_records", "cxr_reports"),
        *("mimic_cxr_films", "open_i_films", "open_i_texts", "covid19_films", "chexpert_films"),
        *("concept_items", "ehr_shared_readings"),
    },
    "links": {"cohort_split", "same_patient_pairs", "diagnosis_histories"},
    "features": {
        *("diagnosis_vocabulary", "drug_vocabulary", "series_features", "ehr_series", "tokenizer_vocabulary"),
        *("text_tokens", "cxr_images", "vocabulary_coverage", "note_report_overlap", "demographics_shift"),
        *("shared_series_features", "ehr_shared_series", "feature_dictionary", "concept_coverage"),
        *("series_variable_counts", "series_variables", "series_value_counts", "series_candidates"),
        *("series_cell_counts", "shared_series_variable_counts", "shared_series_variables"),
        *("static_features", "ehr_static"),
        *("shared_series_value_counts", "shared_series_candidates", "shared_series_cell_counts"),
    },
    "labels": {
        *("label_items", "prediction_tasks", "prediction_stays", "prediction_split", "prediction_labels"),
        "label_events",
        *("labels_arf", "labels_shock", "labels_mortality", "labels_aki", "labels_readmission"),
        *("prediction_inputs", "cohort_flow", "prediction_events", "evaluation_films"),
    },
    "corpus": {
        *("pretrain_corpus", "pretrain_corpus_shared", "retrieval_mimic_cxr_corpus", "retrieval_open_i_corpus"),
        *("zero_shot_covid19_corpus", "zero_shot_chexpert_corpus"),
        *("critical_care_corpus", "discharge_corpus"),
    },
    "checkpoint": {"pretrain_checkpoint", "pretrain_checkpoint_shared", "radiology_small_models", "pretrain_llm"},
    "evaluation": {
        *("record_embeddings", "metrics", "exposure", "retrieval_examples"),
        *("retrieval_mimic_cxr", "retrieval_open_i", "zero_shot_covid19", "zero_shot_chexpert"),
        *("radiology_comparisons", "radiology_methods", "radiology_duplicates"),
        *("prediction_arf", "prediction_shock", "prediction_mortality", "prediction_aki", "prediction_readmission"),
        *("prediction_comparisons", "prediction_methods", "curves"),
        *("ablation", "ablation_comparisons", "ablation_trials", "case_studies", "case_study_points"),
    },
    "report": {"paper_tables", "lineage", "report"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_defs(workspace=tiny_workspace(tmp_path_factory.mktemp("specs")))


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    found = definitions.resolve_all_asset_specs()
    return {spec.key.path[-1]: spec for spec in found if spec.key.path[-1] in STEPS and len(spec.key.path) == 1}


def test_assets_by_group(specs: dict[str, dg.AssetSpec]) -> None:
    groups: dict[str, set[str]] = {}
    for name, spec in specs.items():
        groups.setdefault(spec.group_name or "", set()).add(name)
    assert groups == ASSETS_BY_GROUP


def test_raw_sources_are_observable_assets_of_their_own(definitions: dg.Definitions) -> None:
    raw = {spec.key.path[-1]: spec for spec in definitions.resolve_all_asset_specs() if spec.key.path[0] == "raw"}
    assert set(raw) == ASSETS_BY_GROUP["tables"]
    assert {spec.group_name for spec in raw.values()} == {"raw"}
    assert all({dep.asset_key.path[-1] for dep in spec.deps} == {"synthetic_sources"} for spec in raw.values())


def test_every_asset_says_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == set(STEPS)
    for name, spec in specs.items():
        assert spec.description and len(spec.description) > 15, name
        assert spec.kinds and spec.owners == ["team:medcsp"], name
        assert re.fullmatch(r"[0-9a-f]{16}", spec.code_version or ""), name
        schema = spec.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == list(CONTRACTS[name].columns()), name
        assert all(column.description for column in schema.columns), name
        assert {dep.asset_key.path[-1] for dep in spec.deps if len(dep.asset_key.path) == 1} >= set(STEPS[name].inputs)


def test_every_asset_has_its_contract_check_and_its_set_rules(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    checks = Counter((key.asset_key.path[-1], key.name) for key in graph.asset_check_keys)
    wanted = {(name, CONTRACT_CHECK) for name in STEPS} | {
        (name, check) for name, step in STEPS.items() for check in (*step.checks(), *step.warning_files())
    }
    assert checks == Counter(wanted)


def test_every_contract_is_published_by_exactly_one_step() -> None:
    assert Counter(step.contract.table for step in STEPS.values()) == Counter(list(CONTRACTS))


def test_every_sql_file_that_makes_a_table_belongs_to_one_step() -> None:
    made = Counter(path for step in STEPS.values() if step.sql for path in (step.sql, *parts_of(step.sql)))
    files = {path for path in SQL_FOLDER.rglob("*.sql") if path.parent.name not in ("checks", "warnings", "queries")}
    assert made == Counter(files - {SQL_FOLDER / "catalog.sql"})


def test_a_sql_step_reads_exactly_its_inputs() -> None:
    read = {name: table_names(SqlFile.read(step.sql).statement()) for name, step in STEPS.items() if step.sql}
    assert read == {name: set(STEPS[name].inputs) for name in read}


def _checks(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sql"))


@pytest.mark.parametrize("path", _checks(SQL_FOLDER / "checks"), ids=lambda path: path.stem)
def test_a_check_reads_only_the_step_it_belongs_to_and_its_inputs(path: Path) -> None:
    table, separator, rule = path.stem.partition("__")
    assert separator and rule and table in STEPS
    read = set(table_names(path.read_text()))
    assert table in read
    assert read <= {table, *STEPS[table].inputs}


@pytest.mark.parametrize("path", _checks(SQL_FOLDER / "checks" / "warnings"), ids=lambda path: path.stem)
def test_a_warning_belongs_to_a_step(path: Path) -> None:
    table = path.stem.partition("__")[0]
    assert table in STEPS
    assert set(table_names(path.read_text())) <= set(STEPS)


KNOWN_LINEAGE = {
    ("same_patient_pairs", "gap_days"): {
        ("cxr_records", "record_time"),
        ("ehr_records", "admit_time"),
        ("ehr_records", "discharge_time"),
    },
    ("metrics", "value"): {
        ("retrieval_mimic_cxr", "value"),
        ("zero_shot_covid19", "value"),
        ("prediction_aki", "value"),
    },
    ("ehr_notes", "text"): {("mimic_iv_note__discharge", "text")},
}


def lineage_of(table: str) -> dict[str, set[tuple[str, str]]]:
    step = STEPS[table]
    assert step.sql is not None
    return source_columns(SqlFile.read(step.sql).statement(), step.contract, step.inputs)


@pytest.mark.parametrize(("table", "column"), KNOWN_LINEAGE)
def test_column_lineage_is_parsed_from_the_sql(table: str, column: str) -> None:
    assert KNOWN_LINEAGE[table, column] <= lineage_of(table)[column]


@pytest.mark.parametrize("table", [name for name, step in STEPS.items() if step.sql])
def test_every_key_column_of_a_sql_step_comes_from_somewhere(table: str) -> None:
    found = lineage_of(table)
    assert set(found) == set(CONTRACTS[table].columns())
    assert {column for column in CONTRACTS[table].key if not found[column]} <= {
        "source",
        "other_source",
        "kind",
        "space",
    }


def test_only_the_cpu_part_is_in_the_refresh_job(definitions: dg.Definitions) -> None:
    nodes = {node.name for node in definitions.resolve_job_def("refresh").nodes}
    assert set(CPU_STEPS) <= nodes
    assert nodes & (set(STEPS) - set(CPU_STEPS)) == set()
    (schedule,) = definitions.schedules or ()
    assert schedule.job_name == "refresh"


def test_definitions_can_be_made_without_a_single_root(tmp_path: Path) -> None:
    made = build_defs(workspace=tiny_workspace(tmp_path, profile="default"))
    names = {spec.key.path[-1] for spec in made.resolve_all_asset_specs()}
    assert set(STEPS) <= names
    assert "synthetic_sources" not in names
