"""Groups of symmetry functions that share their work: one cutoff, one formula, the same neighbours.

A group evaluates K parameter sets at once for every edge (radial) or triplet (angular); the sum
over edges or triplets then runs once per neighbour element or element pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nnmd_graph.nn.cutoff import CutoffFunction, value_and_slope
from nnmd_graph.representations.symmetry_functions import G1, G2, G3, G4, SymmetryFunction


class Edges(NamedTuple):
    """Edges inside the cutoff: ids into the graph's edges, vectors, ends."""

    ids: Tensor  # [M] of [E]
    vec: Tensor  # [M, 3]
    centre: Tensor  # [M]
    neighbor: Tensor  # [M] species_id of the neighbour


class Messages(NamedTuple):
    """One group's terms: which edges or triplets take part and where their sums go."""

    members: Tensor  # [M] ids of edges or triplets
    target: Tensor  # [M] centre * len(group.neighbors) + neighbour


@dataclass(frozen=True)
class Group:
    """K functions of one type and cutoff, each wanted for the same neighbours.

    Attributes:
        kind: Type of the functions.
        cutoff: Cutoff radius r_c in Å.
        shapes: Parameters of each function, K tuples.
        neighbors: Elements (radial) or pairs of elements (angular) that are summed over apart.
        columns: Feature number of (neighbour, shape), row-major, len(neighbors) * K.
    """

    kind: type[SymmetryFunction]
    cutoff: float
    shapes: tuple[tuple[float, ...], ...]
    neighbors: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]


def make_groups(functions: Sequence[SymmetryFunction]) -> list[Group]:
    """Sort functions, each with its cutoff and neighbours set, into groups."""
    wanted: dict[tuple[Any, ...], dict[tuple[int, ...], int]] = {}
    for column, f in enumerate(functions):
        # mypy: ACSF has given every function its neighbors as a tuple of numbers.
        wanted.setdefault((type(f), f.cutoff, f.shape()), {})[f.neighbors] = column  # type: ignore[index]
    shared: dict[tuple[Any, ...], dict[tuple[float, ...], dict[tuple[int, ...], int]]] = {}
    for (kind, cutoff, shape), columns in wanted.items():
        key = (kind, cutoff, tuple(sorted(columns)))
        shared.setdefault(key, {})[shape] = columns
    return [
        Group(kind, cutoff, tuple(shapes), neighbors, tuple(
            columns[n] for n in neighbors for columns in shapes.values()
        ))
        for (kind, cutoff, neighbors), shapes in shared.items()
    ]  # fmt: skip


def radial_terms(group: Group, fc: CutoffFunction, r2: Tensor) -> Tensor:
    """Terms of G1, G2 or G3 for each edge.

    Args:
        group: The functions.
        fc: Cutoff function.
        r2: Squared distances, shape [E], Å^2.

    Returns:
        Terms, shape [E, K].
    """
    dist = torch.sqrt(r2)
    envelope = fc(dist, group.cutoff).unsqueeze(-1)
    if group.kind is G1:
        return envelope.expand(-1, len(group.shapes))
    parameters = r2.new_tensor(group.shapes)
    if group.kind is G2:
        eta, r_s = parameters.unbind(-1)
        return torch.exp(-eta * (dist.unsqueeze(-1) - r_s) ** 2) * envelope
    assert group.kind is G3
    return torch.cos(parameters[:, 0] * dist.unsqueeze(-1)) * envelope


def angular_factors(
    group: Group, fc: CutoffFunction, p: Tensor, q: Tensor, s: Tensor
) -> tuple[Tensor, Tensor]:
    """Factors of the terms of G4 or G5 for each triplet: of the distances and of the angle.

    Functions of one (eta, r_s) share the exponential, those of one (zeta, lam) the power of the
    cosine.

    Args:
        group: The functions.
        fc: Cutoff function.
        p: r_ij^2, shape [T], Å^2.
        q: r_ik^2, shape [T], Å^2.
        s: Dot product of the edge vectors of ij and ik, shape [T], Å^2.

    Returns:
        Exponentials with envelopes, one column per (eta, r_s), and powers of the cosine, one per
        (zeta, lam); :func:`angular_terms` multiplies them.
    """
    r_ij, r_ik = torch.sqrt(p), torch.sqrt(q)
    envelope = fc(r_ij, group.cutoff) * fc(r_ik, group.cutoff)
    distances = [r_ij, r_ik]
    if group.kind is G4:
        r_jk = torch.sqrt(p + q - 2.0 * s)
        envelope = envelope * fc(r_jk, group.cutoff)
        distances.append(r_jk)
    radial_keys, angular_keys = factor_keys(group)
    radial = _radial_factors(radial_keys, distances, envelope)
    return radial, _angular_factors(angular_keys, s / (r_ij * r_ik))


def angular_terms(group: Group, radial: Tensor, angular: Tensor) -> Tensor:
    """Terms of each triplet, shape [T, K], from the two factors."""
    radial_keys, angular_keys = factor_keys(group)
    pairs = [(b[0], *a, b[1]) for b in radial_keys for a in angular_keys]
    if len(pairs) == len(group.shapes):
        terms = (radial.unsqueeze(-1) * angular.unsqueeze(-2)).flatten(-2)
        if tuple(pairs) == group.shapes:
            return terms
        place = {pair: n for n, pair in enumerate(pairs)}
        pick = [place[eta, zeta, lam, r_s] for eta, zeta, lam, r_s in group.shapes]
        return terms.index_select(-1, torch.tensor(pick, device=terms.device))
    b = [radial_keys.index((shape[0], shape[3])) for shape in group.shapes]
    a = [angular_keys.index((shape[1], shape[2])) for shape in group.shapes]
    return radial.index_select(-1, torch.tensor(b, device=radial.device)) * angular.index_select(
        -1, torch.tensor(a, device=radial.device)
    )


def factor_keys(group: Group) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Distinct (eta, r_s) and (zeta, lam), in the order in which the functions name them."""
    radial = dict.fromkeys((shape[0], shape[3]) for shape in group.shapes)
    angular = dict.fromkeys((shape[1], shape[2]) for shape in group.shapes)
    return list(radial), list(angular)


def _radial_factors(
    keys: list[tuple[float, float]], distances: list[Tensor], envelope: Tensor
) -> Tensor:
    """exp(-eta sum (r - r_s)^2) times the envelope, shape [T, len(keys)]."""
    eta, r_s = envelope.new_tensor(keys).unbind(-1)
    if all(shift == 0.0 for _, shift in keys):
        squares = sum((d * d for d in distances[1:]), distances[0] * distances[0]).unsqueeze(-1)
    else:
        shifted = [(d.unsqueeze(-1) - r_s) ** 2 for d in distances]
        squares = sum(shifted[1:], shifted[0])
    return torch.exp(-eta * squares) * envelope.unsqueeze(-1)


def _angular_factors(keys: list[tuple[float, float]], cos: Tensor) -> Tensor:
    """2^(1-zeta) (1 + lam cos)^zeta, shape [T, len(keys)]."""
    bases: dict[float, Callable[[float], Tensor]] = {}
    for _, lam in keys:
        if lam not in bases:
            bases[lam] = _powers(1.0 + lam * cos)
    return torch.stack([2.0 ** (1.0 - zeta) * bases[lam](zeta) for zeta, lam in keys], dim=-1)


def radial_factor_gradients(
    group: Group, fc: CutoffFunction, distances: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The radial factor R of angular functions and dR/dr for each of the distances, [T, B] each."""
    keys, _ = factor_keys(group)
    eta, r_s = distances[0].new_tensor(keys).unbind(-1)
    envelopes = [value_and_slope(fc, r, group.cutoff) for r in distances]
    product = envelopes[0][0]
    for value, _ in envelopes[1:]:
        product = product * value
    radial = _radial_factors(keys, distances, product)
    slopes = []
    for n, r in enumerate(distances):
        others = [value for m, (value, _) in enumerate(envelopes) if m != n]
        steep = envelopes[n][1]
        for value in others:
            steep = steep * value
        part = _radial_factors(keys, distances, steep)
        slopes.append(part - 2.0 * eta * (r.unsqueeze(-1) - r_s) * radial)
    return radial, slopes


def angular_factor_gradients(group: Group, cos: Tensor) -> tuple[Tensor, Tensor]:
    """The angular factor A = 2^(1-zeta) (1 + lam cos)^zeta and dA/dcos, [T, A] each."""
    _, keys = factor_keys(group)
    powers = {lam: _powers(1.0 + lam * cos) for _, lam in keys}
    slopes = [
        2.0 ** (1.0 - zeta) * zeta * lam * powers[lam](zeta - 1.0) for zeta, lam in keys
    ]  # fmt: skip
    return _angular_factors(keys, cos), torch.stack(slopes, dim=-1)


def _powers(base: Tensor) -> Callable[[float], Tensor]:
    """Powers of ``base``: integer exponents by repeated squaring, each square computed once."""
    squares = [base]

    def power(exponent: float) -> Tensor:
        if exponent != int(exponent):
            # Rounding may leave -1e-16 at theta = 180 degrees; a root of it would be NaN.
            safe = torch.where(base > 0.0, base, torch.ones_like(base))
            return torch.where(base > 0.0, safe**exponent, torch.zeros_like(base))
        if exponent == 0.0:
            return torch.ones_like(base)
        result, bits, k = None, int(exponent), 0
        while bits:
            if k == len(squares):
                squares.append(squares[-1] * squares[-1])
            if bits & 1:
                result = squares[k] if result is None else result * squares[k]
            bits, k = bits >> 1, k + 1
        assert result is not None
        return result

    return power
