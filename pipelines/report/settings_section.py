"""Settings as they come, nested, in the form of one table. What a setting means: the module that declares it."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.report.content import Cell, Column, Note, Row, Section, Table


def settings_section(settings: Mapping[str, Any]) -> Section:
    """List all settings."""
    table = settings_table(settings, caption="All settings")
    return Section(
        name="settings",
        title="Settings",
        lead="Every choice that the paper leaves open, or that differs from it, is a setting.",
        num_rows=len(table.rows),
        bands=((table if table.rows else Note(text="No settings were given.", tone="missing"),),),
    )


def settings_table(settings: Mapping[str, Any], *, caption: str) -> Table:
    """Return one row per setting, `group.name` and its value, folded away."""
    rows = [Row(label=name, cells=(Cell(text=value, is_code=True),)) for name, value in _flat(settings)]
    return Table(
        caption=f"{caption} ({len(rows)})",
        head="Setting",
        columns=(Column(label="Value", is_number=False),),
        rows=tuple(rows),
        is_folded=True,
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as `group.name` and text, by name."""
    for name in sorted(settings):
        value = settings[name]
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _in_words(value)


def _in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_in_words(item) for item in value)
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
