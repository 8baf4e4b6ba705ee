"""A cluster file with SSH hosts, against a real SSH server on this machine that lets one key in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from toy_cluster import SUITE, TOYS, fobench

from fobench.store import ResultStore


@dataclass
class Server:
    """An SSH server in a thread, whose commands run in `folder`."""

    folder: Path
    port: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ssh")
    home = folder / ".ssh"
    home.mkdir()
    host_key, user_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    user_key.write_private_key(home / "id_ed25519")
    user_key.write_public_key(folder / "authorized_keys")
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(_listen(host_key, folder))
    port = listening.get_port()
    public = host_key.export_public_key().decode().strip()
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n[localhost]:{port} {public}\n")
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    environment = pytest.MonkeyPatch()
    environment.setenv("HOME", str(folder))
    environment.setenv("FOBENCH_LOCK", str(folder / "lock"))
    environment.setenv("COLUMNS", "300")
    (folder / "toys.py").write_bytes(TOYS.read_bytes())
    (folder / "suite.yaml").write_text(SUITE.replace("blocks: 3", "blocks: 1"))
    yield Server(folder, port)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    environment.undo()


async def _listen(host_key: asyncssh.SSHKey, folder: Path) -> asyncssh.SSHAcceptor:
    async def run(process: asyncssh.SSHServerProcess[str]) -> None:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(process.command or "true", shell=True, cwd=folder, **pipes) as child:
            await process.redirect(stdout=child.stdout, stderr=child.stderr)
            try:
                process.exit(await asyncio.to_thread(child.wait))
            finally:
                child.kill()

    return await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[host_key], authorized_client_keys=str(folder / "authorized_keys"),
        process_factory=run,
    )  # fmt: skip


def rack(server: Server, *hosts: str) -> Path:
    """Write a cluster file."""
    path = server.folder / "rack.yaml"
    path.write_text(f"ssh:\n  hosts: [{', '.join(hosts)}]\n  python: {sys.executable}\n  port: {server.port}\n")
    return path


def test_a_host_is_reached_measures_and_is_left(server: Server) -> None:
    rack(server, "127.0.0.1")
    done = fobench(server.folder, "run", "suite.yaml", "--cluster", "rack.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "waiting for 1 workers of rack.yaml" in done.stdout and "finished: 2 done" in done.stdout
    frame = ResultStore(server.folder / "results", "toys").frame()
    assert set(frame.machine) == {"127.0.0.1"} and frame.cell.nunique() == 4
    left = subprocess.run(
        ["pgrep", "-f", f"dask_spec.*{server.folder.name}"], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


def test_two_workers_of_one_host_are_refused_before_anything_runs(server: Server) -> None:
    rack(server, "127.0.0.1", "localhost")
    refused = fobench(server.folder, "run", "suite.yaml", "--cluster", "rack.yaml", "--results", "twice")
    assert refused.returncode == 2
    assert "127.0.0.1 and localhost are workers of one host" in refused.stderr
    assert not list((server.folder / "twice").rglob("*.jsonl"))


def test_a_host_that_does_not_let_us_in_is_one_sentence(server: Server) -> None:
    path = rack(server, "127.0.0.1")
    path.write_text(path.read_text().replace(f"port: {server.port}", "port: 1"))
    refused = fobench(server.folder, "check", "suite.yaml", "--cluster", "rack.yaml")
    assert refused.returncode == 2
    assert refused.stderr.startswith("fobench: rack.yaml: the cluster could not be started:")
    assert "Traceback" not in refused.stderr
