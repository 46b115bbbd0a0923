"""What a home remembers: the profile that its tables are made with.

Belongs here: which profile a command takes that names none, and which a home refuses. Does not: what a profile says.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lake.files import canonical_json, locked, write_atomic
from pipelines.profiles import Profile, profile_named
from pipelines.sources import SOURCES

NAME = "profile.json"


@dataclass(frozen=True)
class MadeWith:
    """The profile that made the tables of a home.

    Attributes:
        profile: what MEDCSP_PROFILE said, or what it stood for.
        is_synthetic: whether it is one of those that write sources themselves.
    """

    profile: str
    is_synthetic: bool


def made_with(home: Path) -> MadeWith | None:
    """Return what a home was last made with, None where nothing was made in it."""
    path = home / NAME
    return MadeWith(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def profile_of(home: Path, environment: Mapping[str, str]) -> tuple[str, Profile]:
    """Return the profile that a command takes, and its name: that of MEDCSP_PROFILE, else that of the home.

    In a new home it is `default` where a source is named, else `demo`.

    Raises:
        ValueError: no profile has that name, or it writes synthetic sources and the home was made from real ones.
    """
    before = made_with(home)
    is_real = any(environment.get(source.variable) for source in SOURCES.values())
    name = environment.get("MEDCSP_PROFILE") or (before.profile if before else "default" if is_real else "demo")
    profile = profile_named(name)
    if before and not before.is_synthetic and profile.synthetic is not None:
        raise ValueError(
            f"{home} was made with profile {before.profile} from real sources, and {name} would make its tables again "
            "with a demo's settings: set MEDCSP_HOME to another folder, or MEDCSP_PROFILE to the profile of this one"
        )
    return name, profile


def remember(home: Path, name: str, profile: Profile) -> str:
    """Note what a home is made with from here on, and return what it was before where that is another profile."""
    now = MadeWith(profile=name, is_synthetic=profile.synthetic is not None)
    before = made_with(home)
    if before == now:
        return ""
    with locked(home / "locks" / "profile.lock"):
        write_atomic(home / NAME, canonical_json(asdict(now)) + "\n")
    return before.profile if before else ""
