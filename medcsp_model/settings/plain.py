"""From plain values to frozen dataclasses and back, strictly: an unknown key or a wrong type is named by its path."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

Group = TypeVar("Group")


def read_settings(cls: type[Group], values: Any) -> Group:
    """A group of settings from plain values; ValueError names an unknown key or a value of the wrong type."""
    built = _build(cls, values, "settings")
    assert isinstance(built, cls)
    return built


def to_plain(settings: Any) -> dict[str, Any]:
    """Plain dictionaries, numbers and lists of a group of settings, for `json.dumps`."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    return plain


class PlainSettings:
    """What groups of settings that stand alone have in common; the fields are those of the dataclass below."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return to_plain(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values; ValueError names an unknown key, a wrong type, or a value that cannot be."""
        settings = read_settings(cls, values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse values that cannot be, with a ValueError."""


def check_least(settings: Any, least: float, *names: str) -> None:
    """Refuse (ValueError) a number, or one in a list, that is below the least it may be."""
    for name in names:
        value = getattr(settings, name)
        if min(value, default=least) < least if isinstance(value, tuple) else value < least:
            raise ValueError(f"settings.{name}: must be at least {least}, got {value}")


def _build(cls: type, values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise ValueError(f"{path}: expected a group of settings, got {values!r}")
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(hints))}")
    return cls(**{key: _convert(hints[key], value, f"{path}.{key}") for key, value in values.items()})


def _convert(hint: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, path)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError(f"{path}: {value!r} is none of {', '.join(map(repr, get_args(hint)))}")
        return value
    if get_origin(hint) is tuple:
        return _convert_items(get_args(hint), value, path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{path}: expected {hint.__name__}, got {value!r}")
    if hint is float and not math.isfinite(value):
        raise ValueError(f"{path}: expected a finite number, got {value}")
    return value


def _convert_items(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    is_open = kinds[1:] == (Ellipsis,)
    if not isinstance(value, list | tuple) or not (is_open or len(value) == len(kinds)):
        raise ValueError(f"{path}: expected {'a list' if is_open else f'{len(kinds)} numbers'}, got {value!r}")
    each = kinds[:1] * len(value) if is_open else kinds
    return tuple(_convert(kind, item, path) for kind, item in zip(each, value, strict=True))
