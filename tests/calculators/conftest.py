"""A small potential with random weights: physics does not care whether it was trained."""

from collections.abc import Callable

import pytest
import torch

from nnmd_graph.models import BPNN, Potential
from nnmd_graph.representations import ACSF, G2, G5


@pytest.fixture
def make_potential() -> Callable[..., Potential]:
    def make(*species: str, cutoff: float = 4.0, dtype: torch.dtype = torch.float64) -> Potential:
        functions = [
            G2(eta=0.3, r_s=0.0),
            G2(eta=2.0, r_s=2.5),
            G5(eta=0.05, zeta=2.0, lam=1.0),
            G5(eta=0.1, zeta=1.0, lam=-1.0),
        ]
        model = BPNN(ACSF(species, cutoff, functions), hidden_channels=(10,), seed=3)
        return Potential(model.to(dtype)).eval()

    return make
