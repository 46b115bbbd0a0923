"""One prediction task as tensors: who is an example, its label and part, and what may be read to predict it.

A task folder is a training corpus (`medcsp_model.corpus`) with a table of labels beside it:

    corpus.json, ehr/...   the examples as records of the source `ehr`. Modalities are named and coded as in the
                           pre-training corpus (same vocabularies): series, demographics, diagnosis, drug, note. Only
                           what was known by the index time is in it. The last stay of a record is the example's own.
    labels.npz             one row per label, arrays of equal length, no pickle:
                           record_id S, task S, cohort S, horizon S, label bool, split S (train, validation, test),
                           fold int32, and any number of group_<name> S (subgroups, such as group_sex)

What is a modality of the folder is an input of its tasks: tasks of another index time need a folder of their own. Not
here: what a model makes of the tensors, and who is an example of what (the pipelines).
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medcsp_model.collate import Collate, SourceBatch
from medcsp_model.corpus import Codes, Corpus, Dense, Series, Source, Text, ragged

SOURCE = "ehr"
SPLITS = ("train", "validation", "test")
INPUTS = {"series": Series, "demographics": Dense, "diagnosis": Codes, "drug": Codes, "note": Text}
RECORD = "record"
"""What a method reads that embeds whole records, as pre-training does."""
KEPT_BYTES = 1 << 30
"""Dense series of all records of a corpus are kept between batches if they take no more memory than this."""
COLUMNS = {"record_id": "S", "task": "S", "cohort": "S", "horizon": "S", "label": "b", "split": "S", "fold": "i"}

Ints = NDArray[np.int64]


class TaskError(ValueError):
    """A task that cannot be learned or evaluated as it stands, or a folder that holds none."""


@dataclass(frozen=True, kw_only=True)
class InputSizes:
    """Widths of the inputs; 0 for what is none.

    Attributes:
        bins, series: hours and features of a stay.
        stays: most stays of a record.
        demographics, diagnosis, drug: widths of their vectors.
        vocabulary, pad_id, context: token ids, that of padding, and the longest text.
    """

    bins: int = 48
    series: int = 0
    stays: int = 1
    demographics: int = 0
    diagnosis: int = 0
    drug: int = 0
    vocabulary: int = 0
    pad_id: int = 0
    context: int = 0


@dataclass(frozen=True)
class TaskBatch:
    """Inputs of B examples; what a method does not read, or is no input, has width 0.

    Attributes:
        series_BTF: hourly features of the example's own stay, zeros where nothing was measured.
        stays_STF: the same of every stay, in any order.
        stay_record_S, stay_slot_S: which example each is of, and how many stays before the own (0) it was.
        demographics_BE, diagnosis_BC, drug_BG: vectors.
        note_BL: token ids, padded.
        record: the whole record, for methods that embed it.
    """

    series_BTF: Tensor
    stays_STF: Tensor
    stay_record_S: Tensor
    stay_slot_S: Tensor
    demographics_BE: Tensor
    diagnosis_BC: Tensor
    drug_BG: Tensor
    note_BL: Tensor
    record: SourceBatch | None = None

    def __len__(self) -> int:
        return len(self.series_BTF)


class RecordInputs:
    """Makes batches of the records of a corpus, with or without labels.

    Args:
        corpus: an open corpus with a source `ehr`.
        without: modalities to leave out, as if they were none.
        device: where tensors go.
        pad_to: texts are padded to a multiple of so many tokens.

    Raises:
        TaskError: there is no such source, or a modality has another kind than its name says.
    """

    def __init__(
        self, corpus: Corpus, *, without: Collection[str] = (), device: str | torch.device = "cpu", pad_to: int = 32
    ) -> None:
        if SOURCE not in corpus.sources:
            raise TaskError(f"{corpus.folder}: no source {SOURCE!r}; it has {list(corpus.sources)}")
        self.corpus, self.source, self.device = corpus, corpus.sources[SOURCE], torch.device(device)
        self.inputs = tuple(name for name in INPUTS if name in self.source.modalities and name not in without)
        for name in self.inputs:
            if not isinstance(self.source.modalities[name], INPUTS[name]):
                raise TaskError(f"{corpus.folder}: {name} is no {INPUTS[name].__name__.lower()}")
        self.sizes = _sizes(self.source, self.inputs, pad_to)
        shape = (self.source.num_records, self.sizes.bins, self.sizes.series)
        self._kept = torch.zeros(shape, device=self.device) if 0 < 4 * np.prod(shape) <= KEPT_BYTES else None
        self._is_kept = np.zeros(self.source.num_records, dtype=bool)
        context = max(self.sizes.context, 1)
        self._collate = Collate(
            corpus, device=self.device, pad_to=pad_to, context_length=context, encode_distinct=False, encode_absent=True
        )

    def batch(self, records: Ints, reads: Collection[str]) -> TaskBatch:
        """Inputs of some records.

        Args:
            records: record indices of the corpus.
            reads: names of `INPUTS`, `stays` or `record`; what is no input of the task has width 0.
        """
        count, sizes = len(records), self.sizes
        empty = torch.zeros(count, 0, device=self.device)
        none = torch.zeros(0, dtype=torch.int64, device=self.device)
        vectors = {
            name: self._x(name, records) if name in reads and name in self.inputs else empty
            for name in ("demographics", "diagnosis", "drug", "note")
        }
        has_series = "series" in self.inputs
        series_BTF = torch.zeros(count, sizes.bins, 0, device=self.device)
        stays = (torch.zeros(0, sizes.bins, sizes.series, device=self.device), none, none)
        return TaskBatch(
            series_BTF=self._own_stay(records) if "series" in reads and has_series else series_BTF,
            **dict(
                zip(
                    ("stays_STF", "stay_record_S", "stay_slot_S"),
                    self._stays(records) if "stays" in reads and has_series else stays,
                    strict=True,
                )
            ),
            demographics_BE=vectors["demographics"],
            diagnosis_BC=vectors["diagnosis"],
            drug_BG=vectors["drug"],
            note_BL=vectors["note"].long(),
            record=self._record(records) if RECORD in reads else None,
        )

    def _x(self, name: str, records: Ints) -> Tensor:
        found = self._collate.inputs(self.source, name, records)
        if len(found.rows) == len(records):
            return found.x
        width = 1 if name == "note" else getattr(self.sizes, name)
        fill = self.sizes.pad_id if name == "note" else 0
        return torch.full((len(records), width), float(fill), device=self.device)  # nobody in the corpus has any

    def _own_stay(self, records: Ints) -> Tensor:
        """Series of the own stays, from what is kept of earlier batches where there is room to keep it."""
        if self._kept is None:
            return self._densify(records)
        new = np.unique(records[~self._is_kept[records]])
        if len(new):
            self._kept[torch.from_numpy(new).to(self.device)] = self._densify(new)
            self._is_kept[new] = True
        return self._kept[torch.from_numpy(records).to(self.device)]

    def _densify(self, records: Ints) -> Tensor:
        series = self.source.modalities["series"]
        assert isinstance(series, Series)
        ends = series.stay_indptr[records + 1]
        held = np.flatnonzero(ends > series.stay_indptr[records])
        lengths, cells = ragged(series.cell_indptr, ends[held] - 1)
        place = np.repeat(held, lengths) * series.num_bins + series.bin[cells]
        flat = torch.from_numpy(place * series.size + series.feature[cells]).to(self.device)
        dense = torch.zeros(len(records) * series.num_bins * series.size, device=self.device)
        dense[flat] = torch.from_numpy(series.value[cells]).to(self.device)
        return dense.view(len(records), series.num_bins, series.size)

    def _stays(self, records: Ints) -> tuple[Tensor, Tensor, Tensor]:
        found = self._collate.inputs(self.source, "series", records)
        if not len(found.rows):
            empty = torch.zeros(0, dtype=torch.int64, device=self.device)
            return torch.zeros(0, self.sizes.bins, self.sizes.series, device=self.device), empty, empty
        none_N = torch.zeros(len(records), dtype=torch.int64, device=self.device)
        counts = none_N.index_add(0, found.index, torch.ones_like(found.index))
        order = torch.argsort(found.index, stable=True)
        place = torch.arange(len(order), device=self.device) - (counts.cumsum(0) - counts)[found.index[order]]
        return found.x[order], found.index[order], counts[found.index[order]] - 1 - place

    def _record(self, records: Ints) -> SourceBatch:
        """The record as pre-training sees it: what is absent is absent."""
        whole = Collate(
            self.corpus,
            device=self.device,
            pad_to=self._collate.pad_to,
            context_length=self._collate.context_length,
            encode_distinct=False,
        )
        known = whole.identities(SOURCE, records)
        return SourceBatch(
            records=records,
            subject_N=known.subject_N,
            study_N=known.study_N,
            text_N=known.text_N,
            history_NH=known.history_NH,
            inputs={name: whole.inputs(self.source, name, records) for name in self.inputs},
        )


def _sizes(source: Source, inputs: Sequence[str], pad_to: int) -> InputSizes:
    sizes: dict[str, int] = {}
    for name in inputs:
        values = source.modalities[name]
        if isinstance(values, Series):
            sizes |= {"series": values.size, "bins": values.num_bins, "stays": values.max_stays}
        elif isinstance(values, Text):
            longest = int(np.diff(values.offsets).max(initial=1))
            context = -(-longest // pad_to) * pad_to
            sizes |= {"vocabulary": values.size, "pad_id": values.pad_id, "context": context}
        elif isinstance(values, Codes | Dense):
            sizes[name] = values.size
    return InputSizes(**sizes)


@dataclass(frozen=True)
class Part:
    """Which examples train, choose and test, int64 positions in the task."""

    name: str
    train: Ints
    validation: Ints
    test: Ints


@dataclass(frozen=True)
class TaskData:
    """The N examples of one task, horizon and cohort.

    Attributes:
        name: task, horizon and cohort.
        inputs: makes their tensors.
        record_N: their record indices.
        label_N, subject_N, split_N, fold_N: label, patient, part of the one split, fold.
        groups: name of the subgroup of each example by name of the division.
        opened: what `open` was given, for processes that open it again.
        kept: what methods keep of all examples between trials, such as a table of numbers.
    """

    name: dict[str, str]
    inputs: RecordInputs
    record_N: Ints
    label_N: NDArray[np.bool_]
    subject_N: Ints
    split_N: NDArray[np.str_]
    fold_N: Ints
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)
    opened: dict[str, Any] = field(default_factory=dict)
    kept: dict[Any, NDArray] = field(default_factory=dict, repr=False)

    @property
    def fingerprint(self) -> str:
        """Content hash of the examples, their labels and parts, and their inputs, 64 hex digits."""
        digest = hashlib.sha256(f"{self.inputs.corpus.fingerprint} {self.inputs.inputs}".encode())
        for values in (self.record_N, self.label_N, self.split_N.astype("S16"), self.fold_N):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @property
    def sizes(self) -> InputSizes:
        """Widths of the inputs."""
        return self.inputs.sizes

    def batch(self, rows: Ints, reads: Collection[str]) -> TaskBatch:
        """Inputs of some examples."""
        return self.inputs.batch(self.record_N[rows], reads)

    def labels(self, rows: Ints) -> Tensor:
        """Labels of some examples, float32."""
        return torch.from_numpy(self.label_N[rows].astype(np.float32)).to(self.inputs.device)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        task: str,
        horizon: str,
        cohort: str,
        tested_on: str = "",
        without: Collection[str] = (),
        device: str | torch.device = "cpu",
    ) -> Self:
        """Open one task of a folder.

        Args:
            folder: task folder, as above.
            task: as in its labels.
            horizon: as in its labels.
            cohort: as in its labels.
            tested_on: cohort whose test part takes the place of the cohort's own; empty: its own.
            without: inputs to leave out, such as diagnoses that were coded after discharge.
            device: where tensors go.

        Raises:
            TaskError: no such task, an example that is no record, a patient in two parts, or a table of another form.
        """
        folder = Path(folder)
        columns = _read_labels(folder / "labels.npz")
        is_test = columns["split"] == SPLITS[-1]
        of_task = (columns["task"] == task) & (columns["horizon"] == horizon)
        tests = tested_on or cohort
        chosen = of_task & np.where(is_test, columns["cohort"] == tests, columns["cohort"] == cohort)
        if not chosen.any():
            of_others = ", ".join(sorted(set(columns["cohort"][of_task].tolist()))) or "none"
            raise TaskError(f"no example of {task}/{horizon}/{cohort}; cohorts that have any: {of_others}")
        name = {"task": task, "horizon": horizon, "cohort": f"{cohort}, tested on {tests}" if tested_on else cohort}
        inputs = RecordInputs(Corpus.open(folder), without=without, device=device)
        record_N = _find(inputs.source, columns["record_id"][chosen], folder)
        subject_N = inputs.source.subject_id[record_N]
        data = cls(
            name=name,
            inputs=inputs,
            record_N=record_N,
            label_N=columns["label"][chosen],
            subject_N=subject_N,
            split_N=columns["split"][chosen],
            fold_N=columns["fold"][chosen].astype(np.int64),
            groups={key[6:]: values[chosen] for key, values in columns.items() if key.startswith("group_")},
            opened={
                "folder": folder,
                **name,
                "cohort": cohort,
                "tested_on": tested_on,
                "without": tuple(without),
                "device": device,
            },
        )
        for values in (data.split_N, data.fold_N):
            pairs = len(np.unique(np.stack([subject_N.astype(str), values.astype(str)]), axis=1).T)
            if pairs != len(np.unique(subject_N)):
                raise TaskError(f"{folder / 'labels.npz'}: a patient stands in two parts; publish the split again")
        return data

    def part(self, name: str = "split") -> Part:
        """The one split (`split`), or a fold of the cross-validation that tests (`fold-0`); the next one validates.

        Raises:
            TaskError: there is no such fold, or a part holds one class alone.
        """
        if name == "split":
            chosen = [np.flatnonzero(self.split_N == split) for split in SPLITS]
        else:
            folds = np.unique(self.fold_N)
            fold = int(name.removeprefix("fold-"))
            if len(folds) < 3 or fold not in folds:
                raise TaskError(
                    f"{self._title()}: part {name!r} of folds {folds.tolist()}: at least 3 must hold patients;"
                    f" the cohort has {len(np.unique(self.subject_N))}; ask for fewer folds or a larger cohort"
                )
            after = folds[(int(np.flatnonzero(folds == fold)[0]) + 1) % len(folds)]
            test, validation = self.fold_N == fold, self.fold_N == after
            chosen = [np.flatnonzero(held) for held in (~test & ~validation, validation, test)]
        for split, rows in zip(SPLITS, chosen, strict=True):
            positives = int(self.label_N[rows].sum())
            if positives in (0, len(rows)):
                raise TaskError(
                    f"{self._title()}: {split} of part {name!r} has {positives} positives of {len(rows)} examples;"
                    " a task needs both classes in each part: take a larger cohort, horizon, or another seed"
                )
        return Part(name, *chosen)

    def fewer(self, part: Part, *, positives: int, draw: int) -> Part:
        """A part that trains on so many positives, drawn, and on as large a share of the negatives.

        Raises:
            TaskError: there are not so many.
        """
        label = self.label_N[part.train]
        if positives > label.sum():
            raise TaskError(f"{self._title()}: {positives} positives asked for, {label.sum()} train")
        order = np.random.default_rng((positives, draw)).permutation(len(label))
        share = max(1, round(positives / label.sum() * (~label).sum()))
        held = np.concatenate([order[label[order]][:positives], order[~label[order]][:share]])
        return Part(f"{part.name}-{positives}-{draw}", part.train[np.sort(held)], part.validation, part.test)

    def _title(self) -> str:
        return "/".join(self.name.values())


def _read_labels(path: Path) -> dict[str, NDArray]:
    if not path.is_file():
        raise TaskError(f"{path}: missing; publish the task folder again")
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    for name, kind in COLUMNS.items():
        if name not in columns or columns[name].dtype.kind != kind:
            found = columns[name].dtype if name in columns else "missing"
            raise TaskError(f"{path}: column {name} is {found}, expected kind {kind!r}; publish the task folder again")
    if len({len(values) for values in columns.values()}) != 1:
        raise TaskError(f"{path}: columns differ in length; publish the task folder again")
    text = {name: np.char.decode(values, "ascii") for name, values in columns.items() if values.dtype.kind == "S"}
    unknown = sorted(set(text["split"].tolist()) - set(SPLITS))
    if unknown:
        raise TaskError(f"{path}: split {unknown[0]!r} is none of {', '.join(SPLITS)}")
    return columns | text


def _find(source: Source, record_id: NDArray[np.str_], folder: Path) -> Ints:
    wanted = np.char.encode(record_id, "ascii").astype(source.record_id.dtype)
    place = np.minimum(np.searchsorted(source.record_id, wanted), source.num_records - 1)
    absent = source.record_id[place] != wanted
    if absent.any():
        raise TaskError(
            f"{folder / 'labels.npz'}: {int(absent.sum())} of {len(wanted)} examples are no record of the corpus;"
            " publish the task folder again"
        )
    return place.astype(np.int64)
