"""First layers and scaling meet new features: what is known stays, what never was says nothing."""

from typing import Any

import pytest
import torch

from nnmd_graph.models.adaptation import adapt, rescale
from nnmd_graph.models.readout import ElementReadout
from nnmd_graph.models.shared_readout import SharedReadout
from nnmd_graph.representations import ACSF, G2
from nnmd_graph.representations.common_scaling import CommonScaler
from nnmd_graph.representations.feature_moments import Moments
from nnmd_graph.representations.range_scaling import RangeScaler
from nnmd_graph.representations.scaling import FeatureScaler
from nnmd_graph.representations.stacked import stack

pytestmark = pytest.mark.usefixtures("float64")

F, N = 5, 600
IDS = torch.zeros(N, dtype=torch.long)


def old_features() -> torch.Tensor:
    """Correlated, of very different size, the last but one constant, the last zero."""
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(N, 3, generator=generator)
    x = base @ torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.3, 0.2], [0.0, 0.0, 1.0]])
    x = 20.0 + x * torch.tensor([5.0, 1e-3, 40.0])
    return torch.cat([x, torch.full((N, 1), 2.5), torch.zeros(N, 1)], 1)


def shifted(by: float) -> torch.Tensor:
    """Features that spread by many old sigmas, the constant ones too."""
    x = old_features()
    generator = torch.Generator().manual_seed(2)
    return x + by * torch.randn(N, F, generator=generator) * torch.tensor([5, 1e-3, 40, 1, 1])


@pytest.fixture(params=["element", "shared", "conditioned", "range", "stack"])
def model(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    """Scaler, what takes its features, and a function of features that is to be kept."""
    scaler: Any = RangeScaler(1, F) if request.param == "range" else FeatureScaler(1, F)
    behind: Any = ElementReadout(1, F, (8,))
    if request.param in ("shared", "conditioned"):
        scaler = CommonScaler(F)
        dim = 2 if request.param == "conditioned" else 0
        behind = SharedReadout(F, (8,), "tanh", embedding_dim=dim)
    if request.param == "stack":
        acsf = ACSF(["Cu"], 4.0, [G2(eta=0.1 * (n + 1)) for n in range(F)])
        behind = stack(acsf, "schnet", 1, 6, 4)
        scaler = behind.scaler
    scaler.fit(old_features(), IDS)
    vector = torch.tensor([0.7, -1.3])

    def output(x: torch.Tensor) -> torch.Tensor:
        y, ids = scaler(x, torch.zeros(len(x), dtype=torch.long)), IDS[: len(x)]
        if request.param == "stack":
            return behind.embedding.weight[0] + behind.inputs[0](y)
        if request.param == "conditioned":
            y = torch.cat([y, vector.expand(len(y), 2)], 1)
        return behind(y, ids)

    return scaler, behind, output


@pytest.mark.parametrize("ridge", [0.1, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_scaling_tells_what_it_was_fitted_to(ridge: float, dtype: torch.dtype) -> None:
    scaler, x = FeatureScaler(1, F, ridge).to(dtype), old_features()
    scaler.fit(x, IDS)
    found, expected = scaler.moments(0), Moments.of(x)
    size = expected.sigma + (expected.sigma == 0.0)
    tolerance = 1e-9 if dtype == torch.float64 else 2e-2 * ridge
    error = (found.covariance - expected.covariance) / torch.outer(size, size)
    assert error.abs().max() < tolerance
    assert (found.sigma[3:] == 0.0).all()


def test_another_part_of_the_same_set_changes_nothing(model: tuple[Any, Any, Any]) -> None:
    scaler, behind, _ = model
    before = [p.clone() for m in (scaler, behind) for p in m.state_dict().values()]
    part = (old_features()[::7], IDS[::7])
    assert not adapt(scaler, behind, *part, part, 0.01)
    after = [p for m in (scaler, behind) for p in m.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("by", [10.0, 300.0])
def test_all_that_is_known_stays_without_a_limit(model: tuple[Any, Any, Any], by: float) -> None:
    """Behind another scaling, the same function of the features that once varied."""
    scaler, behind, output = model
    x, new = old_features()[:20], shifted(by)
    before = output(x).detach()
    assert adapt(scaler, behind, new, IDS, (new, IDS), float("inf"))
    torch.testing.assert_close(output(x), before, rtol=1e-6, atol=1e-7)
    if not isinstance(scaler, RangeScaler):
        assert scaler(new, IDS).abs().max() < 10.0


def first_layer(model: tuple[Any, Any, Any], x: torch.Tensor) -> torch.Tensor:
    """What the first layer says of features beyond what it says of the mean old ones."""
    scaler, behind, _ = model
    linear = getattr(behind, "inputs", [None])[0]
    if linear is None:
        net = behind.net.nets[0] if isinstance(behind, ElementReadout) else behind.net
        linear = getattr(net, "net", net).linears[0]
    y = scaler(torch.cat([x, old_features().mean(0, keepdim=True)]), IDS[:1].expand(len(x) + 1))
    u = y @ linear.weight.mT
    return (u[:-1] - u[-1]).detach()


@pytest.mark.parametrize("by", [1e2, 1e3, 1e6])
def test_what_was_never_seen_says_little(model: tuple[Any, Any, Any], by: float) -> None:
    scaler, behind, _ = model
    usual = first_layer(model, old_features()).square().mean().sqrt()
    new = shifted(by)
    adapt(scaler, behind, new, IDS, (new, IDS), 1.0)
    assert first_layer(model, new).square().mean().sqrt() < 2.0 * usual
    moved = old_features()
    moved[:, 3:] += by  # features that did not vary
    torch.testing.assert_close(
        first_layer(model, moved), first_layer(model, old_features()), rtol=1e-6, atol=1e-9
    )


def test_few_atoms_hide_nothing_where_those_near_them_show_it() -> None:
    """Three atoms do not tell in which directions features go; the rattled ones do."""
    scaler, behind = FeatureScaler(1, F), ElementReadout(1, F, (8,))
    scaler.fit(old_features(), IDS)
    three, around = old_features()[:3], shifted(1e3)
    assert not adapt(scaler, behind, three, IDS[:3], (three, IDS[:3]), 1.0)
    assert adapt(scaler, behind, three, IDS[:3], (around, IDS), 1.0)


def test_frozen_weights_stay_and_the_scaling_holds_them_back() -> None:
    scaler, behind = FeatureScaler(1, F), ElementReadout(1, F, (8,)).requires_grad_(False)
    scaler.fit(old_features(), IDS)
    before = {name: value.clone() for name, value in behind.state_dict().items()}
    new = shifted(1e4)
    assert scaler(new, IDS).abs().max() > 1e3
    adapt(scaler, behind, new, IDS, (new, IDS), 1.0)
    assert all(torch.equal(before[name], v) for name, v in behind.state_dict().items())
    assert scaler(new, IDS).abs().max() < 10.0


def test_scalings_that_were_never_fitted_stay() -> None:
    for scaler in (FeatureScaler(1, F), RangeScaler(1, F)):
        assert not adapt(
            scaler, ElementReadout(1, F, (4,)), shifted(1.0), IDS, (shifted(1.0), IDS), 1
        )
        assert torch.equal(scaler.mean, torch.zeros(1, F))


@pytest.mark.parametrize("kind", ["features", "ranges"])
def test_an_element_with_a_fresh_net_is_fitted(kind: str) -> None:
    scaler: Any = FeatureScaler(2, 3) if kind == "features" else RangeScaler(2, 3, "scale_center")
    x, ids = torch.randn(40, 3), torch.arange(40) % 2
    scaler.fit(x, torch.zeros(40, dtype=torch.long))
    before = scaler(x, torch.zeros_like(ids))
    adapt(scaler, ElementReadout(2, 3, (4,)), x, ids, (x, ids), 1.0)
    assert torch.equal(scaler(x, torch.zeros_like(ids)), before)
    torch.testing.assert_close(scaler.mean[1], x[1::2].mean(0))


def test_rescaling_keeps_every_output(model: tuple[Any, Any, Any]) -> None:
    scaler, behind, output = model
    x = 3.0 * old_features() + 7.0
    before = output(x[:30]).detach()
    rescale(scaler, behind, x, IDS)
    torch.testing.assert_close(output(x[:30]), before, rtol=1e-7, atol=1e-8)
    if isinstance(scaler, FeatureScaler):
        found, expected = scaler.moments(0).covariance, Moments.of(x).covariance
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
