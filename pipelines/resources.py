"""What a step reaches outside itself: the raw roots, the lake, and the command that runs the trainer.

Belongs here: reading the environment, once. Does not: what is read from a root (`sources/`) or any setting of the
method (`profiles.py`).
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lake import Lake, Manifest
from pipelines.features.corpus_modalities import MODALITIES
from pipelines.features.image_store import ImageStore
from pipelines.features.pretrain_sources import ADMISSIONS, check_sources
from pipelines.home import profile_of
from pipelines.launcher import Launcher
from pipelines.profiles import Profile
from pipelines.sources import FILMS, SOURCES
from pipelines.sources.checksums import MODES, Mode

REPOSITORY = Path(__file__).resolve().parent.parent
COMPANION = ("mimic_cxr", "mimic_cxr_jpg")
"""What is written for the subjects of a real EHR tree."""
_READ_AS_ADDRESS = re.compile(r"\?|%[0-9a-fA-F]{2}")
"""DuckDB and SQLAlchemy take the paths of their files for addresses: they would open another one, or none."""


@dataclass(frozen=True)
class Sources:
    """The root of every raw source.

    Attributes:
        roots: source name to the folder of its release; a source that is not there is absent.
        synthetic: names of the sources that the graph writes itself.
    """

    roots: Mapping[str, Path]
    synthetic: frozenset[str] = frozenset()

    def root(self, name: str) -> Path | None:
        """Return the root of a source, or None where the source is absent and optional.

        Raises:
            ValueError: a required source is absent; the message names the variable to set.
        """
        if name in self.roots:
            return self.roots[name]
        source = SOURCES[name]
        if source.required:
            raise ValueError(f"source {name} has no root: set {source.variable} to the folder of its release")
        return None

    @property
    def absent(self) -> dict[str, str]:
        """Sources without a root, with the variable that would name it."""
        return {name: source.variable for name, source in SOURCES.items() if name not in self.roots}


@dataclass(frozen=True)
class Workspace:
    """Everything a step works with.

    Attributes:
        weights_root: folder of published weights, by method.
        checksums: which raw files are compared with their release's own list before they are read.
        profile_name: what names the profile to a later command; the home remembers it, see `pipelines.home`.
        held: versions of tables that are read whatever is published meanwhile; see `holding`.
    """

    home: Path
    profile: Profile
    sources: Sources
    launcher: Launcher = field(default_factory=Launcher)
    weights_root: Path | None = None
    checksums: Mode = "changed"
    profile_name: str = ""
    held: Mapping[str, Manifest] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        """The lake of this home."""
        return Lake(self.home, num_shards=self.profile.num_shards, held=self.held)

    def holding(self, tables: Iterable[str]) -> "Workspace":
        """Return the same with these tables as they are now: another run in this home may publish them again."""
        found = {name: manifest for name in tables if (manifest := self.lake.manifest(name)) is not None}
        return replace(self, held={**self.held, **found})

    def weights(self, method: str) -> Path:
        """Return the folder of a method's published weights.

        Raises:
            ValueError: MEDCSP_WEIGHTS is not set, or holds no such folder.
        """
        if self.weights_root is None:
            raise ValueError(f"the profile {self.profile.name} starts from {method}: set MEDCSP_WEIGHTS (see README)")
        folder = self.weights_root / method
        if not folder.is_dir():
            raise ValueError(f"MEDCSP_WEIGHTS={self.weights_root} holds no folder {method}: put its weights there")
        return folder

    def portable(self, text: str) -> str:
        """Return a text with variables for folders: what is published names no folder of a machine."""
        roots: dict[str, Path | None] = {"MEDCSP_HOME": self.home, "MEDCSP_WEIGHTS": self.weights_root}
        roots |= {SOURCES[name].variable: root for name, root in self.sources.roots.items()}
        known = {str(root): variable for variable, root in roots.items() if root is not None}
        for root in sorted(known, key=len, reverse=True):  # a root below the home is named by its own variable
            text = text.replace(root, known[root])
        return text

    def refusal(self, error: OSError) -> str:
        """Return what the system refused, such as room on a disk, and where; below a source only its root is named."""
        path = Path(str(error.filename or self.home))
        roots = [root for root in self.sources.roots.values() if path.is_relative_to(root)]
        where = roots[0] if roots else path if path.is_relative_to(self.home) else self.home
        return f"{error.strerror or type(error).__name__} ({where}): see to its room and rights, and run it again"

    @property
    def image_store(self) -> ImageStore:
        """The store of decoded pixels of the profile's size, beside the table that names them."""
        return ImageStore.of_size(self.home / "lake" / "features" / "cxr_images" / "pixels", self.profile.images.size)

    @property
    def is_synthetic(self) -> bool:
        """True where any source is written by the graph itself."""
        return bool(self.sources.synthetic)


def workspace_from_environment(environment: Mapping[str, str] = os.environ) -> Workspace:
    """Return the workspace that MEDCSP_HOME, MEDCSP_PROFILE and one variable per source describe.

    An unset profile is the one that the home was made with, see `pipelines.home`. Synthetic sources exist only in
    demos: all of them, or an X-ray companion for the real MIMIC-IV tree that MEDCSP_MIMIC_IV names.

    Raises:
        ValueError: a variable names a folder that does not exist, or a profile or choice that is not known; the home
            has a name that databases misread; or the profile is a demo and the home was made from real sources.
    """
    home = Path(environment.get("MEDCSP_HOME") or REPOSITORY / ".medcsp").expanduser().resolve()
    if found := _READ_AS_ADDRESS.search(str(home)):
        raise ValueError(f"MEDCSP_HOME is {home}: DuckDB and SQLite cannot have {found[0]} in a path, take another")
    name, profile = profile_of(home, environment)
    check_declared(profile)
    roots = {name: _root(source.variable, environment) for name, source in SOURCES.items()}
    real = {name: root for name, root in roots.items() if root is not None}
    return Workspace(
        home=home,
        profile=profile,
        sources=_with_synthetic(real, home=home, profile=profile),
        weights_root=_root("MEDCSP_WEIGHTS", environment),
        launcher=Launcher(
            device=profile.training.run.device, num_processes=_processes(environment.get("MEDCSP_PROCESSES") or "1")
        ),
        checksums=_checksums(environment.get("MEDCSP_CHECKSUMS") or "changed"),
        profile_name=name,
    )


def check_declared(profile: Profile) -> None:
    """Refuse a profile whose sources no release gives.

    Raises:
        ValueError: it names a source, or a modality, that is not known, or one source twice. Films without reports are
            for evaluation alone.
    """
    check_sources(profile.sources, modalities=MODALITIES)
    known = {ADMISSIONS.name, *(films.source for films in FILMS.values() if films.texts)}
    if unknown := sorted({source.name for source in profile.sources} - known):
        raise ValueError(
            f"the profile {profile.name} declares the source {unknown[0]}, which no release gives; "
            f"known: {', '.join(sorted(known))}"
        )


def _checksums(name: str) -> Mode:
    mode = next((mode for mode in MODES if mode == name), None)
    if mode is None:
        raise ValueError(f"MEDCSP_CHECKSUMS is {name!r}: set it to one of {', '.join(MODES)}")
    return mode


def _processes(number: str) -> int:
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"MEDCSP_PROCESSES is {number!r}: set it to how many GPUs of this machine train together")
    return int(number)


def _root(variable: str, environment: Mapping[str, str]) -> Path | None:
    value = environment.get(variable)
    if not value:
        return None
    root = Path(value).expanduser().resolve()
    if not root.is_dir():
        raise ValueError(f"{variable} names {root}, which is not a folder: set it to the folder of the release")
    return root


def _with_synthetic(real: dict[str, Path], *, home: Path, profile: Profile) -> Sources:
    if profile.synthetic is None:
        return Sources(roots=real)
    # Beside a real EHR tree there is an X-ray companion alone: invented notes would pass for its patients' own.
    written = set(COMPANION if "mimic_iv" in real else profile.synthetic.sources) - real.keys()
    if "mimic_cxr" in real:
        written -= set(COMPANION)
    raw = home / "raw"
    made = {name: raw / SOURCES[name].folder for name in SOURCES if name in written}
    return Sources(roots={**made, **real}, synthetic=frozenset(made))
