"""Cluster files: whatever one holds, it is read or refused at the line; and what the engine is started with."""

from __future__ import annotations

import copy
import json
import random
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dask
import pytest
from dask_jobqueue.pbs import PBSCluster, PBSJob
from dask_jobqueue.slurm import SLURMCluster, SLURMJob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fobench.cluster import clusters
from fobench.cluster.clusters import ClusterFile, ClusterFileError, read, started
from fobench.cluster.security import Certificate, make
from fobench.contracts import FobenchError

MODEST = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SSH = """\
# a rack
ssh:
  hosts: [board-1, board-2]
  python: /opt/fobench/bin/python
  user: bench
  port: 2222
  address: 192.168.1.2
  known_hosts: ~/.ssh/rack
  threads: 2
tls: /etc/fobench/tls
"""
SLURM = """\
slurm:
  jobs: 4
  cores: 8
  memory: 16GB
  queue: exclusive
  job_extra_directives: ["--mem=0"]
  worker_extra_args: [--lifetime, 1h]
  job_script_prologue: [module load python]
  scheduler_options: {host: 192.168.1.2}
"""


def outcome(folder: Path, text: str | bytes) -> ClusterFile | ClusterFileError:
    """Read a file; any other exception than ClusterFileError fails the test, and so does an error without a place."""
    file = folder / "cluster.yaml"
    data = text if isinstance(text, bytes) else text.encode("utf-8", errors="surrogatepass")
    file.write_bytes(data)
    try:
        return read(file)
    except ClusterFileError as error:
        first, *lines = str(error).split(f"\n{file}:")
        count = len(error.problems)
        assert first == f"{file} has {count} problem{'s' * (count > 1)}, nothing was started:"
        assert len(lines) == count > 0
        assert all(problem.line >= 1 and problem.column >= 1 and problem.text for problem in error.problems)
        return error


def problems(folder: Path, text: str) -> list[str]:
    error = outcome(folder, text)
    assert isinstance(error, ClusterFileError), error
    return [f"{problem.line}:{problem.column}: {problem.text}" for problem in error.problems]


def test_a_rack(tmp_path: Path) -> None:
    file = outcome(tmp_path, SSH)
    assert isinstance(file, ClusterFile)
    assert (file.kind, file.size, file.tls) == ("ssh", 2, Path("/etc/fobench/tls"))
    assert file.options["hosts"] == ["board-1", "board-2"]


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_a_batch_system(tmp_path: Path, kind: str) -> None:
    file = outcome(tmp_path, SLURM.replace("slurm", kind))
    assert isinstance(file, ClusterFile)
    assert (file.kind, file.size, file.tls) == (kind, 4, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; expected a mapping with one of ssh, slurm, pbs"),
        ("[ssh]\n", "1:1: expected a mapping with one of ssh, slurm, pbs"),
        ("tls: /x\n", "1:1: found no cluster; expected exactly one of ssh, slurm, pbs"),
        ("pbs: {jobs: 1}\nslurm: {jobs: 1}\n", "1:1: found slurm and pbs; expected exactly one of ssh, slurm, pbs"),
        ("ssh: {hosts: [a]}\ntsl: /x\n", "2:1: a cluster file has no 'tsl'; did you mean 'tls'?"),
        ("ssh: {hosts: [a]}\ntls: [/x]\n", "2:6: tls is a list; expected the folder of the certificate"),
        ("ssh: {hosts: [a]}\ntls: ''\n", "2:6: tls is ''; expected the folder of the certificate"),
        ("ssh: [a, b]\n", "1:6: ssh is a list; expected a mapping"),
        ("ssh:\n", "2:1: ssh is empty; expected a mapping"),
        ("ssh: {}\n", "1:6: ssh needs hosts: a list of names or addresses that SSH reaches"),
        ("ssh:\n  hosts: board\n", "2:10: ssh needs hosts: a list of names or addresses that SSH reaches"),
        ("ssh:\n  hosts: []\n", "2:10: ssh needs hosts: a list of names or addresses that SSH reaches"),
        ("ssh:\n  hosts: [a, 7]\n", "2:10: ssh needs hosts: a list of names or addresses that SSH reaches"),
        ("ssh:\n  hosts: [a, '']\n", "2:10: ssh needs hosts: a list of names or addresses that SSH reaches"),
        ("ssh:\n  hosts: [a, [b]]\n", "2:10: ssh needs hosts: a list of names or addresses that SSH reaches"),
        (
            "ssh:\n  hosts: [a, a]\n",
            "2:10: a host is listed twice; one worker per host, since cells are measured alone",
        ),
        ("ssh:\n  hosts: [a]\n  pythn: x\n", "3:3: ssh has no 'pythn'; did you mean 'python'?"),
        ("ssh:\n  hosts: [a]\n  python: 3\n", "3:11: python is 3; expected text"),
        ("ssh:\n  hosts: [a]\n  port: '22'\n", "3:9: port is '22'; expected a whole number above 0"),
        ("ssh:\n  hosts: [a]\n  threads: 0\n", "3:12: threads is 0; expected a whole number above 0"),
        ("ssh:\n  hosts: [a]\n  threads: true\n", "3:12: threads is true; expected a whole number above 0"),
        ("slurm: {cores: 1}\n", "1:8: slurm needs jobs: the number of nodes to ask for"),
        ("pbs:\n  jobs: 0\n", "2:9: pbs needs jobs: the number of nodes to ask for"),
        ("pbs:\n  jobs: yes\n", "2:9: pbs needs jobs: the number of nodes to ask for"),
        ("slurm: {jobs: 2.0}\n", "1:15: slurm needs jobs: the number of nodes to ask for"),
        ("slurm:\n  jobs: 2\n  processes: 4\n", "3:3: slurm cannot have 'processes': fobench sets it itself"),
        ("slurm:\n  jobs: 2\n  security: x\n", "3:3: slurm cannot have 'security': fobench sets it itself"),
        ("slurm:\n  jobs: 2\n  coers: 8\n", "3:3: slurm has no 'coers'; did you mean 'cores'?"),
        (
            "slurm:\n  jobs: 2\n  job_extra_directives: --mem=0\n",
            "3:25: job_extra_directives is '--mem=0'; expected a list of texts",
        ),
        (
            "pbs:\n  jobs: 2\n  worker_extra_args: [--lifetime, 3]\n",
            "3:22: worker_extra_args is a list; expected a list of texts",
        ),
        ("pbs:\n  jobs: 2\n  scheduler_options: x\n", "3:22: scheduler_options is 'x'; expected a mapping"),
    ],
)
def test_problems_at_their_place(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text) == [expected]


def test_all_problems_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "ssh:\n  hosts: a\n  port: x\n  user: [b]\nother: 1\n")
    assert [problem.partition(": ")[0] for problem in found] == ["2:10", "3:9", "4:9", "5:1"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ClusterFileError, match=r"nowhere\.yaml:1:1: cannot be read .*; expected a cluster file \(YAML\)"
    ):
        read(tmp_path / "nowhere.yaml")
    with pytest.raises(ClusterFileError, match=r":1:1: is a folder; expected a cluster file"):
        read(tmp_path)


# --- whatever a file holds --------------------------------------------------------------------------------------------


@settings(MODEST, max_examples=150)
@given(text=st.sampled_from([SSH, SLURM]), seed=st.integers(0, 2**32))
def test_mutated_text(tmp_path: Path, text: str, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(3):
            case 0:
                text = text[:at] + chance.choice("\t\n[]{}:,-#&*!|>'\"%@`<?~ \\0aé\u2028\x85") + text[at:]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case _:
                text = text[:at] + chr(chance.randrange(1, 0x3000)) + text[at + 1 :]
    outcome(tmp_path, text)


@settings(MODEST, max_examples=40)
@given(data=st.binary(max_size=80))
def test_random_bytes(tmp_path: Path, data: bytes) -> None:
    assert isinstance(outcome(tmp_path, data), ClusterFileError)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(deeper for key, item in items for deeper in places(item, (*place, key)))]


@settings(MODEST, max_examples=150)
@given(text=st.sampled_from([SSH, SLURM]), data=st.data())
def test_random_values_at_random_places(tmp_path: Path, text: str, data: st.DataObject) -> None:
    content = copy.deepcopy(YAML(typ="safe", pure=True).load(text))
    place = data.draw(st.sampled_from(places(content)[1:]))
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = data.draw(values)
    file = outcome(tmp_path, json.dumps(content))
    if isinstance(file, ClusterFile):
        assert file.size >= 1


# --- what the engine is started with ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificates") / "tls")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of the cluster that would be started, and dask's configuration at that moment; nothing is."""
    found: dict[str, Any] = {}

    def note(**arguments: Any) -> None:
        found.update(arguments, encrypted=dask.config.get("distributed.comm.require-encryption"))

    monkeypatch.setattr(clusters, "SpecCluster", lambda **arguments: nullcontext(note(**arguments)))
    for batch in (SLURMCluster, PBSCluster):
        monkeypatch.setattr(batch, "__init__", lambda cluster, **arguments: note(**arguments))
        monkeypatch.setattr(batch, "adapt", lambda cluster, **counts: found.update(adapt=counts))
        monkeypatch.setattr(batch, "__enter__", lambda cluster: cluster)
        monkeypatch.setattr(batch, "__exit__", lambda cluster, *error: found.update(ended=True))
    return found


def start(folder: Path, text: str, made: Certificate) -> int:
    file = folder / "cluster.yaml"
    file.write_text(text.replace("/etc/fobench/tls", str(made.folder)))
    with started(file, made) as (_, count):
        return count


def test_a_worker_per_host_with_one_meter_and_the_certificate(
    tmp_path: Path, made: Certificate, asked: dict[str, Any]
) -> None:
    assert start(tmp_path, SSH, made) == 2
    assert asked["security"].get_tls_config_for_role("worker")["cert"] == made.files["cert"]
    assert asked["encrypted"]
    assert list(asked["workers"]) == ["board-1", "board-2"]
    for host, worker in asked["workers"].items():
        options = worker["options"]
        assert options["address"] == host
        assert options["remote_python"] == "/opt/fobench/bin/python"
        assert options["connect_options"] == {
            "username": "bench", "port": 2222, "known_hosts": str(Path("~/.ssh/rack").expanduser()),
        }  # fmt: skip
        assert options["kwargs"] == {
            "nthreads": 2, "resources": {"meter": 1}, "protocol": "tls://", "dashboard_address": "127.0.0.1:0", "name": host,
        }  # fmt: skip
    scheduler = asked["scheduler"]["options"]
    assert (scheduler["host"], scheduler["protocol"]) == ("192.168.1.2", "tls://")
    assert (scheduler["dashboard"], scheduler["dashboard_address"]) == (False, "127.0.0.1:0")
    assert scheduler["security"] is asked["security"]


def test_loopback_hosts_need_no_certificate(tmp_path: Path, asked: dict[str, Any]) -> None:
    assert start(tmp_path, "ssh: {hosts: [localhost, 127.0.0.2]}\n", Certificate(tmp_path)) == 2
    assert asked["security"] is None
    assert not asked["encrypted"]
    assert asked["scheduler"]["options"]["host"] == "127.0.0.1"
    assert {worker["options"]["kwargs"]["protocol"] for worker in asked["workers"].values()} == {"tcp://"}


def test_one_host_elsewhere_needs_it_for_all(tmp_path: Path, made: Certificate, asked: dict[str, Any]) -> None:
    start(tmp_path, "ssh: {hosts: [localhost, board-1], address: 192.168.1.2}\n", made)
    assert asked["security"].require_encryption
    assert {worker["options"]["kwargs"]["protocol"] for worker in asked["workers"].values()} == {"tls://"}


@pytest.mark.parametrize("text", [SSH.replace("tls: /etc", "tls: /nowhere"), SLURM])
def test_nothing_starts_without_a_certificate(tmp_path: Path, text: str, asked: dict[str, Any]) -> None:
    with pytest.raises(FobenchError, match=r"no certificate: .*certificate\.pem is missing; make one with"):
        start(tmp_path, text, Certificate(tmp_path))
    assert asked == {}


JOBS = {
    "slurm": (SLURMJob, "#SBATCH --exclusive", "#SBATCH --mem=0"),
    "pbs": (PBSJob, "#PBS -l place=excl", "#PBS --mem=0"),
}


@pytest.mark.parametrize("kind", JOBS)
def test_a_job_is_a_whole_node_with_one_meter_named_after_it(
    tmp_path: Path, made: Certificate, asked: dict[str, Any], kind: str
) -> None:
    """Read off the script that dask-jobqueue submits."""
    assert start(tmp_path, SLURM.replace("slurm", kind), made) == 4
    assert asked.pop("adapt") == {"minimum": 4, "maximum": 4}
    assert asked.pop("ended")
    assert asked.pop("encrypted")
    assert asked["processes"] == 1
    assert asked.pop("n_workers") == 0
    assert asked.pop("scheduler_options") == {
        "dashboard": False, "dashboard_address": "127.0.0.1:0", "host": "192.168.1.2",
    }  # fmt: skip
    job, *directives = JOBS[kind]
    script = job("tls://192.168.1.2:7", name="w", **asked).job_script()
    assert set(directives) <= set(script.splitlines())
    assert 'export FOBENCH_MACHINE="$(hostname -s)"' in script.splitlines()
    assert "module load python" in script.splitlines()
    words = script.splitlines()[-1].split()
    for option, value in {
        "--resources": "meter=1", "--dashboard-address": "127.0.0.1:0", "--lifetime": "1h", "--protocol": "tls://",
        "--tls-key": made.files["key"], "--tls-cert": made.files["cert"], "--tls-ca-file": made.files["ca-file"],
    }.items():  # fmt: skip
        assert words[words.index(option) + 1] == value
    assert "--nworkers" not in words or words[words.index("--nworkers") + 1] == "1"


def test_what_dask_jobqueue_refuses_is_one_sentence(tmp_path: Path, made: Certificate) -> None:
    """Its real class, which looks at all keywords before it starts anything."""
    with pytest.raises(
        FobenchError, match=r"cluster\.yaml: the cluster could not be started: You must specify how m[^\n]*$"
    ):
        start(tmp_path, "slurm: {jobs: 1, cores: 8}\n", made)


def test_a_cluster_that_cannot_be_started_is_one_sentence(
    tmp_path: Path, made: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise OSError("Connection refused\nand a long story")

    monkeypatch.setattr(clusters, "SpecCluster", refuse)
    with pytest.raises(FobenchError) as refusal:
        start(tmp_path, SSH, made)
    assert str(refusal.value) == f"{tmp_path}/cluster.yaml: the cluster could not be started: Connection refused"
