"""Turns record indices into tensors: gathers from the corpus on the host, densifies on the device.

What does not live here: which records (`medcsp_model.batches`), what encoders make of them (`medcsp_model.model`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medcsp_model.corpus import KINDS, Codes, Corpus, Dense, Image, Modality, Series, Source, Text, ragged
from medcsp_model.linked import link_rows, linked_in_batch, linked_pairs

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """One modality of the records of a batch that have it, or of all of them.

    Attributes:
        kind: codes, dense, text, image or series.
        rows: int64 (k,), positions in the batch.
        x: codes and dense float32 (k, size); images uint8 (k, size, size); distinct texts int64 (u, tokens);
            series float32 (stays, bins, size).
        index: which text each row has, int64 (k,); which row each stay belongs to, int64 (stays,); else empty.
    """

    kind: str
    rows: Tensor
    x: Tensor
    index: Tensor


@dataclass(frozen=True)
class Identities:
    """Who the records of a batch are, without their inputs: what the losses ask beside embeddings.

    Attributes:
        present_NM: bool, which modalities a record has.
        subject_N, study_N, text_N: int64; text -1 for none.
        history_NH: multi-hot diagnosis history.
    """

    present_NM: Tensor
    subject_N: Tensor
    study_N: Tensor
    text_N: Tensor
    history_NH: Tensor


@dataclass(frozen=True)
class SourceBatch:
    """Records of one source: indices into the corpus, identities, histories and inputs by modality."""

    records: Ints
    subject_N: Tensor
    study_N: Tensor
    text_N: Tensor
    history_NH: Tensor
    inputs: dict[str, Inputs]


@dataclass(frozen=True)
class Batch:
    """Sources by name, and bool masks of linked records by pair of sources."""

    sources: dict[str, SourceBatch]
    linked: dict[tuple[str, str], Tensor]


class Collate:
    """Makes batches of a corpus.

    Args:
        corpus: an open corpus.
        device: where tensors go.
        pad_to: texts are padded to a multiple of so many tokens, at most `context_length`.
        context_length: longest text the text tower takes.
        encode_distinct: give a text that several records share once.
        encode_absent: give every record every modality that any record of the corpus has: what it lacks is zeros, a
            black image, or a text without words.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        device: torch.device,
        pad_to: int,
        context_length: int,
        encode_distinct: bool = True,
        encode_absent: bool = False,
    ) -> None:
        self.corpus, self.device, self.encode_absent = corpus, device, encode_absent
        self.pad_to, self.context_length, self.encode_distinct = pad_to, context_length, encode_distinct
        self._links = {
            pair: link_rows(corpus.sources[pair[0]].num_records, links.s.astype(np.int64), links.t.astype(np.int64))
            for pair, links in corpus.links.items()
        }

    def __call__(self, records: Mapping[str, Ints]) -> Batch:
        """The batch of some records of each source."""
        sources = {name: self.source(name, rows) for name, rows in records.items()}
        linked = {
            pair: self._to_device(linked_in_batch(records, pair, links))
            for pair, links in self._links.items()
            if set(pair) <= set(records)
        }
        return Batch(sources, linked)

    def source(self, name: str, records: Ints) -> SourceBatch:
        """The batch of some records of one source."""
        source, known = self.corpus.sources[name], self.identities(name, records)
        return SourceBatch(
            records=records,
            subject_N=known.subject_N,
            study_N=known.study_N,
            text_N=known.text_N,
            history_NH=known.history_NH,
            inputs={key: self.inputs(source, key, records) for key in source.modalities},
        )

    def identities(self, name: str, records: Ints) -> Identities:
        """Who some records of one source are."""
        source = self.corpus.sources[name]
        texts = [modality for modality in source.modalities.values() if isinstance(modality, Text)]
        present = [self._counts(modality, records) for modality in source.modalities.values()]
        return Identities(
            present_NM=self._to_device(np.stack(present, axis=1)),
            subject_N=self._to_device(source.subject_id[records]),
            study_N=self._to_device(source.study_id[records]),
            text_N=self._to_device(texts[0].row[records] if texts else np.full(len(records), -1)),
            history_NH=self._multi_hot(source.history, records),
        )

    def linked_pairs(self, records: Mapping[str, Ints]) -> dict[tuple[str, str], Tensor]:
        """Places of linked records in a batch by pair of sources, int64 (2, k)."""
        return {
            pair: self._to_device(linked_pairs(records, pair, links))
            for pair, links in self._links.items()
            if set(pair) <= set(records)
        }

    def longest(self, name: str, records: Ints) -> Ints:
        """Records whose texts, all different ones, and stays are the longest, in descending order: the worst batch."""
        length = np.zeros(len(records), dtype=np.int64)
        for values in self.corpus.sources[name].modalities.values():
            if isinstance(values, Text):
                first = np.zeros(len(records), dtype=bool)
                first[np.unique(values.row[records], return_index=True)[1]] = True
                found = np.flatnonzero(first & values.present[records])
                length[found] += np.diff(values.offsets)[values.row[records[found]]]
            elif isinstance(values, Series):
                length += np.diff(values.stay_indptr)[records]
        return records[np.argsort(-length, kind="stable")]

    def inputs(self, source: Source, modality: str, records: Ints) -> Inputs:
        """Inputs of one modality for those of the records that have it, or for all of them."""
        values = source.modalities[modality]
        rows = np.flatnonzero(self._counts(values, records))
        x, index = self._gather(values, records[rows])
        kind = next(kind for kind, form in KINDS.items() if isinstance(values, form))
        return Inputs(kind, self._to_device(rows), x, self._to_device(index))

    def _counts(self, values: Modality, records: Ints) -> NDArray[np.bool_]:
        """Which records' modality is encoded."""
        present = values.present
        if self.encode_absent and present.any():
            return np.ones(len(records), dtype=bool)
        return present[records]

    def _gather(self, values: Modality, records: Ints) -> tuple[Tensor, Ints]:
        index = np.empty(0, dtype=np.int64)
        if isinstance(values, Codes):
            x = self._multi_hot(values, records)
        elif isinstance(values, Dense):
            x = self._to_device(values.values[records] * values.present[records, None])
        elif isinstance(values, Image):
            x = self._to_device(_pixels(values, records))
        elif isinstance(values, Text):
            texts, index = values.row[records], np.arange(len(records))
            if self.encode_distinct:
                texts, index = np.unique(texts, return_inverse=True)
            x = self._to_device(self._pad(values, texts))
        else:
            x, index = self._series(values, records)
        return x, index

    def _to_device(self, array: NDArray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def _multi_hot(self, codes: Codes, records: Ints) -> Tensor:
        lengths, places = ragged(codes.indptr, records)
        rows = self._to_device(np.repeat(np.arange(len(records)), lengths))
        dense = torch.zeros(len(records), codes.size, device=self.device)
        dense[rows, self._to_device(codes.indices[places].astype(np.int64))] = 1.0
        return dense

    def _pad(self, text: Text, texts: Ints) -> Ints:
        absent = texts < 0
        lengths, places = ragged(text.offsets, np.where(absent, 0, texts))
        longest = int(lengths.max(initial=1))
        width = min(-(-longest // self.pad_to) * self.pad_to, self.context_length)
        if longest > width:
            raise ValueError(f"a text has {longest} tokens, the text tower takes {width}; publish the corpus shorter")
        padded = np.full((len(texts), width), text.pad_id, dtype=np.int64)
        padded[np.arange(width) < lengths[:, None]] = text.tokens[places]
        if absent.any():
            nothing = text.nothing[:width]
            padded[absent] = text.pad_id
            padded[absent, : len(nothing)] = nothing
        return padded

    def _series(self, series: Series, records: Ints) -> tuple[Tensor, Ints]:
        num_stays, stays = ragged(series.stay_indptr, records)
        lengths, cells = ragged(series.cell_indptr, stays)
        without = np.flatnonzero(num_stays == 0)
        dense = torch.zeros(len(stays) + len(without), series.num_bins, series.size, device=self.device)
        stay = self._to_device(np.repeat(np.arange(len(stays)), lengths))
        bins = self._to_device(series.bin[cells].astype(np.int64))
        features = self._to_device(series.feature[cells].astype(np.int64))
        dense[stay, bins, features] = self._to_device(series.value[cells])
        return dense, np.concatenate([np.repeat(np.arange(len(records)), num_stays), without])


def _pixels(image: Image, records: Ints) -> NDArray[np.uint8]:
    present = image.present[records]
    if present.all():
        return image.pixels(records)
    pixels = np.zeros((len(records), image.size, image.size), dtype=np.uint8)
    pixels[present] = image.pixels(records[present])
    return pixels
