"""MedHMP: pre-training of stays, then of admissions. This is the method; see `medhmp_network`, `medhmp_pretraining`.

Source: Wang et al. (EMNLP 2023). A task of series and demographics is predicted from the example's own stay; one with
diagnoses, drugs or a note from the admission: its stays, codes and text. Deviations: a stay that does not exist is
zeros; masking 15 % of the codes removes exactly those (theirs also sets the mask slot wrongly); the encoded parts of
an admission are put side by side below the last layer, which the paper leaves open; AdamW and the common grid instead
of SGD for the fine-tuning. Their validation loss has its arguments swapped, so that training stops on a wrong number:
`swapped_validation_loss` restores that (it shows where validation goes by the loss).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from medcsp_model.baselines.ehr.medhmp_network import MedHmpNetwork
from medcsp_model.baselines.ehr.medhmp_pretraining import Guessing, Reconstruction, Stage, StageRows, run_stage
from medcsp_model.baselines.ehr.text import TextSettings, check_text, text_identity
from medcsp_model.corpus import Corpus
from medcsp_model.evaluation.prediction import Network
from medcsp_model.evaluation.task_data import INPUTS, InputSizes, Ints, Part, RecordInputs, TaskData
from medcsp_model.settings.sweep import SweepSettings


@dataclass(frozen=True, kw_only=True)
class MedHmp(Network):
    """MedHMP.

    Attributes:
        width: of every embedding.
        num_heads: of the attention between series and demographics.
        dropout: inside the stay encoder and before the last layer.
        text: the text encoder, frozen as published (Clinical-T5).
        is_pretrained: run both stages first.
        corpus: pre-training corpus of the two stages; empty takes the training records of the task.
        corpus_split: its split.
        stays, admissions: both stages. The published batch of admissions is 4096.
        mask_share: share of the codes that stage two hides.
        contrast_weight: of the contrastive loss of stage two.
        temperature: of the same.
        swapped_validation_loss: judge an epoch by the loss as released.
    """

    name: str = "MedHMP"
    reads: ClassVar[tuple[str, ...]] = ("series", "stays", "demographics", "diagnosis", "drug", "note")
    width: int = 256
    num_heads: int = 4
    dropout: float = 0.1
    text: TextSettings = field(default_factory=lambda: TextSettings(frozen=True))
    is_pretrained: bool = True
    corpus: str = ""
    corpus_split: str = "pretrain"
    stays: Stage = field(default_factory=lambda: Stage(epochs=200, batch_size=128, learning_rate=5e-4))
    admissions: Stage = field(default_factory=lambda: Stage(epochs=300, batch_size=4096, learning_rate=2e-5))
    mask_share: float = 0.15
    contrast_weight: float = 0.1
    temperature: float = 0.1
    swapped_validation_loss: bool = False

    def to_json(self) -> dict[str, Any]:
        """Settings, with the contents of corpus and text encoder in place of their paths."""
        corpus = Corpus.open(self.corpus).fingerprint if self.corpus else ""
        return super().to_json() | {"corpus": corpus, "text": text_identity(self.text)}

    def check(self, inputs: RecordInputs) -> None:
        """Refuse a task without what it needs, and a text encoder that does not fit it."""
        super().check(inputs)
        check_text(inputs.sizes, self.text)

    def build(self, sizes: InputSizes) -> MedHmpNetwork:
        """The network at random weights."""
        return MedHmpNetwork(sizes, width=self.width, num_heads=self.num_heads, dropout=self.dropout, text=self.text)

    def pretrain(self, data: TaskData, part: Part, *, settings: SweepSettings) -> dict[str, Tensor]:
        """Both stages; weights of everything but the last layer and a text encoder that comes from a folder."""
        if not self.is_pretrained:
            return {}
        inputs, records = self._records(data, part)
        torch.manual_seed(settings.seeds[0])
        network = self.build(data.sizes).to(inputs.device)
        rows = StageRows(inputs=inputs, records=records, reads=self.reads)
        run_stage(Reconstruction(network, data.sizes), rows, stage=self.stays, seed=settings.seeds[0])
        if network.is_of_admission:
            guessing = Guessing(
                network,
                data.sizes,
                mask_share=self.mask_share,
                contrast_weight=self.contrast_weight,
                temperature=self.temperature,
            )
            run_stage(guessing, rows, stage=self.admissions, seed=settings.seeds[0])
        left = ("head.", "text.encoder.") if self.text.folder else ("head.",)
        return {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(left)}

    def _records(self, data: TaskData, part: Part) -> tuple[RecordInputs, Ints]:
        """What the stages read: records of the corpus, or the training records of the task.

        Raises:
            ValueError: the corpus has other features than the task.
        """
        if not self.corpus:
            return data.inputs, data.record_N[part.train]
        corpus = Corpus.open(self.corpus)
        without = [name for name in INPUTS if name not in data.inputs.inputs]
        inputs = RecordInputs(corpus, without=without, device=data.inputs.device)
        for name in ("series", "bins", "stays", "demographics", "diagnosis", "drug", "vocabulary"):
            found, wanted = getattr(inputs.sizes, name), getattr(data.sizes, name)
            if found != wanted:
                raise ValueError(
                    f"{corpus.folder}: {name} is {found}, the task's {wanted}: publish both with the same vocabularies"
                )
        return inputs, corpus.records("ehr", splits=[self.corpus_split])

    def pretrained_on(self, data: TaskData, part: Part) -> str:
        """The corpus and what of it the task has, or the training records."""
        if not self.corpus:
            return super().pretrained_on(data, part)
        return f"{Corpus.open(self.corpus).fingerprint} {data.sizes} {data.inputs.inputs}"

    def validation_loss(self, logit_N: Tensor, label_N: Tensor) -> Tensor:
        """Cross-entropy, or with risk and outcome swapped."""
        if self.swapped_validation_loss:
            return F.binary_cross_entropy(label_N, logit_N.sigmoid())
        return super().validation_loss(logit_N, label_N)
