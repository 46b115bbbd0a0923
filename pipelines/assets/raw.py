"""Raw files: what Dagster observes of them, and the asset that writes synthetic ones.

Belongs here: digests of raw files as versions. Does not: reading them (`sources/`) or inventing them (`synthetic/`).
"""

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import dagster as dg

from lake import code_version, file_digest, fingerprint, raw_version, short_hash, write_atomic
from lake.files import locked
from pipelines import synthetic
from pipelines.housekeeping import claim_run
from pipelines.resources import Sources, Workspace
from pipelines.sources import SOURCES, TABLES, RawTable
from pipelines.sources.files_below import find_below
from pipelines.stopping import stoppable

SYNTHETIC = "synthetic_sources"
MOST_LISTED_FILES = 4
"""A table of more files than this (reports, films) is one line of lineage, not thousands."""


def raw_digests(raw_table: RawTable, workspace: Workspace) -> dict[str, str]:
    """Return the digest of every raw file behind a table, `raw:<source>/<file>` to sha256, or why none is read.

    Raises:
        ValueError: the source is required and has no root, or a file is missing.
    """
    reason = why_empty(raw_table, workspace.sources)
    root = workspace.sources.root(raw_table.source)
    if reason or root is None:
        return {f"raw:{raw_table.source}/{raw_table.table}": reason}
    digests = file_digests(raw_table, root, home=workspace.home)
    if listing := raw_table.listing(raw_table, root):
        digests[f"raw:{raw_table.source}/{raw_table.table} (listing)"] = short_hash("\n".join(listing))
    return digests


def why_empty(raw_table: RawTable, sources: Sources) -> str:
    """Return why a table is published without rows, or an empty text where it is read."""
    root = sources.root(raw_table.source)
    if root is None:
        return f"{raw_table.source} is not available"
    if raw_table.is_left_out(root):
        return f"{raw_table.source} has no {', '.join(raw_table.files)}"
    if raw_table.unless in sources.roots:
        return f"{raw_table.unless} holds the same facts"
    return ""


def file_digests(raw_table: RawTable, root: Path, *, home: Path) -> dict[str, str]:
    """Return the digest of every file that a table depends on, or one for all where they are many."""
    files = raw_table.raw_files(root)
    if len(files) > MOST_LISTED_FILES:
        return {f"raw:{raw_table.source}/{raw_table.table}": raw_version(files, root=root, home=home)}
    return {
        f"raw:{raw_table.source}/{path.relative_to(root).as_posix()}": file_digest(path, root=root, home=home)
        for path in files
    }


def combined_version(digests: dict[str, str]) -> str:
    """Return one version for several raw files."""
    return short_hash(json.dumps(digests, sort_keys=True))


def raw_key(table: str) -> dg.AssetKey:
    """Return the key of the raw files behind a table."""
    return dg.AssetKey(["raw", table])


def raw_observations(workspace: Workspace) -> dg.AssetsDefinition:
    """Return one observable asset per raw table; its data version is the digest of its files."""
    specs = [
        dg.AssetSpec(
            raw_key(name),
            group_name="raw",
            description=f"{', '.join(table.files)} below {SOURCES[table.source].variable}.",
            kinds={"file"},
            deps=[SYNTHETIC] if table.source in workspace.sources.synthetic else [],
        )
        for name, table in TABLES.items()
    ]

    with warnings.catch_warnings():  # the one way to observe many files in one step; beta in name, and tested here
        warnings.simplefilter("ignore", dg.BetaWarning)
        observable = dg.multi_observable_source_asset(specs=specs, can_subset=True, name="observe_raw_files")

    def _observe(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
        claim_run(context.instance, context.run.run_id)
        for key in context.selected_asset_keys:
            digests = raw_digests(TABLES[key.path[-1]], workspace)
            yield dg.ObserveResult(
                asset_key=key,
                data_version=dg.DataVersion(combined_version(digests)),
                metadata={"num_files": len(digests), "files": dg.MetadataValue.json(digests)},
            )

    return observable(_observe)


def synthetic_sources(workspace: Workspace) -> dg.AssetsDefinition:
    """Return the asset that writes the synthetic trees; written once for each generator, size, seed and EHR root."""

    @dg.asset(
        name=SYNTHETIC,
        group_name="raw",
        description="Synthetic raw sources, byte-compatible in layout, with planted structure.",
        kinds={"python"},
        code_version=code_version(synthetic)[:16],
    )
    def _asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        claim_run(context.instance, context.run.run_id)
        with stoppable(SYNTHETIC):
            return _write()

    def _write() -> dg.MaterializeResult:
        started = time.monotonic()
        wanted = synthetic_fingerprint(workspace)
        stamp = workspace.home / "raw" / "synthetic.json"
        try:
            with locked(workspace.home / synthetic.LOCK):  # another run in this home would move them away
                is_current = stamp.exists() and json.loads(stamp.read_text())["fingerprint"] == wanted
                if not is_current:
                    write_synthetic(workspace)
                    write_atomic(stamp, json.dumps({"fingerprint": wanted}) + "\n")
        except OSError as error:
            raise dg.Failure(f"{SYNTHETIC}: {workspace.refusal(error)}", allow_retries=False) from None
        metadata = {"memoised": is_current, "seconds": time.monotonic() - started}
        return dg.MaterializeResult(data_version=dg.DataVersion(wanted), metadata=metadata)

    return _asset


def synthetic_fingerprint(workspace: Workspace) -> str:
    """Return the digest of the generator, its settings, and the EHR tree that a companion is written for."""
    assert workspace.profile.synthetic is not None
    inputs = {}
    if "mimic_iv" not in workspace.sources.synthetic:
        for table in ("mimic_iv__patients", "mimic_iv__admissions", "mimic_iv__diagnoses_icd", "mimic_iv__icustays"):
            inputs.update(raw_digests(TABLES[table], workspace))
    settings = asdict(workspace.profile.synthetic)
    return fingerprint(code_version=code_version(synthetic), inputs=inputs, settings=settings)


def write_synthetic(workspace: Workspace) -> None:
    """Write every synthetic source of the workspace under `home/raw`."""
    settings = workspace.profile.synthetic
    assert settings is not None
    raw = workspace.home / "raw"
    if "mimic_iv" in workspace.sources.synthetic:
        synthetic.write_sources(raw, settings=settings)
    else:
        root = workspace.sources.roots["mimic_iv"]
        synthetic.write_companion(raw, mimic_iv=root, settings=settings, find=find_below)
