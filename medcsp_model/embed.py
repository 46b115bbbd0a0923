"""Embed: `python -m medcsp_model.embed --settings run.json` writes record and modality embeddings of a corpus.

run.json: {"corpus", "checkpoint", "output"} and optionally "batch_size" (64), "sources" and "splits" (null: all),
"raw_towers" (true: texts and images without the shared head, as the released evaluation embeds), "num_threads" (0:
torch's own choice). In `output`:

    embeddings.json                     fingerprints, sizes and the files of each source
    <source>__record_index.npy          int64 (n,), position of each row in the corpus
    <source>.npy                        float32 (n, d), mean of a record's modality embeddings, length 1
    <source>__<modality>.npy            float32 (n, d), length 1
    <source>__<modality>__present.npy   bool (n,)

Embeddings pass the shared head, where the model has one, as in training, and have length 1, so that inner products are
cosine similarities; what a record does not have is a row of zeros.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from medcsp_model.checkpoint import file_sha256, write_json
from medcsp_model.collate import Collate
from medcsp_model.command import read_run, start
from medcsp_model.corpus import Corpus
from medcsp_model.distributed import choose_device
from medcsp_model.losses import record_means
from medcsp_model.model import MedCSP, RecordModel, load_model

log = logging.getLogger(__name__)
KEYS = ("corpus", "checkpoint", "output")
OPTIONAL = ("batch_size", "sources", "splits", "raw_towers", "num_threads")


class RecordEmbedder:
    """A model of records beside a corpus it embeds.

    Attributes:
        model: in evaluation mode.
        corpus: an open corpus.
        collate: makes the model's inputs of it.
        checkpoint: folder of the run that left the model.
    """

    model: RecordModel
    corpus: Corpus
    collate: Collate
    checkpoint: Path

    @torch.inference_mode()
    def modality(
        self, source: str, modality: str, records: NDArray[np.int64], *, batch_size: int
    ) -> NDArray[np.float32]:
        """Embeddings of one modality for records that all have it, float32 (n, d), length 1.

        Raises:
            ValueError: some of the records lack it.
        """
        parts = [np.empty((0, self.model.embed_dim), dtype=np.float32)]
        for first in range(0, len(records), batch_size):
            inputs = self.collate.inputs(self.corpus.sources[source], modality, records[first : first + batch_size])
            parts.append(F.normalize(self.model.encode(source, modality, inputs), dim=-1).cpu().numpy())
        embedded = np.concatenate(parts)
        if lacking := len(records) - len(embedded):
            raise ValueError(f"{source}: {lacking} of {len(records)} records have no {modality}; leave them out")
        return embedded

    @torch.inference_mode()
    def records(
        self, source: str, records: NDArray[np.int64], *, batch_size: int
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]], dict[str, NDArray[np.bool_]]]:
        """Embeddings of records.

        Args:
            source: name of the source.
            records: record indices (n,), any number of them in any order.
            batch_size: records embedded at a time.

        Returns:
            (mean, by_modality, present): means of a record's modalities, float32 (n, d), length 1; by name of the
            modality, its embeddings, float32 (n, d), length 1, and which records have it, bool (n,). What a record does
            not have is a row of zeros.
        """
        modalities = self.corpus.sources[source].modalities
        present = {name: modalities[name].present[records] for name in self.modalities(source)}
        width, dtype = self.model.embed_dim, np.float32
        means, each = [np.empty((0, width), dtype)], [np.empty((0, len(present), width), dtype)]
        for first in range(0, len(records), batch_size):
            batch = self.collate.source(source, records[first : first + batch_size])
            embedded = self.model.embed(source, batch)
            means.append(F.normalize(record_means(embedded)[0], dim=-1).cpu().numpy())
            each.append(F.normalize(embedded.e_NMD, dim=-1).cpu().numpy())
        e_NMD = np.concatenate(each)
        by_name = {name: e_NMD[:, number] * held[:, None] for number, (name, held) in enumerate(present.items())}
        return np.concatenate(means), by_name, present

    def modalities(self, source: str) -> list[str]:
        """Modalities of a source that the model can embed."""
        entries = self.corpus.meta["sources"][source]["modalities"]
        return self.model.modalities(source, {name: entry["kind"] for name, entry in entries.items()})


class Embedder(RecordEmbedder):
    """A trained model beside a corpus it shall embed.

    Args:
        checkpoint: folder of a finished run.
        corpus: an open corpus; modalities that the model has no encoder for are left out.
        raw_towers: leave the shared head off texts and images.
        num_threads: CPU threads; 0 takes torch's own choice.

    Raises:
        ValueError: the checkpoint is not finished, or a modality of the corpus has another size than in training.
    """

    def __init__(
        self, checkpoint: str | Path, corpus: Corpus, *, raw_towers: bool = False, num_threads: int = 0
    ) -> None:
        if num_threads:
            torch.set_num_threads(num_threads)
        device = choose_device("auto")
        self.corpus, self.checkpoint = corpus, Path(checkpoint)
        model = load_model(checkpoint, device=device)
        model.raw_towers = raw_towers
        check_sizes(model, corpus)
        text = model.description.settings.model.text
        length = model.description.towers["bert"]["max_position_embeddings"]
        absent = model.description.settings.model.absent
        self.model: MedCSP = model
        self.collate = Collate(
            corpus, device=device, pad_to=text.pad_to, context_length=length, encode_absent=absent == "encoded"
        )


def check_sizes(model: MedCSP, corpus: Corpus) -> None:
    """Refuse a corpus (ValueError) with a modality of another size than the model was trained on."""
    bert = model.description.towers["bert"]
    rows, pad_id = bert["vocab_size"], bert.get("pad_token_id", 0)
    for source, values in corpus.meta["sources"].items():
        for name, entry in values["modalities"].items():
            trained = model.description.shapes.get(source, {}).get(name)
            if entry["kind"] == "text" and entry["size"] > rows:
                raise ValueError(f"{corpus.folder}: {source} {name} has {entry['size']} tokens, the model {rows}")
            if entry["kind"] == "text" and entry["pad_id"] != pad_id:
                raise ValueError(
                    f"{corpus.folder}: {source} {name} pads with {entry['pad_id']}, the model with {pad_id}"
                )
            if trained is not None and any(entry[key] != trained[key] for key in trained):
                found = {key: entry[key] for key in trained}
                raise ValueError(f"{corpus.folder}: {source} {name} is {found}, but the model was trained on {trained}")


def embed_corpus(
    embedder: RecordEmbedder,
    output: Path,
    *,
    batch_size: int,
    sources: Sequence[str] | None,
    splits: Sequence[str] | None,
) -> dict[str, Any]:
    """Embed records of a corpus into a folder (layout above); returns what embeddings.json says.

    Raises:
        ValueError: an unknown source or split.
    """
    corpus = embedder.corpus
    chosen = list(corpus.sources) if sources is None else list(sources)
    unknown = sorted(set(chosen) - set(corpus.sources))
    if unknown:
        raise ValueError(f"{corpus.folder}: no source {unknown}; the corpus has {list(corpus.sources)}")
    output.mkdir(parents=True, exist_ok=True)
    entries: dict[str, Any] = {}
    for source in chosen:
        records = corpus.records(source, splits=splits)
        modalities = embedder.modalities(source)
        if left_out := [name for name in corpus.sources[source].modalities if name not in modalities]:
            log.info("%s: left out, the model was not trained on them: %s", source, ", ".join(left_out))
        if not len(records) or not modalities:
            log.info("%s: nothing to embed", source)
            continue
        means, each, present = embedder.records(source, records, batch_size=batch_size)
        np.save(output / f"{source}__record_index.npy", records)
        np.save(output / f"{source}.npy", means)
        for name in modalities:
            np.save(output / f"{source}__{name}.npy", each[name])
            np.save(output / f"{source}__{name}__present.npy", present[name])
        counts = {name: int(present[name].sum()) for name in modalities}
        entries[source] = {"num_records": len(records), "embed_dim": means.shape[1], "num_present": counts}
        log.info("%s: embedded %d records", source, len(records))
    result = {
        "corpus_fingerprint": corpus.fingerprint,
        "checkpoint_sha256": file_sha256(embedder.checkpoint / "model.safetensors"),
        "raw_towers": embedder.model.raw_towers,
        "splits": None if splits is None else list(splits),
        "sources": entries,
    }
    write_json(output / "embeddings.json", result)
    return result


def check_run(run: Mapping[str, Any]) -> None:
    """Refuse (ValueError) a run description whose values are of another kind."""
    if not isinstance(run.get("raw_towers", False), bool):
        raise ValueError(f"raw_towers: expected true or false, got {run['raw_towers']!r}")
    for key, least in (("batch_size", 1), ("num_threads", 0)):
        value = run.get(key, least)
        if type(value) is not int or value < least:
            raise ValueError(f"{key}: expected a whole number of {least} or more, got {value!r}")
    for key in ("sources", "splits"):
        value = run.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            raise ValueError(f"{key}: expected null or a list of names, got {value!r}")


def embed_as_told(embedder: RecordEmbedder, run: Mapping[str, Any]) -> None:
    """Embed what a run description says."""
    embed_corpus(
        embedder,
        Path(run["output"]),
        batch_size=int(run.get("batch_size", 64)),
        sources=run.get("sources"),
        splits=run.get("splits"),
    )


def main() -> int:
    """Run the command; the exit status is 0, or 2 for an error the user can repair."""
    run = read_run(__doc__, KEYS, optional=OPTIONAL)
    check_run(run)
    embedder = Embedder(
        run["checkpoint"],
        Corpus.open(run["corpus"]),
        raw_towers=bool(run.get("raw_towers", False)),
        num_threads=int(run.get("num_threads", 0)),
    )
    embed_as_told(embedder, run)
    return 0


if __name__ == "__main__":
    sys.exit(start(main))
