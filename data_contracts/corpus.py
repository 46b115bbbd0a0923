"""What lies in a training corpus: one row per source and modality. The arrays themselves are in the corpus folder."""

from typing import ClassVar

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class CorpusContents(Contract):
    """One modality of one source of a corpus."""

    layer = "corpus"
    key: ClassVar[tuple[str, ...]] = ("source", "modality")

    source = fields.source()
    modality = fields.text("Modality, or history, links or records.", nullable=False)
    kind = fields.text("codes, dense, image, series, text; index for what ties records together.", nullable=False)
    size = dy.Int64(min=0, description="Width of the modality: vocabulary, features, pixels.")
    num_records = dy.Int64(min=0, description="Records of the source.")
    num_present = dy.Int64(min=0, description="Records that have the modality.")
    content_sha256 = fields.sha256("Digest of the contents, independent of where images lie.")


class PretrainCorpus(CorpusContents):
    """One modality of one source of the corpus that the model is trained on."""

    table = "pretrain_corpus"


class PretrainCorpusShared(CorpusContents):
    """One modality of the same corpus with hourly features of the shared space; empty where no cohort needs it."""

    table = "pretrain_corpus_shared"


class RetrievalMimicCxrCorpus(CorpusContents):
    """One modality of the X-rays that the retrieval evaluation searches; no subject of it is in pre-training."""

    table = "retrieval_mimic_cxr_corpus"
