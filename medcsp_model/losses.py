"""The three losses of MedCSP, in float32, over any number of sources.

Shape legend: N, T records of a source; R rows of N that are computed at once; M its modalities; D embedding width; H
history width; P linked pairs. c_i is the mean of the embeddings of the modalities that record i has, n(x) = x/|x|,
sim_ij = n(c_i).n(c_j)/tau.

What lives here: formulas on tensors. What does not: where embeddings and links come from (`medcsp_model.model`,
`medcsp_model.collate`). Every loss is a weighted sum of terms, each a sum over rows divided by how many rows count, so
that rows can be computed in tiles (`medcsp_model.tiles`) and shared among processes. The mean of nothing is 0 with a
live graph, and no row without a positive or a candidate ever meets an infinite logit: absent entries get a large
negative finite one, whose gradient is exactly 0.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from medcsp_model.encoders import widen
from medcsp_model.settings.training import LossSettings
from medcsp_model.tiles import LogitStatistics, sum_rows

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


@dataclass(frozen=True)
class Term:
    """A part of one of the losses: weight x total / count, where total and count run over the rows asked for."""

    loss: str
    weight: float
    total: Tensor
    count: Tensor


def record_means(batch: Embedded) -> tuple[Tensor, Tensor]:
    """Mean of the modalities each record has.

    Returns:
        (c_ND, defined_N): zeros and False for a record without any modality.
    """
    e_NMD = widen(batch.e_NMD)
    weight_NM = batch.present_NM.to(e_NMD.dtype)
    total_ND = (e_NMD * weight_NM[:, :, None]).sum(1)
    return total_ND / weight_NM.sum(1).clamp(min=1)[:, None], batch.present_NM.any(1)


class _Side:
    """A source with its records' unit centroids and histories, made once for all terms; `rows` are the anchors."""

    def __init__(self, batch: Embedded, rows: range) -> None:
        self.batch, self.rows = batch, rows
        self.e_NMD = widen(batch.e_NMD)
        self.weight_NM = batch.present_NM.to(self.e_NMD.dtype)
        self.total_ND, self.count_N = (self.e_NMD * self.weight_NM[:, :, None]).sum(1), self.weight_NM.sum(1)
        mean_ND, self.defined_N = record_means(batch)
        self.unit_ND = F.normalize(mean_ND, dim=-1)
        self.history_NH = F.normalize(batch.history_NH.to(self.e_NMD.dtype), dim=-1)
        self.has_history_N = batch.history_NH.any(1)


def _others(batch: Embedded, rows: slice, rule: str) -> Tensor:
    row_R = torch.arange(rows.start, rows.stop, device=batch.subject_N.device)
    others_RN = row_R[:, None] != torch.arange(len(batch.subject_N), device=row_R.device)[None, :]
    if rule in ("study", "text"):
        others_RN &= batch.study_N[rows, None] != batch.study_N[None, :]
    if rule == "text":
        others_RN &= (batch.text_N[rows, None] != batch.text_N[None, :]) | (batch.text_N[rows] < 0)[:, None]
    return others_RN


def _align_terms(side: _Side, settings: LossSettings, statistics: LogitStatistics | None) -> Iterator[Term]:
    """L_A of one source: each modality of a record finds its record among the source's other records.

    1/|M| sum_m 1/|Q_m| sum_{i in Q_m} -log softmax_{j in {i} + N_i}(n(e_im).n(k_j)/tau)[i], where Q_m are the records
    with m and at least two modalities, k_j is the full or leave-one-out mean, N_i per `a_negatives` where k_j exists.
    Without the factor 1/|M| where `a_modalities` is a sum.
    """
    batch, num_modalities = side.batch, side.e_NMD.shape[1]
    for m in range(num_modalities):
        own_N = side.weight_NM[:, m] if settings.centroid == "leave_one_out" else torch.zeros_like(side.count_N)
        rest_N = side.count_N - own_N
        key_ND = (side.total_ND - own_N[:, None] * side.e_NMD[:, m]) / rest_N.clamp(min=1)[:, None]
        asks_N = batch.present_NM[:, m] & (side.count_N >= 2)

        def rows_of(
            rows: slice, query_ND: Tensor, key_ND: Tensor, has_key_N: Tensor = rest_N > 0, asks_N: Tensor = asks_N
        ) -> tuple[Tensor, Tensor]:
            logits_RN = query_ND[rows] @ key_ND.T / settings.tau
            own_R = logits_RN.diagonal(rows.start)
            others_RN = _others(batch, rows, settings.a_negatives) & has_key_N[None, :]
            if statistics is not None:
                statistics.add("a_positive", own_R, asks_N[rows])
                statistics.add("a_negative", logits_RN, others_RN & asks_N[rows, None])
            kept_RN = others_RN.diagonal_scatter(torch.ones_like(own_R, dtype=torch.bool), rows.start)
            loss_R = logits_RN.masked_fill(~kept_RN, ABSENT).logsumexp(1) - own_R
            return (loss_R * asks_N[rows]).sum(), asks_N[rows].sum()

        units = F.normalize(side.e_NMD[:, m], dim=-1), F.normalize(key_ND, dim=-1)
        weight = 1.0 if settings.a_modalities == "sum" else 1 / num_modalities
        yield Term("a", weight, *sum_rows(rows_of, side.rows, *units, tile=settings.tile))


def _mark(row_P: Tensor, column_P: Tensor, like_RT: Tensor) -> Tensor:
    """Where pairs are in a matrix, bool; rows outside it go to one behind it, so that nobody counts those inside."""
    num_rows, num_columns = like_RT.shape
    marked = torch.zeros(num_rows + 1, num_columns, dtype=torch.bool, device=like_RT.device)
    marked[torch.where((row_P >= 0) & (row_P < num_rows), row_P, num_rows), column_P] = True
    return marked[:-1]


def _patient_term(
    s: _Side, t: _Side, linked_2P: Tensor, weight: float, settings: LossSettings, statistics: LogitStatistics | None
) -> Term:
    """l^P from s to t: a record finds the same patient's records inside the window, among other patients' records.

    1/|A| sum_{i in A} 1/|P_i| sum_{p in P_i} -log[x_ip / (x_ip + sum_{j in N_i} x_ij)] with x = exp(sim). P_i are the
    linked records (with `p_positives = "one"` the first of them), N_i those of other patients: the same patient outside
    the window is in neither.
    """

    def rows_of(rows: slice, unit_ND: Tensor, unit_TD: Tensor) -> tuple[Tensor, Tensor]:
        sim_RT = unit_ND[rows] @ unit_TD.T / settings.tau
        positive_RT = _mark(linked_2P[0] - rows.start, linked_2P[1], sim_RT)
        positive_RT &= s.defined_N[rows, None] & t.defined_N[None, :]
        if settings.p_positives == "one":
            positive_RT &= positive_RT.cumsum(1) == 1
        negative_RT = (s.batch.subject_N[rows, None] != t.batch.subject_N[None, :]) & t.defined_N[None, :]
        rest_R = sim_RT.masked_fill(~negative_RT, ABSENT).logsumexp(1)
        loss_RT = F.softplus(rest_R[:, None] - sim_RT) * positive_RT
        count_R = positive_RT.sum(1)
        if statistics is not None:
            statistics.add("p_positive", sim_RT, positive_RT)
            statistics.add("p_negative", sim_RT, negative_RT & (count_R > 0)[:, None])
        return (loss_RT.sum(1) / count_R.clamp(min=1)).sum(), (count_R > 0).sum()

    return Term("p", weight, *sum_rows(rows_of, s.rows, s.unit_ND, t.unit_ND, tile=settings.tile))


def _diagnosis_term(
    s: _Side, t: _Side, weight: float, settings: LossSettings, statistics: LogitStatistics | None
) -> Term:
    """l^D from s to t: similarities of embeddings follow the similarities of diagnosis histories.

    alpha_ij = h_i.h_j/(|h_i||h_j|). `softmax` and `row` give the mean over anchors of the cross entropy of
    p = softmax_{R_i}(sim) against q = softmax_{R_i}(alpha/tau_d) or alpha/sum alpha (rows of zeros dropped);
    `unnormalised` the mean over all pairs (i, j in R_i) of -alpha_ij log p_ij.
    """

    def rows_of(rows: slice, unit_ND: Tensor, unit_TD: Tensor) -> tuple[Tensor, Tensor]:
        allowed_RT = s.defined_N[rows, None] & t.defined_N[None, :]
        if settings.d_exclude_same_patient:
            allowed_RT = allowed_RT & (s.batch.subject_N[rows, None] != t.batch.subject_N[None, :])
        if settings.d_require_history:
            allowed_RT = allowed_RT & s.has_history_N[rows, None] & t.has_history_N[None, :]
        alpha_RT = (s.history_NH[rows] @ t.history_NH.T) * allowed_RT
        anchor_R = allowed_RT.any(1)
        sim_RT = unit_ND[rows] @ unit_TD.T / settings.tau
        if statistics is not None:
            statistics.add("d_positive", sim_RT, alpha_RT > 0)
            statistics.add("d_negative", sim_RT, allowed_RT & (alpha_RT == 0))
        log_p_RT = sim_RT.masked_fill(~allowed_RT, ABSENT).log_softmax(1).masked_fill(~allowed_RT, 0.0)
        if settings.d_target == "unnormalised":
            return (-alpha_RT * log_p_RT).sum(), allowed_RT.sum()
        if settings.d_target == "row":
            total_R = alpha_RT.sum(1)
            anchor_R = anchor_R & (total_R > 0)
            q_RT = alpha_RT / torch.where(total_R > 0, total_R, 1.0)[:, None]
        else:
            q_RT = (alpha_RT / settings.tau_d).masked_fill(~allowed_RT, ABSENT).softmax(1)
        return (-(q_RT * log_p_RT).sum(1) * anchor_R).sum(), anchor_R.sum()

    return Term("d", weight, *sum_rows(rows_of, s.rows, s.unit_ND, t.unit_ND, tile=settings.tile))


def _share_with_anchors(terms: Sequence[Term], counts: Tensor) -> Tensor | float:
    """Weight of those parts of L_D that have an anchor: a source without histories takes nothing from the others."""
    shares = [
        term.weight * (count > 0).to(term.total.dtype)
        for term, count in zip(terms, counts, strict=True)
        if term.loss == "d"
    ]
    if not shares:
        return 1.0
    share = torch.stack(shares).sum()
    return torch.where(share > 0, share, 1.0)


def _terms(
    sides: Mapping[str, _Side],
    linked: Mapping[tuple[str, str], Tensor],
    settings: LossSettings,
    statistics: LogitStatistics | None,
) -> list[Term]:
    terms = [term for side in sides.values() for term in _align_terms(side, settings, statistics)]
    pairs = list(combinations(sides, 2))
    linked_pairs = [(s, t) for s, t in pairs if (s, t) in linked or (t, s) in linked]
    num_directions = 2 if settings.directions == "both" else 1
    for s, t in pairs:
        forward = _as_pairs(linked[s, t]) if (s, t) in linked else None
        if (t, s) in linked and forward is None:
            forward = _as_pairs(linked[t, s]).flip(0)
        directions = [(sides[s], sides[t], forward), (sides[t], sides[s], None if forward is None else forward.flip(0))]
        for left, right, linked_2P in directions[:num_directions]:
            weight = 1 / (len(pairs) * num_directions)
            terms.append(_diagnosis_term(left, right, weight, settings, statistics))
            if linked_2P is not None:
                weight = 1 / (len(linked_pairs) * num_directions)
                terms.append(_patient_term(left, right, linked_2P, weight, settings, statistics))
    return terms


def _as_pairs(linked: Tensor) -> Tensor:
    return linked.nonzero().T if linked.dtype == torch.bool else linked


def compute_losses(
    batch: Mapping[str, Embedded],
    linked: Mapping[tuple[str, str], Tensor],
    *,
    settings: LossSettings,
    rows: Mapping[str, range] | None = None,
    sum_counts: Callable[[Tensor], Tensor] = lambda counts: counts,
    statistics: LogitStatistics | None = None,
) -> Losses:
    """All three losses of a batch, or one process's part of them.

    Args:
        batch: sources by name, in the corpus's order; `directions = "forward"` means from the earlier to the later.
        linked: per pair of sources (s, t) the records of the same patient inside the window: places int64 (2, P), or
            bool (N, T).
        settings: weights and switches.
        rows: anchors of each source that this process answers for; all of them where not given.
        sum_counts: adds the counts of all processes, so that their parts add up to the losses of the whole batch.
        statistics: collects the logits, where given.

    Returns:
        L_A summed over sources; L_P averaged over the linked pairs of sources and L_D over the pairs that have an
        anchor, each either l_st or (l_st + l_ts)/2.
    """
    rows = rows or {name: range(len(source.subject_N)) for name, source in batch.items()}
    sides = {name: _Side(source, rows[name]) for name, source in batch.items() if len(source.subject_N)}
    zero = torch.stack([widen(source.e_NMD).sum() * 0 for source in batch.values()]).sum()
    terms = _terms(sides, linked, settings, statistics)
    counts = sum_counts(torch.stack([term.count for term in terms])) if terms else zero.new_empty(0)
    values = dict.fromkeys(("a", "p", "d"), zero)
    for term, count in zip(terms, counts, strict=True):
        values[term.loss] = values[term.loss] + term.weight * term.total / count.clamp(min=1)
    a, p, d = values["a"], values["p"], values["d"] / _share_with_anchors(terms, counts)
    return Losses(settings.lambda_a * a + settings.lambda_p * p + settings.lambda_d * d, a, p, d)


def check_something_counts(
    num_modalities: Mapping[str, int], linked: Collection[tuple[str, str]], *, settings: LossSettings
) -> None:
    """Refuse sources and weights under which the loss would be 0 at every step.

    Args:
        num_modalities: of each source that trains.
        linked: pairs of sources that have links.
        settings: the weights.

    Raises:
        ValueError: no loss that weighs anything has a term.
    """
    weights = {"lambda_a": settings.lambda_a, "lambda_p": settings.lambda_p, "lambda_d": settings.lambda_d}
    has_term = {
        "lambda_a": max(num_modalities.values()) > 1,
        "lambda_p": bool(linked),
        "lambda_d": len(num_modalities) > 1,
    }
    if not any(weights[name] and has_term[name] for name in weights):
        raise ValueError(
            f"settings.loss: nothing to learn with {weights} from {dict(num_modalities)} modalities and "
            f"{len(linked)} linked pairs of sources: L_A asks for a source of two modalities, L_P for links, L_D for "
            "two sources"
        )
