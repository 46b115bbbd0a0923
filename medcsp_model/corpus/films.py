"""What is known of the films of an evaluation set, beside its corpus: `films.json`, and perhaps `masks.npy`.

    films.json    {"films": {column: one value per film}, "texts": {column: one value per text}}
        films     record_id; view, sex, age_group, origin (text or null), label (true, false or null), path (below the
                  root of the release), text (row of `texts`, -1: none), mask (row of masks.npy, -1: none)
        texts     whole (the report as training reads it), summary (its findings and impression, else the whole)
    masks.npy     uint8 (m, size, ceil(size / 8)): lung masks of the size of the stored pixels, eight to a byte

The order is that of the file, the corpus's own being found by record_id.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medcsp_model.corpus.reader import CorpusError

FILMS, MASKS = "films.json", "masks.npy"
GROUPS = ("view", "sex", "age_group", "origin")
COLUMNS = ("record_id", *GROUPS, "label", "path", "text", "mask")
TEXTS = ("whole", "summary")
_INDICES = ("text", "mask")


@dataclass(frozen=True)
class Films:
    """Films of an evaluation set, one entry per record asked for.

    Attributes:
        view, sex, age_group, origin: None where it is not known.
        label: None where there is none.
        path: file below the root of the release.
        text: row of the texts, -1 where the film has none, int64 (n,).
        whole, summary: texts.
        mask: row of the masks, -1 where the film has none, int64 (n,).
        masks: packed lung masks.
    """

    view: list[str | None]
    sex: list[str | None]
    age_group: list[str | None]
    origin: list[str | None]
    label: list[bool | None]
    path: list[str]
    text: NDArray[np.int64]
    mask: NDArray[np.int64]
    whole: list[str]
    summary: list[str]
    masks: NDArray[np.uint8]

    @classmethod
    def open(cls, folder: str | Path, record_id: NDArray[np.bytes_]) -> Self:
        """Read what is known of some records, in their order.

        Raises:
            CorpusError: no such file, or it lacks a record.
        """
        path = Path(folder) / FILMS
        if not path.is_file():
            raise CorpusError(f"{path}: missing; publish the evaluation set again")
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorpusError(f"{path}: not readable as JSON ({error}); publish the evaluation set again") from error
        place = {name: number for number, name in enumerate(read["films"]["record_id"])}
        wanted = [name.decode() for name in record_id.tolist()]
        if missing := sum(name not in place for name in wanted):
            raise CorpusError(f"{path}: lacks {missing} of {len(wanted)} records; publish the evaluation set again")
        chosen = [place[name] for name in wanted]
        values: dict[str, Any] = {name: [read["films"][name][at] for at in chosen] for name in COLUMNS[1:]}
        values |= {name: np.array(values[name], dtype=np.int64) for name in _INDICES}
        masks = Path(folder) / MASKS
        packed = np.load(masks, mmap_mode="r", allow_pickle=False) if masks.is_file() else np.zeros((0, 0, 0), np.uint8)
        return cls(**values, **{name: read["texts"][name] for name in TEXTS}, masks=packed)

    def group(self, name: str) -> NDArray[np.str_]:
        """Value of every film in a grouping of `GROUPS`, empty where it is not known."""
        return np.array([value or "" for value in getattr(self, name)], dtype=np.str_)

    def lungs(self, rows: Sequence[int] | NDArray[np.int64], *, size: int) -> NDArray[np.bool_]:
        """Lung masks of some films that have one, bool (k, size, size)."""
        packed = self.masks[self.mask[np.asarray(rows, dtype=np.int64)]]
        return np.unpackbits(packed, axis=2, count=size).astype(bool)


def write_films(
    folder: str | Path,
    *,
    films: Mapping[str, Sequence[Any]],
    texts: Mapping[str, Sequence[str]],
    masks: NDArray[np.bool_] | None = None,
) -> None:
    """Write what is known of the films of an evaluation set.

    Args:
        folder: of the corpus.
        films: the columns above, all of one length.
        texts: the columns above, all of one length.
        masks: lung masks, bool (m, size, size); none where the release has none.

    Raises:
        ValueError: a column is missing, or of another length.
    """
    for given, wanted in ((films, COLUMNS), (texts, TEXTS)):
        lengths = {len(values) for values in given.values()}
        if set(given) != set(wanted) or len(lengths) > 1:
            raise ValueError(f"films: columns {sorted(given)} of lengths {sorted(lengths)}; wanted {sorted(wanted)}")
    plain = {
        "films": {name: list(films[name]) for name in COLUMNS},
        "texts": {name: list(texts[name]) for name in TEXTS},
    }
    (Path(folder) / FILMS).write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    if masks is not None and len(masks):
        np.save(Path(folder) / MASKS, np.packbits(masks, axis=2))
