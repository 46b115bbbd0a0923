"""The prediction study in the order of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), filled from the lake.

Every sentence is made from what this run published, or says what the code does in every run. What a run cannot know
(funding, registration, approval) is named as missing. Not here: the sentences (`tripod_methods`, `tripod_results`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from lake import Lake
from pipelines.report import tripod_methods as methods
from pipelines.report import tripod_results as results
from pipelines.report.content import Cell, Column, Note, Row, Section, Table
from pipelines.report.lineage import Ancestry
from pipelines.report.tripod_study import Study, read_study

Item = tuple[str, Callable[[Study], Iterator[str]]]


def tripod_section(lake: Lake, ancestry: Ancestry, *, synthetic_sources: Collection[str]) -> Section:
    """Fill the items of TRIPOD+AI, chapter by chapter.

    Args:
        lake: where the tables of the page are published.
        ancestry: the versions behind the page.
        synthetic_sources: raw sources that the graph wrote itself.
    """
    study = read_study(lake, ancestry, synthetic_sources=synthetic_sources)
    bands: tuple[tuple[Table | Note, ...], ...] = (
        (Note(text="No prediction task was evaluated in this run: there is no study to report.", tone="missing"),),
    )
    if study.places:
        bands = tuple((_chapter(name, items, study),) for name, items in CHAPTERS.items())
    return Section(
        name="tripod",
        title="The study in TRIPOD+AI’s order",
        lead="What a reader of a prediction study has to be told, item by item (Collins et al., BMJ 2024), filled from "
        "what this run published.",
        num_rows=sum(len(part.rows) for band in bands for part in band if isinstance(part, Table)),
        bands=bands,
    )


def _chapter(name: str, items: Sequence[Item], study: Study) -> Table:
    rows = [(label, tuple(make(study))) for label, make in items]
    return Table(
        caption=name,
        head="Item",
        columns=(Column(label="In this run", is_number=False),),
        rows=tuple(Row(label=label, cells=(Cell(text=lines[0], lines=lines[1:]),)) for label, lines in rows if lines),
        is_folded=True,
    )


CHAPTERS: dict[str, tuple[Item, ...]] = {
    "Methods: data, participants, outcome, predictors": (
        ("3, 4 Background and objectives", methods.objectives),
        ("5a Sources of data", methods.sources),
        ("5b Dates", methods.dates),
        ("6 Participants", methods.eligibility),
        ("7 Data preparation", methods.preparation),
        ("8 Outcome", methods.outcomes),
        ("9 Predictors", methods.predictors),
        ("10 Sample size", methods.sample_size),
        ("11 Missing data", methods.missing),
    ),
    "Analysis": (
        ("12a Use of the data", methods.analysis),
        ("12c Models", methods.models),
        ("12e Measures", methods.measures),
        ("13 Class imbalance", methods.imbalance),
        ("14 Fairness", methods.fairness),
        ("15 Output", methods.output),
        ("16 Development and evaluation", methods.development),
        ("17 to 19 Open science", methods.open_science),
    ),
    "Results and discussion": (
        ("20 Participants", results.participants),
        ("21 Model development", results.development_numbers),
        ("23a Performance", results.performance),
        ("23b Differences between groups", results.between_groups),
        ("26 Limitations", results.limitations),
        ("27 Usability", results.usability),
    ),
}
