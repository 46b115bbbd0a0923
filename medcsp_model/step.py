"""Losses and gradients of one step over all processes of a run.

Every process embeds its share of the global batch, sees all embeddings, and computes the losses of its own anchors. The
gradients by the embeddings are summed over the processes and each carries its own rows' into the parameters, where they
are averaged: the result is the gradient of the whole batch, as of one process.

What does not live here: the optimiser and everything that is written (`medcsp_model.trainer`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from medcsp_model.distributed import Ranks
from medcsp_model.gradient_cache import GradientCache
from medcsp_model.losses import Embedded, compute_losses
from medcsp_model.settings.training import LossSettings
from medcsp_model.tiles import LogitStatistics
from medcsp_model.work import Work


def add_gradients(
    work: Work,
    *,
    cache: GradientCache,
    ranks: Ranks,
    settings: LossSettings,
    seeds: Sequence[int],
    statistics: LogitStatistics | None = None,
) -> dict[str, Tensor]:
    """Add the gradient of a batch's loss to the parameters' gradients; the host waits for nothing.

    Args:
        work: this process's work.
        cache: embeds it.
        ranks: the processes.
        settings: of the losses.
        seeds: of the random numbers of each part of the work.
        statistics: collects the logits of this process's anchors, where given.

    Returns:
        scalars total, a, p and d of the whole batch, the same on every process.
    """
    embedded = cache.embed(work.parts, seeds=seeds)
    everyone = ranks.gather(embedded, {name: len(records) for name, records in work.records.items()})
    leaves = {name: e_NMD.requires_grad_() for name, e_NMD in everyone.items()}
    batch = {
        name: Embedded(e_NMD, known.present_NM, known.subject_N, known.study_N, known.text_N, known.history_NH)
        for (name, e_NMD), known in zip(leaves.items(), work.identities.values(), strict=True)
    }
    losses = compute_losses(
        batch, work.linked, settings=settings, rows=work.rows, sum_counts=ranks.sum, statistics=statistics
    )
    gradients = torch.autograd.grad(losses.total, list(leaves.values()))
    summed = ranks.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    pieces = summed.split([gradient.numel() for gradient in gradients])
    mine: dict[str, Tensor] = {
        name: ranks.size * piece.view_as(leaf)[work.rows[name].start : work.rows[name].stop]
        for (name, leaf), piece in zip(leaves.items(), pieces, strict=True)
    }
    cache.backward(work.parts, seeds=seeds, gradient=mine)
    values = ranks.sum(torch.stack([losses.total, losses.a, losses.p, losses.d]).detach())
    return dict(zip(("total", "a", "p", "d"), values, strict=True))
