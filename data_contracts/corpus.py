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


class RetrievalOpenICorpus(CorpusContents):
    """One modality of Open-I's X-rays that the retrieval evaluation searches; empty where they pre-train."""

    table = "retrieval_open_i_corpus"


class ZeroShotCovid19Corpus(CorpusContents):
    """One modality of the COVID-19 Radiography films that are classified without training, and their lung masks."""

    table = "zero_shot_covid19_corpus"


class ZeroShotChexpertCorpus(CorpusContents):
    """One modality of CheXpert's validation films that are classified without training."""

    table = "zero_shot_chexpert_corpus"
