import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fobench.contracts import MeterError
from fobench.meters.host import HostLoad

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")


class ProcTree:
    """A /proc with chosen ticks: `cpu` in the order of proc(5), one process tree below this process."""

    def __init__(self, root, processors=2):
        self.root = root
        self.processors = processors
        self.cpu = dict.fromkeys(COLUMNS, 0)
        self.processes = {os.getpid(): (0, 0, 0, 0)}
        self.children = {}
        self.write()

    def write(self):
        lines = [f"cpu  {' '.join(map(str, self.cpu.values()))}", *(f"cpu{i} 0 0" for i in range(self.processors))]
        (self.root / "stat").write_text("\n".join([*lines, "intr 5", "ctxt 9"]) + "\n")
        for pid, ticks in self.processes.items():
            folder = self.root / str(pid) / "task" / str(pid)
            folder.mkdir(parents=True, exist_ok=True)
            times = " ".join(map(str, ticks))
            (self.root / str(pid) / "stat").write_text(f"{pid} (a) b (c) R 1 2 3 4 5 6 7 8 9 10 {times} 20 0 1\n")
            (folder / "children").write_text(" ".join(map(str, self.children.get(pid, []))))


@pytest.fixture
def tree(tmp_path):
    return ProcTree(tmp_path)


def window(tree, change):
    host = HostLoad(root=str(tree.root))
    assert host.unavailable() is None
    host.start()
    change()
    tree.write()
    return [(r.quantity, r.channel, r.value) for r in host.stop()]


def test_share_is_what_is_busy_and_not_ours(tree):
    def change():
        tree.cpu.update(user=60, system=20, nice=10, irq=5, softirq=5, idle=80, iowait=20)
        tree.processes[os.getpid()] = (40, 10, 0, 0)

    assert window(tree, change) == [("foreign_cpu", "total", pytest.approx((100 - 50) / 200))]


def test_steal_is_foreign_and_guest_time_is_not_counted_twice(tree):
    def change():
        tree.cpu.update(user=100, idle=60, steal=40, guest=70, guest_nice=7)
        tree.processes[os.getpid()] = (100, 0, 0, 0)

    assert window(tree, change) == [("foreign_cpu", "total", pytest.approx(40 / 200))]


def test_descendants_live_and_waited_for_are_ours(tree):
    me = os.getpid()
    tree.children = {me: [7001], 7001: [7002]}
    tree.processes.update({7001: (5, 5, 0, 0), 7002: (1, 1, 0, 0)})
    tree.write()

    def change():
        tree.cpu.update(user=160, idle=40)
        tree.processes.update({me: (40, 0, 30, 10), 7001: (25, 15, 0, 0), 7002: (11, 1, 10, 0)})

    own = (40 + 30 + 10) + (20 + 10) + (10 + 10)
    assert window(tree, change) == [("foreign_cpu", "total", pytest.approx((160 - own) / 200))]


def test_a_child_that_ends_inside_the_window_stays_ours(tree):
    me = os.getpid()
    tree.children = {me: [7001]}
    tree.processes[7001] = (50, 0, 0, 0)
    tree.write()

    def change():
        tree.children = {}
        tree.cpu.update(user=100, idle=100)
        tree.processes[me] = (0, 0, 150, 0)

    assert window(tree, change) == [("foreign_cpu", "total", 0.0)]


@pytest.mark.parametrize(("seconds", "expected"), [(0.19, 0), (0.2, 1)])
def test_a_window_of_few_ticks_gives_nothing_rather_than_zero(tree, seconds, expected):
    def change():
        tree.cpu.update(idle=round(seconds * TICKS_PER_S) * tree.processors)

    assert len(window(tree, change)) == expected


@given(user=st.integers(0, 500), idle=st.integers(40, 500), iowait=st.integers(-20, 20), own=st.integers(-50, 600))
def test_share_stays_between_none_and_all(tmp_path_factory, user, idle, iowait, own):
    tree = ProcTree(tmp_path_factory.mktemp("proc"))
    tree.cpu.update(iowait=100)  # proc(5): iowait can decrease
    tree.processes[os.getpid()] = (100, 0, 0, 0)
    tree.write()

    def change():
        tree.cpu.update(user=user, idle=idle, iowait=100 + iowait)
        tree.processes[os.getpid()] = (100 + own, 0, 0, 0)

    for _, _, share in window(tree, change):
        assert 0.0 <= share <= 1.0


def test_own_work_is_not_foreign_on_this_machine():
    """A child that burns 0.3 CPU-seconds lifts the own time by as much: it was started, and waited for, inside."""
    host = HostLoad()
    assert host.unavailable() is None
    before = host._own()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert host._own() - before >= 0.25 * TICKS_PER_S


def test_no_procfs_is_one_sentence_with_a_remedy(tmp_path):
    host = HostLoad(root=str(tmp_path))
    assert "mount procfs" in host.unavailable()
    with pytest.raises(MeterError, match="mount procfs"):
        host.start()


def test_stop_without_start_is_refused(tree):
    with pytest.raises(MeterError, match="without start"):
        HostLoad(root=str(tree.root)).stop()
