"""Every method of the EHR evaluation by name, at published and at demo sizes, and the comparisons declared beforehand.

Which of them a task can have says its inputs (`Network.check`).
"""

from dataclasses import replace
from typing import Any

from medcsp_model.baselines.ehr.dcmn import Dcmn
from medcsp_model.baselines.ehr.f_cnn import FCnn
from medcsp_model.baselines.ehr.f_lstm import FLstm
from medcsp_model.baselines.ehr.gated import Gated
from medcsp_model.baselines.ehr.medcsp import LinearProbe, MedCspHead
from medcsp_model.baselines.ehr.medhmp import MedHmp, Stage
from medcsp_model.baselines.ehr.raim import Raim
from medcsp_model.baselines.ehr.tables import BoostedTrees, LinearTable
from medcsp_model.baselines.ehr.text import TextSettings
from medcsp_model.evaluation.prediction import Method

OURS = "MedCSP"
SCRATCH = "MedCSP from scratch"
CRITICALITY = ("F-LSTM", "F-CNN", "RAIM", "DCMN", "MedHMP")
"""The paper's Figure 5."""
READMISSION = (
    "BertLstm",
    "BertCnn",
    "BertEncoder",
    "BertStar",
    "LstmBert",
    "CnnBert",
    "EncoderBert",
    "StarBert",
    "MedHMP",
)
"""The paper's Figure 6."""
SIMPLE = ("Logistic regression", "Boosted trees")
COMPARISONS = ((OURS, "MedHMP"), (OURS, SCRATCH), (OURS, "Boosted trees"))
"""The differences that are tested, declared beforehand; all others are intervals alone."""


def methods(
    *, checkpoint: str, corpus: str = "", text: TextSettings | None = None, towers_folder: str = ""
) -> dict[str, Method]:
    """Every method at its published sizes, by name.

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
    return {method.name: method for method in every}


def demo_methods(*, checkpoint: str, corpus: str = "", width: int = 32) -> dict[str, Method]:
    """Every method at sizes that a core trains in seconds."""
    text = TextSettings(width=width, num_layers=1, num_heads=2, mlp_width=2 * width, dropout=0.0, positions=0)
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
        BoostedTrees: {"min_leaf": 5},
    }
    every = methods(checkpoint=checkpoint, corpus=corpus, text=text)
    return {name: replace(method, **sizes.get(type(method), {})) for name, method in every.items()}
