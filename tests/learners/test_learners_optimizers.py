import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fobench.learners import optimizers
from fobench.learners.checks import LearnerError

few = settings(max_examples=25, deadline=None)
numbers = st.sampled_from([0.0, 0.01, 0.3])


def walk(spec, steps=6, change=None):
    """Return a weight and a bias after some steps; gradients are correlations of random signals and inputs."""
    generator = torch.Generator().manual_seed(5)
    W, b = torch.randn(4, 3, generator=generator), torch.randn(4, generator=generator)
    W0, b0 = W.clone(), b.clone()
    rule = optimizers.make(spec)
    rule.track(W, b)
    gradients = []
    for number in range(steps):
        if change and number == change[0]:
            rule.eta = change[1]
        D, H = torch.randn(5, 4, generator=generator), torch.randn(5, 3, generator=generator)
        gradients.append((D.T @ H / 10, D.sum(0) / 10))
        rule.correlate_(W, D, H, 10)
        rule.step_(b, D.sum(0), 10)
    return (W0, b0), gradients, (W, b)


def torch_walk(start, gradients, kind, change=None, **options):
    leaves = [tensor.clone().requires_grad_() for tensor in start]
    rule = kind(leaves, **options)
    for number, parts in enumerate(gradients):
        if change and number == change[0]:
            rule.param_groups[0]["lr"] = change[1]
        for leaf, gradient in zip(leaves, parts, strict=True):
            leaf.grad = gradient
        rule.step()
    return [leaf.detach() for leaf in leaves]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@few
@given(st.sampled_from([0.01, 1.0]), numbers)
def test_sgd_is_torch_sgd(eta, decay):
    start, gradients, end = walk({"name": "sgd", "eta": eta, "decay": decay})
    same(end, torch_walk(start, gradients, torch.optim.SGD, lr=eta, weight_decay=decay))


@few
@given(st.sampled_from([0.01, 0.5]), st.sampled_from([0, 0.5, 0.9]), numbers, st.booleans())
def test_momentum_is_torch_sgd_with_momentum(eta, mu, decay, nesterov):
    change = (3, eta / 10)
    spec = {"name": "momentum", "eta": eta, "mu": mu, "decay": decay, "nesterov": nesterov}
    start, gradients, end = walk(spec, change=change)
    options = {"lr": eta, "momentum": mu, "weight_decay": decay, "nesterov": nesterov and mu > 0}
    same(end, torch_walk(start, gradients, torch.optim.SGD, change, **options))


@few
@given(numbers)
def test_adam_is_torch_adam(decay):
    start, gradients, end = walk({"name": "adam", "eta": 0.1, "beta1": 0.8, "decay": decay})
    same(end, torch_walk(start, gradients, torch.optim.Adam, lr=0.1, betas=(0.8, 0.999), weight_decay=decay))


@few
@given(st.sampled_from([0.01, 0.5]), numbers)
def test_momentum_with_eta_in_the_buffer(eta, decay):
    """V <- mu V + eta (G + decay W), W <- W - V, written out; eta is lowered on the way and old momentum is not."""
    spec = {"name": "momentum", "eta": eta, "eta_in_buffer": True, "decay": decay}
    start, gradients, end = walk(spec, change=(3, eta / 10))
    for W0, index, found in zip(start, (0, 1), end, strict=True):
        W, V = W0.clone(), torch.zeros_like(W0)
        for number, parts in enumerate(gradients):
            V = 0.9 * V + (eta if number < 3 else eta / 10) * (parts[index] + decay * W)
            W = W - V
        torch.testing.assert_close(found, W, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "spec", [{"name": "sgd"}, {"name": "momentum"}, {"name": "adam"}], ids=lambda spec: spec["name"]
)
def test_a_gradient_meets_its_weights_however_it_lies_in_memory(spec):
    G = torch.randn(4, 3, 2, 5, generator=torch.Generator().manual_seed(1))
    ends = []
    for order in (torch.contiguous_format, torch.channels_last):
        W, rule = torch.zeros(4, 3, 2, 5).contiguous(memory_format=torch.channels_last), optimizers.make(spec)
        rule.track(W)
        rule.step_(W, G.clone(memory_format=order), 2)
        ends.append(W)
    assert torch.equal(*ends) and torch.equal(ends[0].sign(), -G.sign())


def test_the_two_momenta_part_when_eta_changes():
    torch_form = walk({"name": "momentum", "eta": 0.5}, change=(3, 0.05))[2][0]
    buffer_form = walk({"name": "momentum", "eta": 0.5, "eta_in_buffer": True}, change=(3, 0.05))[2][0]
    assert (torch_form - buffer_form).abs().max() > 0.01


def test_sgd_remembers_nothing_and_momentum_one_buffer():
    W = torch.zeros(3, 2)
    momentum, adam = optimizers.make({"name": "momentum"}), optimizers.make({"name": "adam"})
    momentum.track(W)
    adam.track(W)
    assert [V.shape for V in momentum.V.values()] == [W.shape]
    assert [t.numel() for t in adam.moments[W]] == [6, 6, 1]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "adma"}, "did you mean 'adam'"),
        ({"name": "adam", "lr": 1e-3}, "unknown option of adam 'lr'"),
        ({"name": "momentum", "nestrov": True}, "did you mean 'nesterov'"),
        ({"name": "sgd", "eta": "fast"}, "eta of sgd is 'fast'; expected a number"),
        ({"name": "sgd", "eta": -1}, "expected a number of at least 0"),
        ({"name": "sgd", "eta": float("nan")}, "expected a number of at least 0"),
        ({"name": "momentum", "nesterov": 1}, "expected true or false"),
        ({"name": "sgd", "eta": True}, "expected a number"),
        ({"name": "momentum", "mu": 1}, "at least 0 and below 1"),
        ("adam", "expected a name"),
        ({"eta": 1}, "expected a name"),
        ({"name": ["adam"]}, "unknown optimizer"),
    ],
)
def test_wrong_specifications_are_refused(spec, message):
    with pytest.raises(LearnerError, match=message):
        optimizers.make(spec)
