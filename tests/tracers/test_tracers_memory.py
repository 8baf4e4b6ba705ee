"""The ledger of live tensors: bytes from closed forms in the sizes, another tracker as oracle, peaks over time."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributed._tools.mem_tracker import MemTracker
from tracer_toys import AutogradBP, HandBP, Local, Toy, traced, values, weights

from fobench.contracts import Phase, Prediction, Provenance, Reading, TracerError
from fobench.tracers.ledger import reachable_tensors
from fobench.tracers.memory import LiveTensors

FLOAT = 4


def peaks(make: Any, batch: int, sizes: tuple[int, ...], phase: Phase = Phase.TRAIN) -> dict[str, float]:
    return values(traced(LiveTensors(), make, batch, sizes, phase), "memory_peak")


def line(readings: list[Reading], channel: str) -> list[float]:
    return [r.value for r in readings if (r.quantity, r.channel) == ("memory_live", channel)]


# --- closed forms -----------------------------------------------------------------------------------------------------


class Arithmetic(Toy):
    """Makes what `work` says; the toy's weights are 2 x 3, so 24 bytes are persistent."""

    def __init__(self, work: Any) -> None:
        super().__init__(3, 2)
        self.work = staticmethod(work)

    def train_step(self, x: Tensor, y: Tensor) -> None:
        self.work.__func__(x, self.W[0])


def kept_to_the_end(x: Tensor, W: Tensor) -> None:
    a = x + 1  # N x 3
    b = W + 1  # 2 x 3
    c = a @ b.T  # N x 2
    del a, b, c


def one_after_the_other(x: Tensor, W: Tensor) -> None:
    big = torch.zeros(1000)
    del big
    maps = x.repeat(1, 10)  # N x 30
    del maps


def views(x: Tensor, W: Tensor) -> None:
    narrow = (x + 1)[:1]  # keeps all N rows
    del narrow


def views_of_inputs(x: Tensor, W: Tensor) -> None:
    x.view(-1).unsqueeze(0)


def in_place(x: Tensor, W: Tensor) -> None:
    W.add_(1).mul_(2)


def resized(x: Tensor, W: Tensor) -> None:
    scratch = torch.empty(0)
    torch.mm(x, W.T, out=scratch)
    scratch.resize_(10 * len(x))
    del scratch


@pytest.mark.parametrize(
    ("work", "total", "batch", "constant"),
    [
        (kept_to_the_end, 5 * 5 * FLOAT + 24, 5 * 5 * FLOAT, 24),
        (one_after_the_other, 4000, 5 * 30 * FLOAT, 4000),
        (views, 5 * 3 * FLOAT, 5 * 3 * FLOAT, 0),
        (views_of_inputs, 0, 0, 0),
        (in_place, 0, 0, 0),
        (resized, 5 * 10 * FLOAT, 5 * 10 * FLOAT, 0),
    ],
)
def test_peaks_are_each_the_maximum_of_their_own_live_sum(work: Any, total: int, batch: int, constant: int) -> None:
    readings = traced(LiveTensors(), lambda: Arithmetic(work), 5, (3, 2))
    assert values(readings, "memory_peak") == {"total": total, "batch": batch, "constant": constant}
    assert values(readings, "memory") == {"persistent": 24}


def test_subtracting_peaks_would_lie() -> None:
    """Total and constant peak together in a moment when no map lives: their difference is 0, the maps take 600 bytes."""
    found = peaks(lambda: Arithmetic(one_after_the_other), 5, (3, 2))
    assert found["total"] - found["constant"] == 0
    assert found["batch"] == 600


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_each_layer_adds_one_map_to_backpropagation_by_autograd(optimizer: Any) -> None:
    batch, width = 50, 200
    found = []
    for depth in (1, 2, 3, 4):
        sizes = (784, *[width] * depth, 10)
        found.append(peaks(lambda: AutogradBP(*sizes, optimizer=optimizer), batch, sizes))  # noqa: B023
    assert [after["batch"] - before["batch"] for before, after in pairwise(found)] == [batch * width * FLOAT] * 3


def test_the_wide_network_of_the_papers_grows_by_one_map_of_2000_units() -> None:
    found = [peaks(lambda s=sizes: AutogradBP(*s), 100, sizes) for sizes in ((784, 2000, 10), (784, 2000, 2000, 10))]
    assert found[1]["batch"] - found[0]["batch"] == 100 * 2000 * FLOAT


@pytest.mark.parametrize(("make", "map_per_layer"), [(HandBP, 1), (Local, 0)])
def test_only_rules_that_wait_for_the_error_keep_all_maps(make: Any, map_per_layer: int) -> None:
    batch, width = 20, 50
    found = [peaks(lambda n=n: make(*[width] * n, 10), batch, (width, 10))["batch"] for n in (3, 4, 5)]
    assert [found[1] - found[0], found[2] - found[1]] == [map_per_layer * batch * width * FLOAT] * 2


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(2, 30), min_size=3, max_size=5).map(tuple), batch=st.integers(2, 9))
def test_a_local_rule_holds_two_neighbouring_maps(sizes: tuple[int, ...], batch: int) -> None:
    units = sizes[1:]
    neighbours = max([units[0], *(a + b for a, b in pairwise(units))])
    found = peaks(lambda: Local(*sizes), batch, sizes)
    assert found == {"total": batch * neighbours * FLOAT, "batch": batch * neighbours * FLOAT, "constant": 0}


def test_gradients_are_the_steps_wherever_it_frees_them() -> None:
    sizes = (30, 20, 10)
    parameters = FLOAT * (sum(weights(sizes)) + 20 + 10)

    class FreesLast(AutogradBP):
        def train_step(self, x: Tensor, y: Tensor) -> None:
            super().train_step(x, y)
            self.steps.zero_grad()

    for make in (AutogradBP, FreesLast):
        readings = traced(LiveTensors(), lambda: make(*sizes), 8, sizes)  # noqa: B023
        assert values(readings, "memory") == {"persistent": parameters}
        # one float for the loss and one for its gradient stand beside the gradients' peak or not
        assert parameters <= values(readings, "memory_peak")["constant"] <= parameters + 2 * FLOAT
        assert min(line(readings, "total")) >= 0


@pytest.mark.parametrize(("optimizer", "copies"), [(torch.optim.SGD, 1), (torch.optim.Adam, 3)])
def test_optimizer_state_is_persistent(optimizer: Any, copies: int) -> None:
    sizes = (30, 20, 10)
    readings = traced(LiveTensors(), lambda: AutogradBP(*sizes, optimizer=optimizer), 8, sizes)
    steps = FLOAT * 4 if copies == 3 else 0  # Adam counts its steps in one float per tensor
    assert values(readings, "memory")["persistent"] == copies * FLOAT * (sum(weights(sizes)) + 30) + steps


class Hoarder(Toy):
    """Keeps the maps of the last step, and replaces its weights instead of writing into them."""

    def train_step(self, x: Tensor, y: Tensor) -> None:
        self.maps = x @ self.W[0].T
        self.W[0] = self.W[0] - 0.1


def test_maps_left_over_count_with_the_batch_and_replaced_weights_once() -> None:
    readings = traced(LiveTensors(), lambda: Hoarder(6, 4), 5, (6, 4))
    assert values(readings, "memory") == {"persistent": 96}
    # old and new maps overlap, then old and new weights do (the product 0.1 W is a scalar operand, no tensor)
    assert values(readings, "memory_peak") == {"total": 80 + 96, "batch": 160, "constant": 96}
    assert (line(readings, "batch")[0], line(readings, "batch")[-1]) == (80, 80)
    assert (line(readings, "constant")[0], line(readings, "constant")[-1]) == (0, 0)


def test_inference_holds_two_maps() -> None:
    found = peaks(lambda: HandBP(30, 20, 10), 8, (30, 20, 10), Phase.INFER)
    assert found == {"total": 8 * 30 * FLOAT, "batch": 8 * 30 * FLOAT, "constant": 0}


# --- oracle, determinism, errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [AutogradBP, HandBP, Local])
def test_total_agrees_with_torchs_own_tracker(make: Any) -> None:
    sizes, batch = (64, 128, 96, 10), 32
    learner = make(*sizes)
    x, y = torch.rand(batch, sizes[0]), torch.randint(10, (batch,))
    tracker = MemTracker()
    tracker.track_external(*learner.state().values(), x, y)
    learner.train_step(x, y)
    for tensor in learner.state().values():
        tensor.grad = None
    with tracker:
        learner.train_step(x, y)
    oracle = next(iter(tracker.get_tracker_snapshot("peak").values()))["Total"] - x.nbytes - y.nbytes

    class Cleared(make):  # type: ignore[misc, valid-type]
        def train_step(self, x: Tensor, y: Tensor) -> None:
            super().train_step(x, y)
            for tensor in self.state().values():
                tensor.grad = None

    readings = traced(LiveTensors(), lambda: Cleared(*sizes), batch, sizes)
    assert values(readings, "memory_peak")["total"] + values(readings, "memory")["persistent"] == oracle


def test_the_ledger_is_exact_to_the_byte_every_time() -> None:
    runs = [traced(LiveTensors(), lambda: AutogradBP(30, 20, 10), 8, (30, 20, 10)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert {reading.provenance for reading in runs[0]} == {Provenance.ANALYTICAL}


def test_time_lines_are_three_of_one_length_and_add_up() -> None:
    readings = traced(LiveTensors(), lambda: AutogradBP(30, 20, 10), 8, (30, 20, 10))
    lines = {channel: line(readings, channel) for channel in ("total", "batch", "constant")}
    assert len({len(values) for values in lines.values()}) == 1
    assert lines["total"] == [b + c for b, c in zip(lines["batch"], lines["constant"], strict=True)]
    assert {channel: max(values) for channel, values in lines.items()} == values(readings, "memory_peak")


class Fickle(Toy):
    def train_step(self, x: Tensor, y: Tensor) -> None:
        kept = x + 1 if len(x) % 2 else x - 1
        del kept


class Lazy(Toy):
    def train_step(self, x: Tensor, y: Tensor) -> None:
        kept = x + 1 if len(x) % 2 else None
        del kept


@pytest.mark.parametrize(("make", "named"), [(Fickle, "aten.sub.Tensor.*aten.add.Tensor"), (Lazy, "nothing.*aten.add")])
def test_steps_that_differ_with_the_batch_are_refused_with_the_first_operation(make: Any, named: str) -> None:
    with pytest.raises(TracerError, match=f"storage 1 came from {named}"):
        traced(LiveTensors(), lambda: make(3, 2), 4, (3, 2))


def test_a_second_batch_that_is_not_one_larger_is_refused() -> None:
    tracer, learner = LiveTensors(), HandBP(3, 2)
    for batch in (4, 6):
        with tracer.trace(learner, (torch.ones(batch, 3), torch.zeros(batch))):
            pass
    with pytest.raises(TracerError, match=r"\[4, 6\]"):
        tracer.readings()
    assert tracer._runs == []


class Sparse(Toy):
    def train_step(self, x: Tensor, y: Tensor) -> None:
        x.to_sparse()


def test_tensors_without_a_storage_of_their_own_are_refused() -> None:
    with pytest.raises(TracerError, match="sparse"):
        traced(LiveTensors(), lambda: Sparse(3, 2), 4, (3, 2))


def test_the_collector_is_left_as_it_was_even_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), LiveTensors().trace(HandBP(3, 2), (torch.ones(4, 3),)):
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_the_ledger_keeps_nothing_alive() -> None:
    tracer, died = LiveTensors(), []

    class Watched(Toy):
        def train_step(self, x: Tensor, y: Tensor) -> None:
            map_ = x + 1
            weakref.finalize(map_, died.append, True)
            del map_
            assert died == [True]

    with tracer.trace(Watched(3, 2), (torch.ones(4, 3),)):
        Watched(3, 2).train_step(torch.ones(4, 3), torch.zeros(4))


# --- what a learner holds ---------------------------------------------------------------------------------------------

elsewhere = torch.ones(9)


class Holder:
    shared = torch.ones(8)

    def __init__(self) -> None:
        hidden, default = torch.ones(3), torch.ones(6)
        self.own = torch.ones(1)
        self.nested = {"a": [torch.ones(2)], torch.ones(4): ()}
        self.closure = lambda: hidden
        self.bound = Inner().method
        self.default = lambda x=default: elsewhere
        self.module = torch.nn.Linear(7, 1, bias=False)
        self.loop = self


class Inner:
    def __init__(self) -> None:
        self.kept = torch.ones(5)

    def method(self) -> None:
        """Belong to an object."""


def test_everything_that_a_learner_keeps_alive_is_found_and_nothing_else() -> None:
    found = reachable_tensors(Holder())
    assert sorted(tensor.numel() for tensor in found) == [1, 2, 3, 4, 5, 6, 7]
    assert [t.numel() for t in found] == [t.numel() for t in reachable_tensors(Holder())]


class Global(Toy):
    def predict(self, x: Tensor) -> Prediction:
        return Prediction(x * elsewhere[0])


def test_a_tensor_first_met_as_an_operand_lived_before_the_step() -> None:
    readings = traced(LiveTensors(), lambda: Global(3, 2), 4, (3, 2), Phase.INFER)
    assert values(readings, "memory") == {"persistent": 24 + 9 * FLOAT}
    assert values(readings, "memory_peak") == {"total": 48, "batch": 48, "constant": 0}
