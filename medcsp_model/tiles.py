"""Sums over the rows of matrices of similarities, tile by tile; and what their logits look like.

A matrix has a row for each anchor and a column for each record of the global batch. A tile is some of its rows with all
their columns, so that its softmax is whole, and no more than one tile is held at a time: memory grows with the batch,
not with its square. The gradient of a tile is taken at once, while its matrices are there, and waits as a gradient of
the embeddings, which is small.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from medcsp_model.distributed import Ranks

Rows = Callable[..., tuple[Tensor, Tensor]]
"""A function of a slice of rows and of tensors: the sum over the rows, and how many of them count."""


def sum_rows(term: Rows, rows: range, *tensors: Tensor, tile: int) -> tuple[Tensor, Tensor]:
    """A term's sum over rows, and how many of them count.

    Args:
        term: the term of some rows.
        rows: the rows to sum over.
        tensors: what the term is differentiated by; everything else it uses counts as constant.
        tile: rows at once; with more rows than that their gradients are computed tile by tile.
    """
    if len(rows) <= tile:
        return term(slice(rows.start, rows.stop), *tensors)
    tiles = [slice(start, min(start + tile, rows.stop)) for start in range(rows.start, rows.stop, tile)]
    total, count = _Tiles.apply(term, tiles, *tensors)
    return total, count


class _Tiles(torch.autograd.Function):
    """The same sum, whose gradient is computed together with it."""

    @staticmethod
    def forward(ctx: Any, term: Rows, tiles: Sequence[slice], *tensors: Tensor) -> tuple[Tensor, Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        gradients = [torch.zeros_like(leaf) for leaf in leaves]
        sums, counts = [], []
        for rows in tiles:
            with torch.enable_grad():
                total, count = term(rows, *leaves)
            if any(ctx.needs_input_grad):
                for gradient, part in zip(gradients, torch.autograd.grad(total, leaves), strict=True):
                    gradient += part
            sums.append(total.detach())
            counts.append(count)
        ctx.save_for_backward(*gradients)
        counted = torch.stack(counts).sum()
        ctx.mark_non_differentiable(counted)
        return torch.stack(sums).sum(), counted

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(upstream[0] * gradient for gradient in ctx.saved_tensors))


class LogitStatistics:
    """Mean and largest logit of the positives and the negatives of each loss, over the terms of one batch.

    L_A: a record's own key against the others'; L_P: linked records against other patients', of anchors with a link;
    L_D: records with a diagnosis in common against those without.
    """

    NAMES = ("a_positive", "a_negative", "p_positive", "p_negative", "d_positive", "d_negative")

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.sum_6 = torch.zeros(len(self.NAMES), dtype=torch.float64, device=device)
        self.count_6 = torch.zeros_like(self.sum_6)
        self.max_6 = torch.full_like(self.sum_6, -torch.inf)

    def add(self, name: str, logits: Tensor, mask: Tensor) -> None:
        """Take in the logits where the mask is true."""
        chosen, place = logits.detach()[mask], self.NAMES.index(name)
        if len(chosen):
            self.sum_6[place] += chosen.sum(dtype=torch.float64)
            self.count_6[place] += len(chosen)
            self.max_6[place] = torch.maximum(self.max_6[place], chosen.max().to(torch.float64))

    def over(self, ranks: Ranks) -> Self:
        """Of the anchors of all processes."""
        self.sum_6, self.count_6, self.max_6 = ranks.sum(self.sum_6), ranks.sum(self.count_6), ranks.max(self.max_6)
        return self

    def values(self) -> dict[str, float]:
        """`logit_<name>_mean` and `logit_<name>_max`; without those of which there was no such logit."""
        answer: dict[str, float] = {}
        for place, name in enumerate(self.NAMES):
            count = float(self.count_6[place])
            if count:
                answer[f"logit_{name}_mean"] = float(self.sum_6[place]) / count
                answer[f"logit_{name}_max"] = float(self.max_6[place])
        return answer
