"""Which release lies below a root, told from its structure: files, columns, and where these are equal, from its data.

The name goes into the manifest of every table, such as "3.1", or "3.0 or 3.1" where nothing tells two releases of one
structure apart. Then the name of the root's folder (`mimic-iv-3.1`, `mimiciv/3.1`) and the release's change log are
asked, and believed only about candidates that structure and data admit. A tree whose structure is that of no known
release is refused.
"""

from pathlib import Path

from pipelines.sources.raw_table import Source
from pipelines.sources.refusals import SourceError
from pipelines.sources.releases import named_release


def detect_release(source: Source, root: Path) -> str:
    """Return the release that lies below a root; several names joined by "or" where they cannot be told apart.

    Args:
        source: its `releases` are the known ones; none declared gives an empty text.
        root: the folder that the source's variable names.

    Raises:
        SourceError: the structure is that of no known release (what the nearest one needs is listed), or a header
            cannot be read.
    """
    if not source.releases:
        return ""
    if not root.is_dir():
        raise SourceError(f"{source.variable}={root} is not a folder: set it to the folder of the release")
    lacks = {release.name: release.lacks(root) for release in source.releases}
    fitting = [release for release in source.releases if not lacks[release.name]]
    if not fitting:
        nearest = min(source.releases, key=lambda release: len(lacks[release.name]))
        raise SourceError(
            f"{source.variable}={root} is no known release of {source.name} ({', '.join(lacks)}); "
            f"{nearest.name} is nearest, and lacks {'; '.join(lacks[nearest.name])}; {source.where}"
        )
    shown = [release for release in fitting if release.look is None or release.look(root)]
    if not shown:
        signs = "; ".join(f"{release.name}: {release.sign}" for release in fitting)
        raise SourceError(
            f"{source.variable}={root} is no known release of {source.name}: "
            f"its files are those of one, but none of these holds: {signs}; {source.where}"
        )
    names = [release.name for release in shown]
    return (named_release(root, names) or " or ".join(names)) if names[1:] else names[0]
