"""Where each number came from: the published versions behind the page, down to digests of raw files.

What does not belong here: the `lineage` table, which holds the same facts for SQL.
"""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from data_contracts import Layer
from lake import Lake, Manifest, TableMissing
from pipelines.report.content import Cell, Chain, Column, Link, Note, Part, Row, Section, Table
from pipelines.report.formats import count, digest, release

LAYERS: tuple[str, ...] = get_args(Layer)
RAW = "raw:"
RELEASE = "release:"
_DIGEST = re.compile(r"[0-9a-f]{16}|[0-9a-f]{64}")
"""Of a group of files, and of one file; whatever else stands in its place says why nothing was read."""
FILE_DIGITS = 64
LAYER_TITLES = {
    "tables": "Typed raw tables",
    "records": "Records",
    "links": "Links and cohorts",
    "features": "Features",
    "labels": "Evaluation cohorts and labels",
    "corpus": "Training corpora",
    "checkpoint": "Checkpoint",
    "evaluation": "Evaluation",
    "report": "Report",
}


@dataclass(frozen=True, kw_only=True)
class Ancestry:
    """Every version that some tables were made from, themselves included.

    Attributes:
        manifests: by table; where two versions of a table were used, the current one.
        raw_files: digest by `<source>/<file>` of what was read.
        releases: the release of each raw source that was read, where it is known.
        replaced: `(table, input)` where the input has been published anew since.
    """

    manifests: dict[str, Manifest]
    raw_files: dict[str, str]
    releases: dict[str, str]
    replaced: tuple[tuple[str, str], ...]

    def upstream(self, table: str) -> set[str]:
        """Return the tables that a table was made from, directly or not."""
        found: set[str] = set()
        waiting = [table]
        while waiting:
            names = [name for name in self.manifests[waiting.pop()].inputs if name in self.manifests]
            waiting += [name for name in names if name not in found]
            found.update(names)
        return found


def trace(lake: Lake, tables: Iterable[str]) -> Ancestry:
    """Follow the manifests of some tables to the raw files.

    Raises:
        TableMissing: one of the tables is not published.
    """
    published = lake.tables()
    waiting = deque(sorted(tables))
    manifests: dict[str, Manifest] = {}
    raw_files: dict[str, str] = {}
    replaced: set[tuple[str, str]] = set()
    while waiting:
        name = waiting.popleft()
        if name in manifests:
            continue
        if name not in published:
            raise TableMissing(name)
        manifests[name] = manifest = published[name]
        for source, version in manifest.inputs.items():
            if source.startswith(RAW):
                if is_read(version):
                    raw_files[source.removeprefix(RAW)] = version
            elif source in published:
                waiting.append(source)
                if published[source].version != version:
                    replaced.add((name, source))
    return Ancestry(
        manifests=dict(sorted(manifests.items(), key=lambda item: (LAYERS.index(item[1].layer), item[0]))),
        raw_files=dict(sorted(raw_files.items())),
        releases=_releases(manifests.values()),
        replaced=tuple(sorted(replaced)),
    )


def is_read(version: str) -> bool:
    """Whether a raw input of a manifest is a digest, and not the reason why nothing was read."""
    return _DIGEST.fullmatch(version) is not None


def _releases(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return the release by source, as its tables name it among their inputs; all where they name several."""
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, release_read in manifest.inputs.items():
            if name.startswith(RELEASE):
                found.setdefault(name.removeprefix(RELEASE), set()).add(release_read)
    return {source: " and ".join(sorted(names)) for source, names in found.items()}


def lineage_section(
    ancestry: Ancestry,
    *,
    metrics: str,
    checkpoint: str,
    measured_on: Iterable[str],
    synthetic_sources: Sequence[str],
) -> Section:
    """Lay out the chain from the metrics to the raw files, then every table by layer, then the files.

    Args:
        ancestry: what `trace` found.
        metrics: the table that holds the numbers.
        checkpoint: the table of the checkpoint they were measured on.
        measured_on: fingerprints of checkpoints that the numbers themselves name.
        synthetic_sources: sources whose files were written by the graph.
    """
    tables = [_layer_table(ancestry, layer) for layer in reversed(LAYERS)]
    checkpoints = [checkpoint, *sorted(_of_layer(ancestry, metrics, "checkpoint") - {checkpoint})]
    parts: list[Part] = [_chain(ancestry, metrics=metrics, checkpoints=checkpoints, synthetic=synthetic_sources)]
    parts += [
        Note(text=f"{table} was made from a version of {name} that has been replaced since.", tone="warning")
        for table, name in ancestry.replaced
    ]
    parts += [
        Note(text=f"Some numbers were measured on another checkpoint, fingerprint {other}.", tone="warning")
        for other in sorted(set(measured_on) - {ancestry.manifests[name].fingerprint for name in checkpoints})
    ]
    parts += [table for table in tables if table is not None]
    parts.append(_raw_table(ancestry, synthetic_sources))
    return Section(
        name="lineage",
        title="Where each number came from",
        lead="A version is a digest of a table’s content; a fingerprint is a digest of the code, inputs and settings "
        "that made it. Both can be looked up in the catalogue: select * from lineage.",
        num_rows=len(ancestry.manifests) + len(ancestry.raw_files),
        bands=tuple((part,) for part in parts),
    )


def _of_layer(ancestry: Ancestry, table: str, layer: str) -> set[str]:
    """Tables of a layer that another was made from; those that are empty left out: nothing was made of them."""
    found = (ancestry.manifests[name] for name in ancestry.upstream(table))
    return {manifest.table for manifest in found if manifest.layer == layer and manifest.rows}


def _chain(ancestry: Ancestry, *, metrics: str, checkpoints: Sequence[str], synthetic: Sequence[str]) -> Chain:
    num_numbers = count(ancestry.manifests[metrics].rows)
    links = [
        _table_link(ancestry, metrics, "Metrics", f"{num_numbers} numbers; those of what was trained here name it."),
        *(
            _table_link(
                ancestry, name, "Checkpoint", "Weights that numbers were measured with, and how they were trained."
            )
            for name in checkpoints
        ),
    ]
    trained_on = set().union(*(_of_layer(ancestry, name, "corpus") for name in checkpoints))
    links += [
        _table_link(ancestry, name, "Training corpus", "What the checkpoint was trained on, as flat arrays.")
        for name in sorted(trained_on)
    ]
    links += [
        _table_link(ancestry, name, "Evaluation corpus", "What is searched or predicted, as flat arrays.")
        for name in sorted(_of_layer(ancestry, metrics, "corpus") - trained_on)
    ]
    before = LAYERS[: LAYERS.index("corpus")]
    tables = [name for name in ancestry.upstream(metrics) if ancestry.manifests[name].layer in before]
    num_rows = sum(ancestry.manifests[name].rows for name in tables)
    links.append(
        Link(title="Tables", text=f"{count(len(tables))} tables with {count(num_rows)} rows in all stand behind it.")
    )
    sources = sorted({name.split("/", 1)[0] for name in ancestry.raw_files})
    written = [name for name in sources if name in synthetic]
    num_files = sum(len(version) == FILE_DIGITS for version in ancestry.raw_files.values())
    num_groups = len(ancestry.raw_files) - num_files
    links.append(
        Link(
            title="Raw files",
            text=f"{count(num_files)} files, each with its sha256, and {count(num_groups)} "
            f"{'group' if num_groups == 1 else 'groups'} of many, each with a digest of names and contents, of films "
            f"of names, sizes and times; of {count(len(sources))} sources "
            f"({', '.join(release(name) for name in sources)}).",
            badge="synthetic data" if written else "",
            target="raw-files",
        )
    )
    return Chain(caption="From a number back to its files", links=tuple(links))


def _table_link(ancestry: Ancestry, table: str, title: str, text: str) -> Link:
    manifest = ancestry.manifests[table]
    return Link(
        title=title,
        text=text,
        code=f"{table}, version {manifest.version}, fingerprint {digest(manifest.fingerprint, 16)}",
        target=f"table-{table}",
    )


def _layer_table(ancestry: Ancestry, layer: str) -> Table | None:
    manifests = [manifest for manifest in ancestry.manifests.values() if manifest.layer == layer]
    if not manifests:
        return None
    return Table(
        caption=f"{LAYER_TITLES.get(layer, layer)} ({count(len(manifests))})",
        head="Table",
        columns=(
            Column(label="Rows"),
            Column(label="Version", is_number=False),
            Column(label="Fingerprint", is_number=False),
            Column(label="Code", is_number=False),
            Column(label="Made from", is_number=False),
        ),
        rows=tuple(_table_row(ancestry, manifest) for manifest in manifests),
        is_folded=True,
    )


def _table_row(ancestry: Ancestry, manifest: Manifest) -> Row:
    raw = [name for name, version in manifest.inputs.items() if name.startswith(RAW) and is_read(version)]
    names = tuple(sorted(name for name in manifest.inputs if name in ancestry.manifests))
    files = f"{count(len(raw))} raw {'file' if len(raw) == 1 else 'files'}" if raw else ""
    return Row(
        label=manifest.table,
        anchor=f"table-{manifest.table}",
        cells=(
            Cell(text=count(manifest.rows)),
            Cell(text=manifest.version, is_code=True),
            Cell(text=digest(manifest.fingerprint), is_code=True),
            Cell(text=digest(manifest.code_version), is_code=True),
            Cell(text=files, links=names),
        ),
    )


def _raw_table(ancestry: Ancestry, synthetic_sources: Sequence[str]) -> Part:
    if not ancestry.raw_files:
        return Note(text="No raw file is recorded behind these tables.", tone="missing")
    rows = [
        Row(
            label=name,
            badge="synthetic" if name.split("/", 1)[0] in synthetic_sources else "",
            cells=(
                Cell(text=ancestry.releases.get(name.split("/", 1)[0], "")),
                Cell(text=value, is_code=True),
            ),
        )
        for name, value in ancestry.raw_files.items()
    ]
    return Table(
        caption=f"Raw files ({count(len(rows))})",
        anchor="raw-files",
        head="Source and file",
        columns=(
            Column(label="Release", is_number=False),
            Column(label="sha256, or 16 digits of a group of many files", is_number=False),
        ),
        rows=tuple(rows),
        is_folded=True,
    )
