"""A toy of the method: what the centroid, the target of L_D and the plan of batches change, with linear encoders.

A patient is a signature and a mixture of a few conditions. Two sources show both through random linear maps and noise,
two modalities each; conditions also draw the codes of a history. Linear encoders are trained by the project's losses
and plans and searched on patients never trained on. Directions, not figures: nothing here is an image or a text.

Prints one JSON object; each value is the mean over seeds and half of their range.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from medcsp_model.batches import PlanInputs, make_plan
from medcsp_model.linked import link_rows, linked_pairs
from medcsp_model.losses import Embedded, compute_losses, record_means
from medcsp_model.settings import BatchSettings, LossSettings

SOURCES, MODALITIES = ("first", "second"), 2
SIGNATURE, CONDITIONS, CODES, SEEN, WIDTH = 16, 10, 200, 48, 32
TEST_PATIENTS, BATCH, TOP = 400, 128, 10


@dataclass(frozen=True)
class Toy:
    """Records of a source are its patients in order; the last ones are never trained on."""

    seen: dict[str, Tensor]
    mixture: np.ndarray
    history: Tensor
    inputs: PlanInputs
    num_train: int


def make_toy(num_patients: int, *, linked_share: float, seed: int, noise: float = 1.0) -> Toy:
    rng = np.random.default_rng(seed)
    total = num_patients + TEST_PATIENTS
    mixture = rng.dirichlet(np.full(CONDITIONS, 0.2), size=total)
    latent = np.concatenate([rng.normal(size=(total, SIGNATURE)), 5 * mixture], axis=1)
    seen = {}
    for name in SOURCES:
        maps = rng.normal(size=(MODALITIES, latent.shape[1], SEEN)) / np.sqrt(latent.shape[1])
        shown = np.einsum("nl,mls->nms", latent, maps) + noise * rng.normal(size=(total, MODALITIES, SEEN))
        seen[name] = torch.tensor(shown, dtype=torch.float32)
    codes = rng.dirichlet(np.full(CODES, 0.05), size=CONDITIONS)
    history = (rng.random((total, CODES)) < np.clip(12 * mixture @ codes, 0, 1)).astype(np.float32)
    rows = np.arange(num_patients)
    linked = np.flatnonzero(rng.random(num_patients) < linked_share)
    records, subject = dict.fromkeys(SOURCES, rows), dict.fromkeys(SOURCES, np.arange(total))
    inputs = PlanInputs(records, subject, {SOURCES: (linked, linked)})
    return Toy(seen, mixture, torch.tensor(history), inputs, num_patients)


def embed(toy: Toy, encoders: Mapping[str, Tensor], name: str, rows: np.ndarray) -> Embedded:
    shown = torch.einsum("nms,msd->nmd", toy.seen[name][rows], encoders[name])
    who = torch.tensor(rows)
    present = torch.ones(shown.shape[:2], dtype=torch.bool)
    return Embedded(shown, present, who, who, torch.full_like(who, -1), toy.history[rows])


def train(toy: Toy, loss: LossSettings, *, plan: str, steps: int, seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    encoders = {name: (torch.randn(MODALITIES, SEEN, WIDTH) / SEEN**0.5).requires_grad_() for name in SOURCES}
    optimiser = torch.optim.Adam(encoders.values(), lr=3e-3)
    batches = make_plan(toy.inputs, settings=BatchSettings(plan=plan, size=BATCH), seed=seed)
    rows_of = link_rows(len(toy.mixture), *toy.inputs.links[SOURCES])
    for step in range(steps):
        records = batches.batch(step)
        linked = torch.tensor(linked_pairs(records, SOURCES, rows_of))
        batch = {name: embed(toy, encoders, name, rows) for name, rows in records.items()}
        optimiser.zero_grad()
        compute_losses(batch, {SOURCES: linked}, settings=loss).total.backward()
        optimiser.step()
    return encoders


@torch.no_grad()
def measure(toy: Toy, encoders: Mapping[str, Tensor]) -> dict[str, float]:
    """Recall at 10 between modalities and between sources, and how embeddings agree with true conditions."""
    rows = np.arange(toy.num_train, toy.num_train + TEST_PATIENTS)
    both = {name: embed(toy, encoders, name, rows) for name in SOURCES}
    means = [normalize(record_means(batch)[0], dim=-1) for batch in both.values()]
    one, other = (normalize(both["second"].e_NMD[:, m], dim=-1) for m in range(2))
    true = normalize(torch.tensor(toy.mixture[rows]), dim=-1)
    apart = ~torch.eye(TEST_PATIENTS, dtype=torch.bool)
    agreement = np.corrcoef((means[0] @ means[1].T)[apart].numpy(), (true @ true.T)[apart].numpy())[0, 1]
    return {
        "modality_recall": recall(one @ other.T),
        "patient_recall": recall(means[0] @ means[1].T),
        "condition_agreement": float(agreement),
    }


def recall(similarity: Tensor) -> float:
    own = similarity.diagonal()[:, None]
    return float(((similarity > own).sum(1) < TOP).float().mean())


def effective_targets(toy: Toy, tau_d: float) -> dict[str, float]:
    """Perplexity of the targets of L_D over one batch of other patients; and the sum of unnormalised ones."""
    h = normalize(toy.history[:BATCH], dim=-1)
    apart = ~torch.eye(BATCH, dtype=torch.bool)
    alpha = (h @ h.T)[apart].view(BATCH, BATCH - 1)
    targets = {"row": alpha / alpha.sum(1, keepdim=True).clamp(min=1e-9), "softmax": (alpha / tau_d).softmax(1)}
    entropy = {name: -(q * q.clamp(min=1e-12).log()).sum(1) for name, q in targets.items()}
    found = {f"targets_{name}": float(values.exp().mean()) for name, values in entropy.items()}
    return found | {"sum_unnormalised": float(alpha.sum(1).mean())}


def over_seeds(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {
        key: [round(float(np.mean(values)), 3), round((max(values) - min(values)) / 2, 3)]
        for key in rows[0]
        for values in [[row[key] for row in rows]]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sharp, alone = LossSettings(), {"lambda_p": 0.0, "lambda_d": 0.0}
    studies: dict[str, tuple[int, float, str, LossSettings]] = {
        "centroid full": (1500, 1.0, "linked", LossSettings(centroid="full", **alone)),
        "centroid leave_one_out": (1500, 1.0, "linked", LossSettings(**alone)),
        "without L_D": (1500, 1.0, "linked", LossSettings(lambda_d=0.0)),
        "d_target row": (1500, 1.0, "linked", LossSettings(d_target="row")),
        "d_target softmax": (1500, 1.0, "linked", sharp),
        "d_target softmax, lambda_d 1": (1500, 1.0, "linked", LossSettings(lambda_d=1.0)),
        "14,000 patients, without L_P": (14000, 0.5, "linked", LossSettings(lambda_p=0.0, lambda_d=0.0)),
        "14,000 patients, random draws": (14000, 0.5, "random", LossSettings(lambda_d=0.0)),
        "14,000 patients, linked batches": (14000, 0.5, "linked", LossSettings(lambda_d=0.0)),
        "1,500 patients, random draws": (1500, 0.5, "random", LossSettings(lambda_d=0.0)),
        "1,500 patients, linked batches": (1500, 0.5, "linked", LossSettings(lambda_d=0.0)),
    }
    result: dict[str, Any] = {}
    for name, (patients, share, plan, loss) in studies.items():
        rows = []
        for seed in range(given.seeds):
            toy = make_toy(patients, linked_share=share, seed=seed)
            rows.append(measure(toy, train(toy, loss, plan=plan, steps=given.steps, seed=seed)))
        result[name] = over_seeds(rows)
    toys = [make_toy(1500, linked_share=1.0, seed=seed) for seed in range(given.seeds)]
    result["targets of L_D"] = over_seeds([effective_targets(toy, sharp.tau_d) for toy in toys])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
