import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

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


# --- a cluster's engine -----------------------------------------------------------------------------------------------


def engine(tree, threads):
    """Give a process of the engine's threads with these nanoseconds on a processor: schedstat is run, wait, slices."""
    for tid, ns in threads.items():
        folder = tree.root / "8001" / "task" / str(tid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"{ns} 77777777777 9\n")


@pytest.fixture
def cluster(tree, monkeypatch):
    monkeypatch.setenv("FOBENCH_ENGINE", "8001")
    engine(tree, {8001: 1_000_000_000, 8002: 500_000_000})
    return tree


def busy(tree, seconds):
    """Let two processors idle for so many seconds each."""
    tree.cpu["idle"] += round(seconds * TICKS_PER_S * tree.processors)


def test_the_engines_share_is_what_its_threads_ran(cluster):
    """3 ms and 1 ms on a processor, in 2 s of two processors: 4 ms of 4 s."""

    def change():
        busy(cluster, 2)
        engine(cluster, {8001: 1_003_000_000, 8002: 501_000_000})

    assert window(cluster, change) == [
        ("foreign_cpu", "total", 0.0),
        ("engine_cpu", "total", pytest.approx(0.004 / 4)),
    ]


def test_the_engine_may_have_several_processes(cluster, monkeypatch):
    monkeypatch.setenv("FOBENCH_ENGINE", "8001 8003")
    other = cluster.root / "8003" / "task" / "8003"
    other.mkdir(parents=True)
    (other / "schedstat").write_text("0 0 0\n")

    def change():
        busy(cluster, 1)
        engine(cluster, {8001: 1_001_000_000})
        (other / "schedstat").write_text("1000000 0 1\n")

    assert window(cluster, change)[1] == ("engine_cpu", "total", pytest.approx(0.002 / 2))


def test_an_engine_that_slept_has_a_share_of_zero(cluster):
    assert window(cluster, lambda: busy(cluster, 1))[1] == ("engine_cpu", "total", 0.0)


@pytest.mark.parametrize("variable", [None, "", " "])
def test_without_an_engine_there_is_no_share(cluster, monkeypatch, variable):
    if variable is None:
        monkeypatch.delenv("FOBENCH_ENGINE")
    else:
        monkeypatch.setenv("FOBENCH_ENGINE", variable)
    assert [quantity for quantity, *_ in window(cluster, lambda: busy(cluster, 1))] == ["foreign_cpu"]


@pytest.mark.parametrize("text", ["", "\n", "many 0 0\n", None])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_cannot_be_read_is_absent_and_not_zero(cluster, text, when):
    """A kernel without schedstat has no such file; a process of another user's has one that nobody may read."""

    def spoil():
        file = cluster.root / "8001" / "task" / "8002" / "schedstat"
        file.unlink() if text is None else file.write_text(text)

    def change():
        busy(cluster, 1)
        if when == "meanwhile":
            spoil()

    if when == "before":
        spoil()
    assert window(cluster, change) == [("foreign_cpu", "total", 0.0)]


def test_an_engine_that_has_ended_is_absent(cluster, monkeypatch):
    monkeypatch.setenv("FOBENCH_ENGINE", "8001 9999")
    assert [quantity for quantity, *_ in window(cluster, lambda: busy(cluster, 1))] == ["foreign_cpu"]


def test_a_thread_that_ended_takes_its_time_with_it(cluster):
    """The sum falls by half a second: what the engine used is then unknown, not nothing."""

    def change():
        busy(cluster, 1)
        shutil.rmtree(cluster.root / "8001" / "task" / "8002")
        engine(cluster, {8001: 1_003_000_000})

    assert window(cluster, change) == [("foreign_cpu", "total", 0.0)]


def test_a_window_that_is_too_short_has_neither_share(cluster):
    assert window(cluster, lambda: busy(cluster, 0.19)) == []


def test_the_kernels_own_figures_agree():
    """What this thread burns, as its schedstat counts it, is what the meter sees of a process."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this kernel keeps no schedstat")
    host = HostLoad()
    before = host._seconds_of(str(os.getpid()))
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
    assert 0.19 <= host._seconds_of(str(os.getpid())) - before <= 1.0
