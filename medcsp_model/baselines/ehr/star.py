"""The Star-Transformer: hours in a ring, each attending to its neighbours, its input and one relay that sees all.

Source: Guo et al. (NAACL 2019), as used by Yang & Wu (EMNLP 2021). Their code shifts the ring in place, so that every
hour's left neighbour is the first hour; `shift_in_place` restores that.
"""

import torch
from torch import Tensor, nn


class StarTransformer(nn.Module):
    """Hours (B, T, width) to one vector (B, width): the mean over hours plus the relay.

    Args:
        width: of hours and relay.
        num_heads: of both attentions.
        num_cycles: how often hours and relay are updated, with the same weights.
        dropout: of the attention.
        shift_in_place: give every hour the first hour as left neighbour, as released.
    """

    def __init__(self, width: int, *, num_heads: int, num_cycles: int, dropout: float, shift_in_place: bool) -> None:
        super().__init__()
        self.num_cycles, self.shift_in_place = num_cycles, shift_in_place
        self.satellite = nn.MultiheadAttention(width, num_heads, dropout=dropout, batch_first=True)
        self.relay = nn.MultiheadAttention(width, num_heads, dropout=dropout, batch_first=True)
        self.satellite_norm, self.relay_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, width)."""
        size, bins, width = x_BTD.shape
        hour_BTD, relay_B1D = x_BTD, x_BTD.mean(dim=1, keepdim=True)
        for _ in range(self.num_cycles):
            left_BTD = left_neighbours(hour_BTD, shift_in_place=self.shift_in_place)
            right_BTD = hour_BTD.roll(-1, dims=1)
            around = [left_BTD, hour_BTD, right_BTD, x_BTD, relay_B1D.expand_as(hour_BTD)]
            context_RCD = torch.stack(around, dim=2).flatten(0, 1)
            query_R1D = hour_BTD.reshape(size * bins, 1, width)
            new_R1D, _ = self.satellite(query_R1D, context_RCD, context_RCD, need_weights=False)
            hour_BTD = self.satellite_norm(new_R1D.view_as(hour_BTD).relu())
            all_BTD = torch.cat([relay_B1D, hour_BTD], dim=1)
            new_B1D, _ = self.relay(relay_B1D, all_BTD, all_BTD, need_weights=False)
            relay_B1D = self.relay_norm(new_B1D.relu())
        return hour_BTD.mean(dim=1) + relay_B1D[:, 0]


def left_neighbours(hour_BTD: Tensor, *, shift_in_place: bool) -> Tensor:
    """The hour before each, the last before the first; or the first hour before each, as released."""
    return hour_BTD[:, :1].expand_as(hour_BTD) if shift_in_place else hour_BTD.roll(1, dims=1)
