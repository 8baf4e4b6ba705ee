"""What every normalisation does with a silent sample, in every dtype that a recipe can have."""

import pytest
import torch

from fobench.contracts import Task
from fobench.learners.biofo import BioFO
from fobench.learners.contrast import length_, rms_
from fobench.learners.ff import FF
from fobench.learners.mempepita import MEMPEPITA
from fobench.learners.modulation import NORMALISATIONS
from fobench.learners.normalisation import normalise_

NORMS = {
    "rms": (rms_, lambda h: h / (h**2).mean().sqrt()),
    "length": (length_, lambda h: h / (h**2).sum().sqrt()),
    "per-sample": (NORMALISATIONS["per-sample"], lambda h: h / (h**2).sum().sqrt()),
    "batch": (NORMALISATIONS["batch"], lambda h: h / (h**2).sum().sqrt()),
    "normalise": (lambda H: (normalise_(H), H)[1], lambda h: h / (h**2).mean().sqrt()),
}
every_dtype = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)


@every_dtype
@pytest.mark.parametrize("name", NORMS)
def test_a_silent_sample_stays_silent_and_others_get_their_size(name, dtype):
    norm, expected = NORMS[name]
    H = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5]], dtype=dtype)
    found = norm(H.clone())
    assert torch.equal(found[0], torch.zeros(3, dtype=dtype))
    tolerance = max(4 * torch.finfo(dtype).eps, 1e-3 if name == "length" else 1e-7)
    torch.testing.assert_close(found[1].double(), expected(H[1].double()), rtol=tolerance, atol=0)


@every_dtype
@pytest.mark.parametrize(
    "learner",
    [FF([5, 4]), MEMPEPITA([5, 4], normalisation="per-sample", bias=True), BioFO([5, 4], normalise="sample")],
    ids=lambda learner: type(learner).__name__,
)
def test_a_silent_layer_leaves_every_weight_a_number(learner, dtype):
    torch.set_default_dtype(dtype)
    learner.setup(Task("classification", (6,), 3), torch.Generator().manual_seed(0), "cpu")
    learner.state()["b1"].fill_(-100)
    x = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    learner.train_step(x, torch.tensor([0, 1, 2, 0]))
    assert all(bool(tensor.isfinite().all()) for tensor in learner.state().values())
    assert bool(learner.predict(x).scores.isfinite().all())
