"""Numbers and where they came from."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract

METHODS = [
    "medcsp", "medcsp_llm", "medcsp_released",
    "f_lstm", "f_cnn", "raim", "dcmn", "medhmp",
    "bert_lstm", "bert_cnn", "bert_encoder", "bert_star", "lstm_bert", "cnn_bert", "encoder_bert", "star_bert",
    "clip", "pubmedclip", "biomedclip", "medclip", "cxr_clip", "llava_med",
    "chance", "all_positive", "logistic_regression", "gradient_boosting",
    "a", "a_p", "a_d", "a_p_d", "single_source",
]  # fmt: skip


class _Metrics(Contract):
    """One number."""

    layer = "evaluation"
    key = ("task", "dataset", "cohort", "method", "mode", "metric", "k", "split", "seed")

    task = fields.text("Evaluation task.", nullable=False)
    dataset = fields.text("Data set.", nullable=False)
    cohort = fields.text("Cohort of the data set.", nullable=False)
    method = dy.Enum(METHODS, description="What was evaluated.")
    mode = fields.text("native, or paper where the released harness is followed.", nullable=False)
    metric = fields.text("precision_at_k, recall_at_k, auroc, ...", nullable=False)
    k = dy.Int32(min=0, description="Cut-off; 0 where the metric has none.")
    split = fields.text("Subjects it was measured on.", nullable=False)
    seed = dy.Int32(description="Seed of the training.")
    value = dy.Float64(description="The number, a share.")
    ci_low = dy.Float64(nullable=True, description="Lower end of the 95 % interval, subjects resampled.")
    ci_high = dy.Float64(nullable=True, description="Upper end.")
    n = dy.Int64(min=0, description="Queries or subjects behind it.")
    num_positive = dy.Int64(nullable=True, min=0, description="Positives among them.")
    paper_value = dy.Float64(nullable=True, description="What the paper prints.")
    fingerprint = fields.text("Fingerprint of the checkpoint.", nullable=False)
    synthetic = dy.Bool(description="True where any input is synthetic.")


class RetrievalMimicCxr(_Metrics):
    """One number of the text-to-image retrieval on MIMIC-CXR (Table 2)."""

    table = "retrieval_mimic_cxr"


class Metrics(_Metrics):
    """One number of any evaluation."""

    table = "metrics"


class Lineage(Contract):
    """One input of one published version: follow it from a metric to a raw file."""

    table = "lineage"
    layer = "report"
    key = ("table_name", "input")

    table_name = fields.text("Published table.", nullable=False)
    version = fields.text("Its version.", nullable=False)
    input = fields.text("Table, or raw:<source>/<file>.", nullable=False)
    input_version = fields.text("Version of the table, or digest of the raw file.", nullable=False)
    is_raw = dy.Bool(description="True for raw files.")
    code_version = fields.text("Code that made the table.", nullable=False)
    fingerprint = fields.text("Code, inputs and settings.", nullable=False)


class Report(Contract):
    """One section of the report page."""

    table = "report"
    layer = "report"
    key = ("section",)

    section = fields.text("Section.", nullable=False)
    num_rows = dy.Int64(min=0, description="Rows of data shown in it.")
    content_sha256 = fields.sha256("Digest of the data it shows.")
