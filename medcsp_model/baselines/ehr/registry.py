"""Every method of the EHR evaluation by name, at published and at demo sizes, and the comparisons declared beforehand.

Which of them a task can have, its inputs say (`Method.check`).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from medcsp_model.baselines.ehr.dcmn import Dcmn
from medcsp_model.baselines.ehr.f_cnn import FCnn
from medcsp_model.baselines.ehr.f_lstm import FLstm
from medcsp_model.baselines.ehr.gated import Gated
from medcsp_model.baselines.ehr.medcsp import LinearProbe, MedCspHead
from medcsp_model.baselines.ehr.medhmp import MedHmp
from medcsp_model.baselines.ehr.medhmp_pretraining import Stage
from medcsp_model.baselines.ehr.raim import Raim
from medcsp_model.baselines.ehr.tables import BoostedTrees, LinearTable
from medcsp_model.baselines.ehr.text import TextSettings
from medcsp_model.evaluation.prediction import Method

NAMES = {
    "medcsp": "MedCSP",
    "medcsp_linear_probe": "MedCSP linear probe",
    "medcsp_scratch": "MedCSP from scratch",
    "f_lstm": "F-LSTM",
    "f_cnn": "F-CNN",
    "raim": "RAIM",
    "dcmn": "DCMN",
    "medhmp": "MedHMP",
    "bert_lstm": "BertLstm",
    "bert_cnn": "BertCnn",
    "bert_encoder": "BertEncoder",
    "bert_star": "BertStar",
    "lstm_bert": "LstmBert",
    "cnn_bert": "CnnBert",
    "encoder_bert": "EncoderBert",
    "star_bert": "StarBert",
    "logistic_regression": "Logistic regression",
    "gradient_boosting": "Boosted trees",
}
"""What figures call a method, by its name in `metrics`."""
SCRATCH = NAMES["medcsp_scratch"]
OURS = ("medcsp", "medcsp_linear_probe", "medcsp_scratch")
SIMPLE = ("logistic_regression", "gradient_boosting")
CRITICALITY = (*OURS, "f_lstm", "f_cnn", "raim", "dcmn", "medhmp", *SIMPLE)
"""The paper's Figure 5, with the simple references."""
READMISSION = (
    *OURS,
    *("bert_lstm", "bert_cnn", "bert_encoder", "bert_star"),
    *("lstm_bert", "cnn_bert", "encoder_bert", "star_bert"),
    "medhmp",
    *SIMPLE,
)
"""The paper's Figure 6, with the simple references."""
COMPARISONS = (("medcsp", "medhmp"), ("medcsp", "medcsp_scratch"), ("medcsp", "gradient_boosting"))
"""The differences that are tested, declared beforehand; all others are intervals alone."""


def methods_of(inputs: Collection[str]) -> tuple[str, ...]:
    """Methods of a task that has these inputs: Figure 6's where drugs or notes may be read, else Figure 5's."""
    return READMISSION if {"drug", "note"} & set(inputs) else CRITICALITY


def methods(
    *, checkpoint: str, corpus: str = "", text: TextSettings | None = None, towers_folder: str = ""
) -> dict[str, Method]:
    """Every method at its published sizes, by its name in `metrics`.

    Args:
        checkpoint: folder of our trained model.
        corpus: pre-training corpus, for MedHMP's own stages; empty takes the training records of the task.
        text: text encoder of the baselines.
        towers_folder: weights that the text tower of ours starts from when it is trained from scratch.
    """
    text = text or TextSettings()
    gated = {
        f"Bert{kind.title()}" if main == "text" else f"{kind.title()}Bert": Gated(
            name=f"Bert{kind.title()}" if main == "text" else f"{kind.title()}Bert", series=kind, main=main, text=text
        )
        for main in ("text", "series")
        for kind in ("lstm", "cnn", "encoder", "star")
    }
    scratch = MedCspHead(name=SCRATCH, checkpoint=checkpoint, start="scratch", towers_folder=towers_folder)
    every: list[Method] = [
        MedCspHead(checkpoint=checkpoint),
        scratch,
        LinearProbe(checkpoint=checkpoint),
        FLstm(),
        FCnn(),
        Raim(),
        Dcmn(),
        MedHmp(corpus=corpus, text=replace(text, frozen=True)),
        *gated.values(),
        LinearTable(),
        BoostedTrees(),
    ]
    by_title = {method.name: method for method in every}
    return {name: by_title[title] for name, title in NAMES.items()}


def demo_methods(*, checkpoint: str, corpus: str = "", width: int = 32) -> dict[str, Method]:
    """Every method at sizes that a core trains in seconds, by its name in `metrics`."""
    # As many positions as published: the notes of a corpus that MedHMP pre-trains on may be longer than the task's.
    text = TextSettings(width=width, num_layers=1, num_heads=2, mlp_width=2 * width, dropout=0.0)
    small = {"hidden_dim": width, "width": width, "static_dim": width // 2, "code_dim": width // 2}
    sizes: dict[type[Method], dict[str, Any]] = {
        FLstm: {"hidden_dim": width, "head_dim": width},
        FCnn: {"num_filters": width, "head_dim": width},
        Raim: {"width": width},
        Dcmn: {"width": width},
        MedHmp: {
            "width": width,
            "stays": Stage(epochs=5, batch_size=64, learning_rate=2e-3),
            "admissions": Stage(epochs=5, batch_size=64, learning_rate=2e-3),
        },
        Gated: {**small, "num_filters": width, "num_layers": 1, "num_heads": 2, "num_cycles": 2},
        MedCspHead: {"head_dim": width, "dropout": 0.2},
        BoostedTrees: {"min_leaf": 5, "learning_rates": (0.1,), "leaves": (7,), "max_trees": 100},
        LinearTable: {"strengths": (1e-3, 1e-2, 1e-1)},
    }
    every = methods(checkpoint=checkpoint, corpus=corpus, text=text)
    return {name: replace(method, **sizes.get(type(method), {})) for name, method in every.items()}
