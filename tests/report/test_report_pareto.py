"""Fronts against a brute-force definition, and what the section draws and names."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_results import Synthetic

from fobench.report.document import Figure, Note, Table
from fobench.report.inputs import read
from fobench.report.pareto import beaten_by, front
from fobench.report.sections.pareto import pareto

POINTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=2), st.tuples(st.integers(0, 5), st.integers(0, 5)))


def test_the_front_of_five_points_by_hand() -> None:
    points = {"cheap": (1, 9), "middle": (2, 5), "worse": (3, 5), "best": (8, 1), "lost": (9, 9)}
    assert front(points) == ["cheap", "middle", "best"]
    assert beaten_by("worse", points) == ["middle"]
    assert beaten_by("lost", points) == ["cheap", "middle", "best"]


def test_equal_points_stand_on_the_front_together() -> None:
    assert front({"b": (1, 1), "a": (1, 1), "c": (1, 2)}) == ["a", "b"]


@settings(max_examples=60)
@given(POINTS)
def test_no_point_of_the_front_is_beaten_and_every_other_is(points) -> None:
    best = front(points)
    for name, (x, y) in points.items():
        beaten = any((u <= x and v <= y) and (u < x or v < y) for u, v in points.values())
        assert (name in best) != beaten
        assert bool(beaten_by(name, points)) == beaten
    assert [points[name][0] for name in best] == sorted(points[name][0] for name in best)


def test_the_tables_name_the_front_of_each_cost(tmp_path) -> None:
    # labels cost more in their order, and err more: the first one beats all
    blocks = pareto(read(Synthetic(datasets=("digits",)).write(tmp_path)))
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [table.caption.partition(" and ")[2] for table in tables] == [
        "energy per training (rapl).", "peak of live tensors in a step.", "MACs per training sample.",
    ]  # fmt: skip
    assert all([(row[1], row[4]) for row in table.rows] == [("bp", "drtp and ff")] for table in tables)
    assert [block.name for block in blocks if isinstance(block, Figure)] == [
        "pareto-energy", "pareto-memory", "pareto-macs",
    ]  # fmt: skip


def test_only_the_preferred_meter_has_a_front_of_energy(tmp_path) -> None:
    blocks = pareto(read(Synthetic(meters=("clock", "codecarbon")).write(tmp_path)))
    captions = [block.caption for block in blocks if isinstance(block, Figure) and block.name == "pareto-energy"]
    assert len(captions) == 1
    assert "(codecarbon) (estimated)" in captions[0]


def test_without_meters_the_exact_costs_remain(tmp_path) -> None:
    blocks = pareto(read(Synthetic(meters=()).write(tmp_path)))
    assert [block.name for block in blocks if isinstance(block, Figure)] == ["pareto-memory", "pareto-macs"]


def test_without_errors_there_is_no_front(tmp_path) -> None:
    folder = Synthetic(fail=("bp", "drtp", "ff")[:2], labels=("bp", "drtp", "ff")).write(tmp_path)
    for path in folder.rglob("ff--*"):
        lines = [line for line in path.read_text().splitlines() if '"error"' not in line]
        path.write_text("\n".join(lines) + "\n")
    blocks = pareto(read(folder))
    assert [type(block) for block in blocks[1:]] == [Note]


def test_a_learner_that_beats_nobody_says_so_and_many_are_counted(tmp_path) -> None:
    alone = pareto(read(Synthetic(labels=("bp",), datasets=("digits",)).write(tmp_path / "alone")))
    assert {row[4] for block in alone if isinstance(block, Table) for row in block.rows} == {"none"}
    labels = tuple(f"l{number:02d}" for number in range(40))
    many = pareto(read(Synthetic(labels=labels, datasets=("digits",), seeds=(0,)).write(tmp_path / "many")))
    beaten = [row[4] for block in many if isinstance(block, Table) for row in block.rows]
    assert beaten == ["l01, l02, l03, l04 and 35 others"] * 3
