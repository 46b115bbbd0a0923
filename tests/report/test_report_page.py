"""The page: its numbers, its form, and what it says when there is nothing to show."""

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from data_contracts import CONTRACTS
from data_contracts.evaluation import Report
from lake import Lake, Measurement, TableMissing
from pipelines.report import INDEX, INPUTS, Site, write_site
from pipelines.report.content import Table
from pipelines.report.lineage import trace
from pipelines.report.pretraining import batches_parts

Render = Callable[[Lake], Site]
NewLake = Callable[[Mapping[str, list[dict[str, Any]]]], Lake]
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Checks that tags balance, and collects ids, links, headings and the cells of every table row by its head."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self.heads: list[str] = []
        self.unlabelled = 0
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if tag == "a":
            self.targets.append(given["href"] or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg" and "aria-labelledby" not in given and "ul" not in self.open:
            self.unlabelled += 1
        if tag == "tr":
            self.rows.append([])
            self.heads.append("")
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)
        if "th" in self.open and "span" not in self.open and len(self.rows[-1]) == 1:
            self.heads[-1] = " ".join(f"{self.heads[-1]} {data}".split())
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    def row(self, head: str, num_cells: int | None = None) -> list[str]:
        """The cells of the only row with this head, and with so many cells where that is said."""
        rows = [row[1:] for row, found in zip(self.rows, self.heads, strict=True) if found == head]
        rows = [row for row in rows if num_cells in (None, len(row))]
        assert len(rows) == 1, f"{len(rows)} rows have the head {head!r}"
        return rows[0]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def readers(site: Site) -> dict[str, Reader]:
    return {file.removesuffix(".html"): Reader(html) for file, html in site.pages.items()}


def whole(site: Site) -> str:
    return "".join(site.pages.values())


def test_counts_have_the_planted_numbers(readers: dict[str, Reader]) -> None:
    reader = readers["data"]
    assert reader.row("Patients") == ["12", "16", "32,355", "14,620"]
    assert reader.row("Patients in both sources") == ["8 66.7 %", "8 50.0 %", "", ""]
    assert reader.row("Records") == ["18", "48", "41,230", "156,837"]
    assert reader.row("Records per patient, mean") == ["1.5 median 1.5", "3.0 median 3", "", ""]
    assert reader.row("Studies") == ["", "32", "", ""]
    assert reader.row("Images per study, mean") == ["", "1.5 median 1.5", "", ""]
    assert reader.row("Distinct diagnosis codes") == ["5", "", "7,686", ""]
    # 18 records hold 0, 1, ..., 5, 0, ... codes and 0, 1, 2, 3, 0, ... drugs: those with none count in the mean
    assert reader.row("Diagnosis codes per record, mean")[0] == "2.5 median 2.5"
    assert reader.row("Drugs per record, mean")[0] == "1.4 median 1"
    assert reader.row("Non-zero hourly cells")[0] == f"{18 * 48}"
    assert reader.row("Texts cut at the context length") == ["–", "25.0 %", "", ""]
    assert reader.row("Records without a diagnosis history") == ["0.0 %", "50.0 %", "", ""]


def test_cohorts_count_patients_studies_and_records(readers: dict[str, Reader]) -> None:
    reader = readers["data"]
    assert reader.row("Pre-training", 5) == ["10", "14", "7", "14", "21"]
    assert reader.row("Held out") == ["2", "4", "1", "2", "3"]
    assert reader.row("Retrieval evaluation") == ["0", "0", "6", "12", "18"]
    assert reader.row("Unused") == ["0", "0", "2", "4", "6"]


def test_modalities_show_what_is_missing(readers: dict[str, Reader]) -> None:
    reader = readers["data"]
    assert reader.row("EHR · drug")[2:] == ["12", "14", "85.7 %"]
    assert reader.row("EHR · note")[2:] == ["0", "14", "0.0 %"]
    assert not any(row and row[0] == "CXR · records" for row in reader.rows)


def test_databases_stand_beside_each_other(readers: dict[str, Reader]) -> None:
    reader = readers["data"]
    assert reader.row("drug, MIMIC-III") == ["14", "1", "40", "25.0 %"]
    assert reader.row("CareVue") == ["100", "2", "2", "1"]
    assert reader.row("MIMIC-III, age years") == ["0.62", "0.50", "0.25"]
    assert reader.row("MIMIC-III, gender m")[0] == ""
    assert reader.row("Pre-training", 3) == ["20", "25.0 %", "15.0 %"]


def test_the_gaps_fall_into_the_right_bars(site: Site) -> None:
    bars = dict(re.findall(r"<title>([^<:]+): (\d+) pairs</title>", site.pages["data.html"]))
    assert bars["0 days"] == "18"
    assert bars["more than 0, at most 2 days"] == "3"  # 0.5, 1.25 and 2.0: a bar holds its upper edge
    assert bars["more than 28, at most 30 days"] == "2"
    assert sum(map(int, bars.values())) == 32
    assert len(bars) == 16


def test_the_pairs_reach_what_they_reach(readers: dict[str, Reader]) -> None:
    reader = readers["data"]
    assert reader.row("Patients with a pair") == ["7"]
    assert reader.row("EHR records with a pair") == ["11 61.1 %"], "of MIMIC-IV's 18; MIMIC-III's are never linked"
    assert reader.row("CXR records with a pair") == ["21 43.8 %"]


def test_training_shows_first_and_last_step(readers: dict[str, Reader]) -> None:
    reader = readers["pretrain_checkpoint"]
    assert reader.row("total") == ["5.645", "2.188"]
    assert reader.row("Linked pairs per batch") == ["12.0", "12.0"]


def test_retrieval_stands_beside_chance_and_the_paper(readers: dict[str, Reader]) -> None:
    reader = readers["retrieval"]
    ours, chance, times = (reader.row(head, 12) for head in ("MedCSP, this run", "Chance", "Times chance"))
    assert (ours[8], chance[8], times[8]) == ("50.00 42.5–56.0", "2.50", "20.0")
    assert reader.row("MedCSP, paper’s Table 2")[6:] == ["8.74", "21.91", "29.51", "38.04", "50.49", "61.74"]
    assert "another gallery" in reader.words
    said = "Recall at 10 50.0 % 95 % interval 42.5–56.0; 20× chance; n = 240 reports synthetic data"
    assert said in readers["index"].words
    assert "240 reports search 400 images" in reader.words


def test_every_number_leads_back_to_its_files(planted: Lake, readers: dict[str, Reader]) -> None:
    reader = readers["lineage"]
    for table in ("metrics", "pretrain_checkpoint", "pretrain_corpus", "ehr_records"):
        manifest = planted.manifest(table)
        assert manifest is not None
        assert reader.row(table, 5)[:2] == [f"{manifest.rows:,}", manifest.version]
    assert reader.row("mimic_iv/icu/icustays.csv.gz") == ["demo 2.2", "22" * 32]
    assert reader.row("mimic_cxr/cxr-record-list.csv.gz") == ["", "33" * 32]
    assert "1 raw file" in reader.row("cxr_records", 5)[-1]
    assert reader.row("retrieval_mimic_cxr", 5)[-1] == "pretrain_checkpoint , retrieval_mimic_cxr_corpus"
    assert "3 files, each with its sha256, and 1 group of many" in reader.words
    assert "of 2 sources (MIMIC-CXR, MIMIC-IV)" in reader.words and "mimic_iv_note__discharge" not in reader.words
    assert readers["pretrain_checkpoint"].row("Releases") == ["MIMIC-CXR, MIMIC-IV demo 2.2"]
    assert "raw file" not in reader.row("ehr_notes", 5)[-1], "what is not available was not read"
    assert "numbers; those of what was trained here name it" in reader.words
    assert "another checkpoint" not in reader.words, "numbers of the shared space have a checkpoint of their own"
    assert re.search(
        "Checkpoint Weights that .*, and how they were trained. pretrain_checkpoint_shared, ver", reader.words
    )
    assert "Evaluation corpus What is searched or predicted, as flat arrays. retrieval_mimic_cxr_cor" in reader.words


def test_every_release_that_tables_were_read_from_is_said(tmp_path: Path) -> None:
    lake = Lake(tmp_path, threads=1)
    for name, release in (("ehr_stays", "3.0"), ("ehr_records", "3.1")):
        inputs = {"raw:mimic_iv/icu/icustays.csv.gz": "22" * 32, "release:mimic_iv": release}
        lake.publish(CONTRACTS[name], CONTRACTS[name].create_empty(), code_version="", inputs=inputs, settings={})
    ancestry = trace(lake, ["ehr_stays", "ehr_records"])
    assert ancestry.releases == {"mimic_iv": "3.0 and 3.1"}
    assert list(ancestry.raw_files) == ["mimic_iv/icu/icustays.csv.gz"]


def test_what_is_absent_or_synthetic_is_said(readers: dict[str, Reader]) -> None:
    assert readers["data"].row("Discharge summaries")[0] == "not available"
    for reader in readers.values():
        assert "Written by this project in the layout of MIMIC-CXR, MIMIC-IV." in reader.words
        assert "MIMIC-IV-Note (set MEDCSP_MIMIC_IV_NOTE)." in reader.words


def test_settings_are_listed(readers: dict[str, Reader]) -> None:
    reader = readers["lineage"]
    assert reader.row("cohorts.ehr_holdout_share") == ["0.15"]


def test_costs_are_listed_dearest_first(planted: Lake, readers: dict[str, Reader]) -> None:
    reader = readers["lineage"]
    tables = [row for row in reader.rows if len(row) == 4 and row[2:] == ["9.00", "250"]]
    num_tables = len(planted.tables())
    assert tables[0][:2] == ["paper_tables report", f"{10 + num_tables - 1:.2f}"]
    assert len(tables) == num_tables


def test_every_page_stands_alone(site: Site) -> None:
    assert list(site.pages) == [
        INDEX,
        "data.html",
        "retrieval.html",
        "predictions.html",
        "ablation.html",
        "pretrain_checkpoint.html",
        "pretrain_checkpoint_shared.html",
        "lineage.html",
    ]
    assert not re.search(r"(?:https?:)?//\w|@import|url\(|<script|<img|<iframe", whole(site))


def test_every_link_resolves(readers: dict[str, Reader]) -> None:
    for name, reader in readers.items():
        for target in reader.targets:
            file, _, anchor = target.partition("#")
            found = readers[file.removesuffix(".html") or name]
            assert not anchor or anchor in found.ids, f"{target} on {name}"
        assert {f"{other}.html" for other in readers} <= set(reader.targets), "every page is reached from every other"


def test_every_page_is_well_formed_and_accessible(readers: dict[str, Reader]) -> None:
    for reader in readers.values():
        assert len(reader.ids) == len(set(reader.ids))
        assert reader.headings[0] == 1 and reader.headings.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(reader.headings, reader.headings[1:], strict=False))
        assert reader.unlabelled == 0


def test_on_paper_intervals_are_smaller_than_their_numbers(site: Site) -> None:
    paper = site.pages["index.html"].partition("@media print {")[2].partition("</style>")[0]
    points = {
        selector.strip(): float(size)
        for selectors, size in re.findall(r"([^{}]+)\{ font-size: ([\d.]+)pt; \}", paper)
        for selector in selectors.split(",")
    }
    inside = ("td .detail", ".number .detail", ".number .more", "th .detail", "table .badge")
    assert all(points[name] < points["table"] for name in inside), points


def test_nothing_of_a_patient_is_on_a_page(site: Site, planted: Lake) -> None:
    html = whole(site)
    for table, column in (("ehr_records", "hadm_id"), ("cxr_records", "record_id"), ("cxr_reports", "text")):
        values = planted.scan(table).select(column).unique().collect()[column].to_list()
        assert values and not any(str(value) in html for value in values)


def test_same_tables_same_bytes(planted: Lake, site: Site, render: Render) -> None:
    assert render(planted).pages == site.pages


def test_costs_stand_outside_every_digest(new_lake: NewLake, render: Render, site: Site) -> None:
    lake = new_lake({})
    lake.record_timing("metrics", Measurement(seconds=4321.0, cpu_seconds=1.0, peak_mb=1.0, created_time="y"))
    after = render(lake)
    assert "4,321.00" in after.pages["lineage.html"] and "4,321.00" not in whole(site)
    assert after.sections.equals(site.sections)


def test_sections_meet_their_contract(site: Site) -> None:
    sections = Report.validate(site.sections)
    assert sections["section"].to_list() == [
        "paper_tables",
        *("data_counts", "linked_pairs", "databases", "cohorts"),
        *("retrieval", "zero_shot", "x_rays", "examples"),
        *("predictions", "tripod"),
        *("ablation", "case_studies"),
        *("card_pretrain_checkpoint", "pre_training", "card_pretrain_checkpoint_shared", "pre_training_shared"),
        *("lineage", "settings"),
    ]
    assert sections["content_sha256"].n_unique() == sections.height
    assert sections["page"].unique(maintain_order=True).to_list() == list(site.pages)
    assert dict(sections.select("section", "num_rows").iter_rows())["linked_pairs"] == 32


def test_a_page_with_points_of_patients_says_so(site: Site, new_lake: NewLake, render: Render) -> None:
    page = site.pages["ablation.html"]
    assert "records of a few unseen patients" in page and "Aggregates only" not in page
    assert "Aggregates only" in render(new_lake({name: [] for name in INPUTS})).pages["ablation.html"]


def test_empty_tables_are_said_to_be_empty(new_lake: NewLake, render: Render) -> None:
    site = render(new_lake({name: [] for name in INPUTS}))
    reader = Reader(whole(site))
    assert 'class="chart' not in whole(site)
    assert "pretrain_checkpoint_shared.html" not in site.pages, "what was not trained has no page"
    assert "There are no pairs: no patient has records of two sources inside the window." in reader.words
    assert "There is no training curve" in reader.words
    assert "There are no retrieval numbers: the gallery is empty." in reader.words
    assert "The corpus is empty" in reader.words
    assert "paper_tables is empty" in reader.words
    assert "zero_shot_covid19 is empty" in reader.words
    assert "There is no ablation: no variant was trained." in reader.words
    assert "There are no case studies: nothing was drawn." in reader.words
    assert reader.row("Patients")[:2] == ["0", "0"]
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", reader.words)


def test_only_some_tables_empty(new_lake: NewLake, render: Render) -> None:
    lake = new_lake({"same_patient_pairs": []})
    html = render(lake).pages["data.html"]
    assert 'class="chart"' not in html
    assert "There are no pairs" in html


def test_what_was_not_measured_while_training_is_not_drawn(
    new_lake: NewLake, render: Render, planted_curve: list[dict[str, Any]], site: Site
) -> None:
    whole_curve = site.pages["pretrain_checkpoint.html"]
    assert "Retrieval on validation subjects while training" in whole_curve
    assert "Positives above negatives" in whole_curve
    assert "Gradient norm" in whole_curve
    gone = {"recall_at_10": None, "logit_d_positive": None}
    html = render(new_lake({"pretrain_checkpoint": [{**row, **gone} for row in planted_curve]}))
    html = html.pages["pretrain_checkpoint.html"]
    assert "Retrieval on validation subjects while training" not in html
    chart = html[html.index("Positives above negatives") :]
    chart = chart[: chart.index("</figure>")]
    drawn = chart[: chart.index("<figcaption")]
    assert "L<sub>P</sub>" in drawn and "L<sub>D</sub>" not in drawn


def test_what_met_in_the_batches_is_told() -> None:
    assert batches_parts({}) == ()
    done = {
        "linked_pairs_histogram": {"4": 1, "6": 3},
        "random_linked_pairs": 0.256,
        "draws_histogram": {"ehr": {"0": 1, "2": 20, "3": 5, "16": 1}, "cxr": {"1": 70}},
    }
    met, drawn = batches_parts(done)
    assert isinstance(met, Table) and isinstance(drawn, Table)
    assert [row.cells[0].text for row in met.rows] == ["5.50", "4", "0.26"]
    assert [[cell.text for cell in row.cells] for row in drawn.rows] == [
        ["1", "0"],
        ["0", "70"],
        ["25", "0"],
        ["1", "0"],
        ["0", "0"],
    ]


def test_a_replaced_input_is_said(new_lake: NewLake, render: Render, planted_curve: list[dict[str, Any]]) -> None:
    reader = Reader(render(new_lake({"pretrain_checkpoint": planted_curve[:-1]})).pages["lineage.html"])
    assert "retrieval_mimic_cxr was made from a version of pretrain_checkpoint that has been replaced" in reader.words


def test_numbers_of_another_checkpoint_are_said(new_lake: NewLake, render: Render, planted: Lake) -> None:
    rows = planted.scan("metrics").collect().to_dicts()
    reader = Reader(
        render(new_lake({"metrics": [{**row, "fingerprint": "0ther"} for row in rows]})).pages["lineage.html"]
    )
    assert "Some numbers were measured on another checkpoint, fingerprint 0ther." in reader.words


def test_rejected_rows_are_counted(new_lake: NewLake, render: Render, planted_curve: list[dict[str, Any]]) -> None:
    planted_curve[3]["grad_norm"] = -1.0
    reader = Reader(render(new_lake({"pretrain_checkpoint": planted_curve})).pages["data.html"])
    assert "Rows kept aside (1)" in reader.words
    rules = [row for row in reader.rows if row[:1] == ["pretrain_checkpoint"] and row[2:] == ["1", "1.64 %"]]
    assert len(rules) == 1 and "grad_norm" in rules[0][1]


def test_warnings_are_counted_by_rule(
    new_lake: NewLake, render: Render, planted: Lake, readers: dict[str, Reader]
) -> None:
    name = "cxr reports: without wanted section"
    assert not [row for row in readers["data"].rows if row[0].startswith(name)]
    rows = [row | {"is_fall_back": True} for row in planted.scan("cxr_reports").collect().to_dicts()]
    reader = Reader(render(new_lake({"cxr_reports": rows})).pages["data.html"])
    (said,) = [row for row in reader.rows if row[0].startswith(name)]
    assert said[0].endswith("give the next of the chain instead.")
    assert said[1:] == [str(len(rows))]


def test_words_in_names_are_escaped(planted: Lake) -> None:
    from pipelines.report import build_site

    site = build_site(
        planted,
        profile_name="<b>&",
        synthetic_sources=["<i>"],
        absent_sources={},
        settings={"note": "<script>alert(1)</script> L_A"},
    )
    html = whole(site)
    Reader(site.pages["lineage.html"])
    assert "<script" not in html and "<b>" not in html and "<i>" not in html
    assert "&lt;b&gt;&amp;" in html


def test_a_missing_table_is_named(tmp_path: Path, render: Render) -> None:
    with pytest.raises(TableMissing, match="is not published; run: dagster asset materialize"):
        render(Lake(tmp_path))


def test_writing_replaces_pages_whole_and_takes_away_those_of_checkpoints_that_are_gone(
    tmp_path: Path, site: Site
) -> None:
    folder = tmp_path / "report"
    write_site(site, folder)
    (folder / "mine.html").write_text("kept")
    (folder / "pretrain_llm.html").write_text("of a run before")
    write_site(site, folder)
    assert {name: (folder / name).read_text(encoding="utf-8") for name in site.pages} == site.pages
    there = {item.name for item in folder.iterdir() if not item.name.startswith(".")}
    assert there == {*site.pages, "mine.html"}
