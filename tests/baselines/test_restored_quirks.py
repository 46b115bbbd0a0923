"""What the originals do wrong and we repair: each repair can be undone, and undone it does what they did."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import BertConfig, BertModel

from medcsp_model.baselines.ehr.gated import Gate, Gated
from medcsp_model.baselines.ehr.hours import EncoderHours, waves
from medcsp_model.baselines.ehr.medhmp import MedHmp
from medcsp_model.baselines.ehr.medhmp_pretraining import leave_one_out_contrast
from medcsp_model.baselines.ehr.raim import Raim
from medcsp_model.baselines.ehr.star import StarTransformer, left_neighbours
from medcsp_model.baselines.ehr.text import TextEncoder, TextSettings
from medcsp_model.evaluation.task_data import InputSizes, TaskBatch, TaskData


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("norms_over_batch", [False, True])
def test_gate_norms_are_the_patients_own_unless_restored(norms_over_batch: bool) -> None:
    gate = Gate(4, [3, 2], dropout=0.1, norms_over_batch=norms_over_batch, random_strength=False).eval()
    main, others = torch.randn(5, 4) * 0.1, [torch.randn(5, 3), torch.randn(5, 2) * 9]
    alone = gate(main[:1], [other[:1] for other in others])
    assert torch.allclose(alone, gate(main, others)[:1], atol=1e-5) is not norms_over_batch
    assert gate.strength.tolist() == [1.0]


def test_the_gate_by_hand() -> None:
    gate = Gate(2, [1], dropout=0.0, norms_over_batch=False, random_strength=False).double()
    main, other = torch.tensor([[0.3, 0.4]]).double(), torch.tensor([[2.0]]).double()
    weigh = 1 / (1 + torch.exp(-(torch.cat([main, other], 1) @ gate.weighs[0].weight.T + gate.weighs[0].bias)))
    adjustment = weigh * other @ gate.adjust.weight.T + gate.adjust.bias
    alpha = min(0.5 / adjustment.norm().item(), 1.0)
    expected = functional.layer_norm(main + alpha * adjustment, (2,))
    torch.testing.assert_close(gate(main, [other]), expected)


def test_gate_strength_is_random_when_restored() -> None:
    gates = [Gate(2, [1], dropout=0.0, norms_over_batch=False, random_strength=True) for _ in range(8)]
    strengths = torch.cat([gate.strength for gate in gates])
    assert strengths.min() < 0 < strengths.max()


def test_ring_neighbours() -> None:
    hours = torch.arange(4.0).view(1, 4, 1)
    assert left_neighbours(hours, shift_in_place=False).flatten().tolist() == [3, 0, 1, 2]
    assert left_neighbours(hours, shift_in_place=True).flatten().tolist() == [0, 0, 0, 0]


def test_a_star_turns_with_its_ring_unless_restored() -> None:
    for shift_in_place in (False, True):
        star = StarTransformer(8, num_heads=2, num_cycles=2, dropout=0.0, shift_in_place=shift_in_place)
        hours = torch.randn(2, 5, 8)
        same = torch.allclose(star(hours), star(hours.roll(2, dims=1)), atol=1e-5)
        assert same is not shift_in_place


@pytest.mark.parametrize("positions", [True, False])
def test_the_transformer_knows_the_hour_unless_restored(positions: bool) -> None:
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "dropout": 0.0, "width": 4}
    encoder = EncoderHours(3, 6, positions=positions, **sizes).eval()
    hours = torch.randn(2, 6, 3)
    later = torch.cat([hours[:, :1], hours[:, 1:].flip(1)], dim=1)
    assert torch.allclose(encoder(hours), encoder(later), atol=1e-5) is not positions


def test_waves_by_hand() -> None:
    expected = [[np.sin(p), np.cos(p), np.sin(p / 100), np.cos(p / 100)] for p in range(3)]
    np.testing.assert_allclose(waves(3, 4).numpy(), expected, atol=1e-6)


def test_swapped_validation_loss() -> None:
    logit, label = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
    right, wrong = (MedHmp(swapped_validation_loss=swap).validation_loss(logit, label) for swap in (False, True))
    risk = logit.double().sigmoid()
    assert float(right) == pytest.approx(float(-(risk[0].log() + (1 - risk[1]).log()) / 2), abs=1e-6)
    assert float(wrong) == pytest.approx(float(100 * ((1 - risk[0]) + risk[1]) / 2), rel=1e-5)


def test_attention_of_raim_never_looks_ahead() -> None:
    sizes = InputSizes(bins=5, series=4, demographics=2)
    network = Raim(width=8).build(sizes).eval()
    states = []
    network.cell.register_forward_hook(lambda _module, _given, state: states.append(state.detach()))
    batch = _batch(torch.randn(3, 5, 4), torch.randn(3, 2))
    changed = batch.series_BTF.clone()
    changed[:, 3:] += 1.0
    with torch.no_grad():
        network(batch)
        network(replace(batch, series_BTF=changed))
    for hour in range(5):
        assert torch.equal(states[hour], states[5 + hour]) is (hour < 3)


def _batch(series: torch.Tensor, table: torch.Tensor) -> TaskBatch:
    none, empty = torch.zeros(0, dtype=torch.int64), torch.zeros(len(series), 0)
    return TaskBatch(series, series[:0], none, none, table, empty, empty, empty.long())


def test_contrast_leaves_the_part_itself_out() -> None:
    parts = [torch.randn(4, 3).double() for _ in range(3)]
    losses = []
    for place, part in enumerate(parts):
        rest = (parts[(place + 1) % 3] + parts[(place + 2) % 3]) / 2
        cosine = functional.normalize(part, dim=1) @ functional.normalize(rest, dim=1).T / 0.2
        losses.append((cosine.logsumexp(1) - cosine.diagonal()).mean())
    found = leave_one_out_contrast(parts, temperature=0.2)
    assert float(found) == pytest.approx(float(torch.stack(losses).mean()))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_a_text_encoder_from_a_folder(bert: Path, tasks: dict[str, TaskData]) -> None:
    data = tasks["readmission"]
    encoder = TextEncoder(data.sizes, TextSettings(folder=str(bert), frozen=True), pooling="mean").train()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.encoder.training
    tokens = data.batch(np.arange(3), ("note",)).note_BL
    held = (tokens != 0)[..., None]
    hidden = BertModel.from_pretrained(bert).eval()(input_ids=tokens, attention_mask=held[..., 0].long())[0]
    torch.testing.assert_close(encoder(tokens), (hidden * held).sum(1) / held.sum(1))


def test_a_text_encoder_that_does_not_fit(bert: Path, tmp_path: Path) -> None:
    sizes = InputSizes(vocabulary=31, context=32)
    with pytest.raises(ValueError, match=r"30 rows of token embeddings.*below 31"):
        TextEncoder(sizes, TextSettings(folder=str(bert)), pooling="mean")
    with pytest.raises(ValueError, match=r"32 positions, the longest note of the task has up to 64 tokens"):
        TextEncoder(InputSizes(vocabulary=30, context=64), TextSettings(folder=str(bert)), pooling="mean")
    (bert / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"incomplete text encoder, no model.safetensors"):
        TextEncoder(sizes, TextSettings(folder=str(bert)), pooling="mean")
    with pytest.raises(ValueError, match="incomplete"):
        Gated(name="BertCnn", series="cnn", main="text", text=TextSettings(folder=str(tmp_path))).to_json()
