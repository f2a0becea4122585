"""First layers and feature scaling of a trained model, carried over to new data together.

The first layer behind a scaling computes u = B (x - m) + b, B = W A^T, and knows what it says of
the features x of the data that it was trained on: mean m, covariance C, both of which the scaling
still tells. On new data features may lie where the old ones never were. There

    u' = B P (x - m) + b,   P = V f(t) V^-1,   f(t) = min(1, t_0 / t),

with V the axes in which the old covariance is one and the second moment of the new features about m
is t: exactly u where the new features spread little more than the old ones, nothing where the old
ones never moved. W' and b' are what gives u' behind a scaling that is fitted to the new data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nnmd_graph.models.energy_model import EnergyModel
from nnmd_graph.nn.first_layer import FirstLayer
from nnmd_graph.representations.feature_moments import Moments
from nnmd_graph.representations.representation import Representation
from nnmd_graph.representations.scaler import Scaler

KNOWN = 30.0
"""Mean square, in units of the old variance, up to which new features count as known: another part
of one set has up to 3 in most directions, and 30 in the rarest ones, which few atoms decide."""

NOTHING = 1e-6
"""Old variance of a feature, in units of its new mean square, that counts as zero."""

FLOOR = 1e-4
"""Variance, in units of a feature's, that every direction counts as having had: below it features
hardly enter the net, and float32 does not tell it from rounding."""


def projection(old: Moments, new: Moments, limit: float) -> Tensor | None:
    """Map P [F, F] of the new features onto the span of the old ones; None if all are known.

    Args:
        old: Moments of the old features.
        new: Moments of the new features.
        limit: t_0.
    """
    seen = new.about(old.mean)
    live = torch.nonzero(old.sigma.square() > NOTHING * seen.diagonal()).squeeze(-1)
    unit = old.sigma[live]
    correlation = old.covariance[live][:, live] / torch.outer(unit, unit)
    variance, axes = torch.linalg.eigh(correlation)
    root = (variance.clamp(min=0.0) + FLOOR).sqrt()
    inverse = (axes / root).mT / unit  # to axes in which the old covariance is one
    t, turn = torch.linalg.eigh(inverse @ seen[live][:, live] @ inverse.mT)
    if len(live) == int((old.sigma > 0.0).sum()) and not bool((t > KNOWN).any()):
        return None
    factor = (limit / t.clamp(min=1e-300)).clamp(max=1.0)
    onto = torch.zeros_like(old.covariance)
    back = (axes * root) * unit.unsqueeze(1)
    onto[live.unsqueeze(1), live] = back @ (turn * factor) @ turn.mT @ inverse
    return onto


@torch.no_grad()
def adapt(
    scaler: Scaler,
    behind: Representation | EnergyModel,
    x: Tensor,
    species_id: Tensor,
    near: tuple[Tensor, Tensor],
    limit: float,
    kept: Tensor | None = None,
    merged: Sequence[Tensor] | None = None,
) -> bool:
    """Carry a scaling and the first layers behind it over to the features of new data.

    Args:
        scaler: Of a model.
        behind: The readout, or the stack of convolutions, that takes what it gives.
        x: Features, [N, F].
        species_id: Local element numbers, [N].
        near: Features and elements of atoms near them, which show where few atoms may go.
        limit: t_0.
        kept: Features that are to enter, [F]; None: those that do.
        merged: M [F, F] of each row of the scaling; the old model is then asked for its features
            x M, see :mod:`nnmd_graph.representations.symmetry.more_elements`. None: for x.

    Returns:
        Whether the new features hold anything that the old ones do not.
    """
    if not bool(scaler.fitted().any()):
        return False  # features are to be used without scaling
    num_rows, changed = len(scaler.mean), False
    for row in range(num_rows):
        rows = scaler.rows(x, species_id, row)
        if len(rows):
            around = scaler.rows(*near, row)
            layers = behind.first_layers(row, num_rows)
            part = _Part(rows, around, None if merged is None else merged[row].to(rows.device))
            changed |= _adapt_row(scaler, row, layers, part, limit, kept)
    return changed


@dataclass(frozen=True)
class _Part:
    """Features x [N, F] and near [M, F] of an element, and M [F, F]."""

    x: Tensor
    near: Tensor
    merged: Tensor | None

    def as_the_old_knows(self) -> Moments:
        """Moments of x M, near atoms included."""
        rows = torch.cat([self.x, self.near]).double()
        return Moments.of(rows if self.merged is None else rows @ self.merged)

    def of_the_old(self, matrix: Tensor) -> Tensor:
        """M A: what a map A of old features is for new ones."""
        return matrix if self.merged is None else self.merged @ matrix


def _adapt_row(
    scaler: Scaler,
    row: int,
    layers: list[FirstLayer] | None,
    part: _Part,
    limit: float,
    kept: Tensor | None,
) -> bool:
    x = part.x
    old, new = scaler.moments(row), Moments.of(x)
    entered = scaler.kept(row)
    kept = entered if kept is None else kept | entered
    if not bool(scaler.fitted()[row].any()):  # a new element whose net is fresh
        scaler.hold(row, x, kept)
        return False
    onto = projection(old, part.as_the_old_knows(), limit)
    comes_alive = kept & (old.sigma == 0.0) & (new.sigma > 0.0)
    if onto is None and not bool(comes_alive.any()):
        return False
    if onto is None:
        onto = (old.sigma > 0.0).double().diag()
    matrix, offset = scaler.affine(row)
    shrunk = onto.mT @ matrix
    if layers is None:
        if limit > 0.0:  # without any features nothing would be learnt
            scaler.replace(row, part.of_the_old(shrunk))
        return True
    scaler.hold(row, x, kept)
    constant = old.mean @ (matrix - shrunk) + offset
    _rewrite(scaler, row, layers, part.of_the_old(shrunk), constant)
    return True


def _rewrite(
    scaler: Scaler, row: int, layers: list[FirstLayer], matrix: Tensor, offset: Tensor
) -> None:
    """Let layers say behind a scaling what they said of x A + a, [F, F] and [F]."""
    now, start = scaler.affine(row)
    unit = now.norm(dim=1, keepdim=True).clamp(min=1e-300)  # features are of very different size
    back = torch.linalg.pinv(now / unit) / unit.mT
    for layer in layers:
        known = layer.weight.double()
        weight = known @ matrix.mT @ back.mT
        layer.write(weight, known @ offset - weight @ start)


@torch.no_grad()
def rescale(
    scaler: Scaler, behind: Representation | EnergyModel, x: Tensor, species_id: Tensor
) -> None:
    """Fit a scaling to trained features; the layers behind it are adapted to give equal results.

    The scaling then tells how the features of the data spread. Arguments as for :func:`adapt`.
    """
    if not bool(scaler.fitted().any()):
        return
    num_rows = len(scaler.mean)
    for row in range(num_rows):
        rows = scaler.rows(x, species_id, row)
        layers = behind.first_layers(row, num_rows)
        if len(rows) and layers is not None:
            matrix, offset = scaler.affine(row)
            scaler.hold(row, rows, scaler.kept(row))
            _rewrite(scaler, row, layers, matrix, offset)
