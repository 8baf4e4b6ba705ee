"""What dask.distributed must do for fobench between hosts: TLS, a worker per host, one measuring task at a time on each."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from child_processes import Process, await_true, last_words, running
from distributed import Client, Security
from distributed.comm import CommClosedError
from namespaces import Host, Network, two_hosts, unavailable

METER = {"meter": 1}
QUIET = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
"""The engine's HTTP server knows no TLS: without an address it would listen on every interface, dashboard or not."""
PATIENCE = 30


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two hosts that these tests share."""
    if reason := unavailable():
        pytest.skip(reason)
    with two_hosts(tmp_path_factory.mktemp("hosts")) as network:
        yield network


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key, and the certificate that it signed itself."""
    return new_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def scheduler(network: Network, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler on this host that asks every peer for a certificate."""
    folder = tmp_path_factory.mktemp("scheduler")
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--protocol", "tls", "--host", network.submitter]
    command += ["--port", "0", *QUIET, "--scheduler-file", str(file), *options(certificates)]
    with running(command, folder / "output", os.environ):
        await_true(file.exists, PATIENCE, lambda: f"no scheduler: {last_words(folder / 'output')}")
        yield json.loads(file.read_text())["address"]


@pytest.fixture(scope="module")
def client(
    network: Network, certificates: Path, scheduler: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of the scheduler, which has one worker on each host, named like it."""
    with ExitStack() as workers:
        for host in network.hosts:
            folder = tmp_path_factory.mktemp(host.name)
            workers.enter_context(worker(host, scheduler, folder, *options(certificates)))
        with Client(scheduler, security=security(certificates), timeout=PATIENCE) as client:
            client.wait_for_workers(len(network.hosts), timeout=PATIENCE)
            yield client


def test_a_task_runs_on_the_host_that_it_names(network: Network, client: Client) -> None:
    for host in network.hosts:
        name = client.submit(lambda: os.uname().nodename, workers=[host.name], resources=METER, pure=False)
        assert name.result(timeout=PATIENCE) == host.name


def test_measuring_tasks_never_share_a_host(network: Network, client: Client) -> None:
    def times(_: int) -> tuple[float, float]:
        begin = time.time()
        time.sleep(0.2)
        return begin, time.time()

    tasks = client.map(times, range(3), workers=[network.hosts[0].name], resources=METER, pure=False)
    first, second, third = sorted(client.gather(tasks))
    assert first[1] <= second[0] < second[1] <= third[0]


def test_a_worker_with_another_authoritys_certificate_is_refused(
    network: Network, client: Client, scheduler: str, certificates: Path, tmp_path: Path
) -> None:
    new_certificates(tmp_path)
    foreign = options(tmp_path, authority=certificates)
    with worker(network.hosts[0], scheduler, tmp_path, *foreign, name="stranger") as stranger:
        assert_refused(stranger, client, tmp_path)


def test_a_worker_without_tls_is_refused(network: Network, client: Client, scheduler: str, tmp_path: Path) -> None:
    plain = scheduler.replace("tls://", "tcp://")
    with worker(network.hosts[0], plain, tmp_path, name="stranger") as stranger:
        assert_refused(stranger, client, tmp_path)


def test_a_peer_without_a_certificate_is_refused_by_the_scheduler(client: Client, scheduler: str) -> None:
    url = urlsplit(scheduler)
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((url.hostname, url.port), timeout=PATIENCE)
    with careless.wrap_socket(plain) as peer, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        peer.recv(1)


def test_a_client_without_tls_is_refused(client: Client, scheduler: str) -> None:
    with pytest.raises(CommClosedError):
        Client(scheduler.replace("tls://", "tcp://"), timeout=2)
    assert client.submit(sum, (1, 2), pure=False).result(timeout=PATIENCE) == 3


@contextmanager
def worker(host: Host, scheduler: str, folder: Path, *certificates: str, name: str | None = None) -> Iterator[Process]:
    """Run a worker with two threads and one meter on a host, which gives up after 5 s without a scheduler."""
    command = [*host.prefix, sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-nanny"]
    command += ["--name", name or host.name, "--host", host.address, "--nthreads", "2", "--resources", "meter=1"]
    command += [*QUIET, "--local-directory", str(folder), "--death-timeout", "5", *certificates]
    with running(command, folder / "output", os.environ) as process:
        yield process


def assert_refused(stranger: Process, client: Client, folder: Path) -> None:
    """The stranger gives up waiting, and it was never among the workers."""
    seen: set[str] = set()

    def ended() -> bool:
        seen.update(facts["id"] for facts in client.scheduler_info()["workers"].values())
        return stranger.poll() is not None

    await_true(ended, PATIENCE, lambda: f"the stranger still runs: {last_words(folder / 'output')}")
    assert "Timed out starting worker" in last_words(folder / "output")
    assert seen == {"host-a", "host-b"}


def new_certificates(folder: Path) -> Path:
    """Write a key and a certificate that is its own authority."""
    fresh = Security.temporary()
    (folder / "key.pem").write_text(fresh.tls_worker_key)
    (folder / "certificate.pem").write_text(fresh.tls_worker_cert)
    return folder


def options(folder: Path, authority: Path | None = None) -> list[str]:
    """Return what the command line of a scheduler or a worker says of its certificate and of whom it trusts."""
    trusted = (authority or folder) / "certificate.pem"
    certificate = ["--tls-cert", str(folder / "certificate.pem"), "--tls-key", str(folder / "key.pem")]
    return ["--tls-ca-file", str(trusted), *certificate]


def security(folder: Path) -> Security:
    """Return the same for a client."""
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    return Security(require_encryption=True, tls_ca_file=certificate, tls_client_cert=certificate, tls_client_key=key)
