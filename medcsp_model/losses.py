"""The three losses of MedCSP, in float32, over any number of sources.

Shape legend: N, T records of a source; M its modalities; D embedding width; H history width.
c_i is the mean of the embeddings of the modalities that record i has, n(x) = x/|x|, sim_ij = n(c_i).n(c_j)/tau.

What lives here: formulas on tensors. What does not: where embeddings and links come from (`medcsp_model.model`,
`medcsp_model.collate`). The mean of nothing is 0 with a live graph, and no row without a positive or a candidate ever
meets an infinite logit: absent entries get a large negative finite one, whose gradient is exactly 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from medcsp_model.settings import LossSettings

ABSENT = -1e30


@dataclass(frozen=True)
class Embedded:
    """One source of a batch, embedded.

    Attributes:
        e_NMD: modality embeddings; rows of absent modalities are ignored.
        present_NM: bool, which modalities a record has.
        subject_N: int64 subject of each record.
        study_N: int64 study of each record.
        text_N: int64 identity of the record's text, -1 for none (used by `a_negatives = "text"` alone).
        history_NH: multi-hot diagnosis history; a row of zeros is no history.
    """

    e_NMD: Tensor
    present_NM: Tensor
    subject_N: Tensor
    study_N: Tensor
    text_N: Tensor
    history_NH: Tensor


@dataclass(frozen=True)
class Losses:
    """Scalars of one batch: total = lambda_a a + lambda_p p + lambda_d d."""

    total: Tensor
    a: Tensor
    p: Tensor
    d: Tensor


def record_means(batch: Embedded) -> tuple[Tensor, Tensor]:
    """Mean of the modalities each record has.

    Returns:
        (c_ND, defined_N): zeros and False for a record without any modality.
    """
    weight_NM = batch.present_NM.to(batch.e_NMD.dtype)
    total_ND = (batch.e_NMD * weight_NM[:, :, None]).sum(1)
    return total_ND / weight_NM.sum(1).clamp(min=1)[:, None], batch.present_NM.any(1)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _similarity(left: Tensor, right: Tensor, tau: float) -> Tensor:
    return F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).T / tau


def _others(batch: Embedded, rule: str) -> Tensor:
    others_NN = ~torch.eye(len(batch.subject_N), dtype=torch.bool, device=batch.subject_N.device)
    if rule in ("study", "text"):
        others_NN &= batch.study_N[:, None] != batch.study_N[None, :]
    if rule == "text":
        others_NN &= (batch.text_N[:, None] != batch.text_N[None, :]) | (batch.text_N < 0)[:, None]
    return others_NN


def align_loss(batch: Embedded, *, settings: LossSettings) -> Tensor:
    """L_A of one source: each modality of a record finds its record among the source's other records.

    1/|M| sum_m 1/|Q_m| sum_{i in Q_m} -log softmax_{j in {i} + N_i}(n(e_im).n(k_j)/tau)[i], where Q_m are the records
    with m and at least two modalities, k_j is the full or leave-one-out mean, N_i per `a_negatives` where k_j exists.
    """
    weight_NM = batch.present_NM.to(batch.e_NMD.dtype)
    total_ND, count_N = (batch.e_NMD * weight_NM[:, :, None]).sum(1), weight_NM.sum(1)
    others_NN = _others(batch, settings.a_negatives)
    self_NN = torch.eye(len(count_N), dtype=torch.bool, device=count_N.device)
    num_modalities = batch.e_NMD.shape[1]
    loss = batch.e_NMD.sum() * 0
    for m in range(num_modalities):
        own_N = weight_NM[:, m] if settings.centroid == "leave_one_out" else torch.zeros_like(count_N)
        key_ND = (total_ND - own_N[:, None] * batch.e_NMD[:, m]) / (count_N - own_N).clamp(min=1)[:, None]
        has_key_N = count_N - own_N > 0
        logits_NN = _similarity(batch.e_NMD[:, m], key_ND, settings.tau)
        logits_NN = logits_NN.masked_fill(~(self_NN | (others_NN & has_key_N[None, :])), ABSENT)
        loss_N = logits_NN.logsumexp(1) - logits_NN.diagonal()
        loss = loss + _masked_mean(loss_N, batch.present_NM[:, m] & (count_N >= 2))
    return loss / max(num_modalities, 1)


def patient_loss(s: Embedded, t: Embedded, linked_NT: Tensor, *, settings: LossSettings) -> Tensor:
    """l^P from s to t: a record finds the same patient's records inside the window, among other patients' records.

    1/|A| sum_{i in A} 1/|P_i| sum_{p in P_i} -log[x_ip / (x_ip + sum_{j in N_i} x_ij)] with x = exp(sim). P_i are the
    linked records, N_i those of other patients: the same patient outside the window is in neither.
    """
    (c_ND, defined_N), (c_TD, defined_T) = record_means(s), record_means(t)
    sim_NT = _similarity(c_ND, c_TD, settings.tau)
    positive_NT = linked_NT & defined_N[:, None] & defined_T[None, :]
    negative_NT = (s.subject_N[:, None] != t.subject_N[None, :]) & defined_T[None, :]
    rest_N = sim_NT.masked_fill(~negative_NT, ABSENT).logsumexp(1)
    loss_NT = F.softplus(rest_N[:, None] - sim_NT) * positive_NT
    count_N = positive_NT.sum(1)
    return _masked_mean(loss_NT.sum(1) / count_N.clamp(min=1), count_N > 0)


def diagnosis_loss(s: Embedded, t: Embedded, *, settings: LossSettings) -> Tensor:
    """l^D from s to t: similarities of embeddings follow the similarities of diagnosis histories.

    alpha_ij = h_i.h_j/(|h_i||h_j|). `softmax` and `row` give the mean over anchors of the cross entropy of
    p = softmax_{R_i}(sim) against q = softmax_{R_i}(alpha/tau_d) or alpha/sum alpha (rows of zeros dropped);
    `unnormalised` the mean over all pairs (i, j in R_i) of -alpha_ij log p_ij.
    """
    (c_ND, defined_N), (c_TD, defined_T) = record_means(s), record_means(t)
    h_NH, h_TH = s.history_NH.to(c_ND.dtype), t.history_NH.to(c_ND.dtype)
    allowed_NT = defined_N[:, None] & defined_T[None, :]
    if settings.d_exclude_same_patient:
        allowed_NT = allowed_NT & (s.subject_N[:, None] != t.subject_N[None, :])
    if settings.d_require_history:
        allowed_NT = allowed_NT & h_NH.any(1)[:, None] & h_TH.any(1)[None, :]
    alpha_NT = (F.normalize(h_NH, dim=-1) @ F.normalize(h_TH, dim=-1).T) * allowed_NT
    anchor_N = allowed_NT.any(1)
    sim_NT = _similarity(c_ND, c_TD, settings.tau)
    log_p_NT = sim_NT.masked_fill(~allowed_NT, ABSENT).log_softmax(1).masked_fill(~allowed_NT, 0.0)
    if settings.d_target == "unnormalised":
        return _masked_mean(-alpha_NT * log_p_NT, allowed_NT)
    if settings.d_target == "row":
        total_N = alpha_NT.sum(1)
        anchor_N = anchor_N & (total_N > 0)
        q_NT = alpha_NT / torch.where(total_N > 0, total_N, 1.0)[:, None]
    else:
        q_NT = (alpha_NT / settings.tau_d).masked_fill(~allowed_NT, ABSENT).softmax(1)
    return _masked_mean(-(q_NT * log_p_NT).sum(1), anchor_N)


def compute_losses(
    batch: Mapping[str, Embedded], linked: Mapping[tuple[str, str], Tensor], *, settings: LossSettings
) -> Losses:
    """All three losses of a batch.

    Args:
        batch: sources by name, in the corpus's order; `directions = "forward"` means from the earlier to the later.
        linked: bool (N, T) per pair of sources (s, t): same patient and inside the window.
        settings: weights and switches.

    Returns:
        L_A summed over sources; L_P averaged over the linked pairs of sources and L_D over all pairs, each either
        l_st or (l_st + l_ts)/2.
    """
    sources = {name: _as_float(source) for name, source in batch.items()}
    zero = torch.stack([source.e_NMD.sum() * 0 for source in sources.values()]).sum()
    a = zero + sum(align_loss(source, settings=settings) for source in sources.values() if len(source.subject_N))
    both = settings.directions == "both"
    pairs_p, pairs_d = [], []
    for s, t in combinations(sources, 2):
        left, right = sources[s], sources[t]
        if not len(left.subject_N) or not len(right.subject_N):
            continue
        pairs_d.append(diagnosis_loss(left, right, settings=settings))
        if both:
            pairs_d[-1] = (pairs_d[-1] + diagnosis_loss(right, left, settings=settings)) / 2
        if (s, t) not in linked and (t, s) not in linked:
            continue
        linked_NT = linked[s, t] if (s, t) in linked else linked[t, s].T
        pairs_p.append(patient_loss(left, right, linked_NT, settings=settings))
        if both:
            pairs_p[-1] = (pairs_p[-1] + patient_loss(right, left, linked_NT.T, settings=settings)) / 2
    p = torch.stack([zero, *pairs_p]).sum() / max(len(pairs_p), 1)
    d = torch.stack([zero, *pairs_d]).sum() / max(len(pairs_d), 1)
    return Losses(settings.lambda_a * a + settings.lambda_p * p + settings.lambda_d * d, a, p, d)


def _as_float(batch: Embedded) -> Embedded:
    e_NMD = batch.e_NMD if batch.e_NMD.dtype == torch.float64 else batch.e_NMD.float()
    fields = (batch.present_NM, batch.subject_N, batch.study_N, batch.text_N, batch.history_NH)
    return Embedded(e_NMD, *fields)
