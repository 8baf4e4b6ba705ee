"""`fobench` on two hosts in network namespaces, over TLS: who has the certificate is in, who has not is out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import two_hosts, unavailable
from toy_cluster import SUITE, ToyCluster, fobench, toy_cluster

from fobench.cluster.security import make
from fobench.store import ResultStore


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyCluster]:
    if reason := unavailable():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    certificate = make(folder / "tls")
    with two_hosts(folder) as network:
        prefixes = {host.name: host.prefix for host in network.hosts}
        with toy_cluster(
            folder, names=tuple(prefixes), prefixes=prefixes, host=network.submitter, tls=certificate
        ) as cluster:
            (folder / "suite.yaml").write_text(SUITE.replace("blocks: 3", "blocks: 2"))
            yield cluster


def test_both_hosts_measure_a_block_each(cluster: ToyCluster) -> None:
    done = fobench(cluster.folder, "run", "suite.yaml", "--cluster", cluster.address, "--tls", "tls")
    assert done.returncode == 0, done.stdout + done.stderr
    frame = ResultStore(cluster.folder / "results", "toys").frame()
    homes = frame[frame.seed.notna()].groupby("seed", observed=True).machine.unique()
    assert sorted(name for names in homes for name in names) == ["host-a", "host-b"]


def test_without_the_certificate_nobody_is_let_in(cluster: ToyCluster, tmp_path: Path) -> None:
    make(tmp_path / "other")
    wrong = fobench(
        cluster.folder, "check", "suite.yaml", "--cluster", cluster.address, "--tls", str(tmp_path / "other")
    )
    missing = fobench(cluster.folder, "check", "suite.yaml", "--cluster", cluster.address, "--tls", "nowhere")
    plain = fobench(cluster.folder, "check", "suite.yaml", "--cluster", cluster.address.replace("tls://", "tcp://"))
    assert [run.returncode for run in (wrong, missing, plain)] == [2, 2, 2]
    assert "no scheduler answers" in wrong.stderr and "Traceback" not in wrong.stderr
    assert "fobench certificates" in missing.stderr
    assert "neither encrypted nor loopback" in plain.stderr
