"""Two hosts on one machine: namespaces with a network and a host name of their own, joined to this host by a virtual cable.

    this host, SUBMITTER ──┬── host-a
                           └── host-b

A namespace lives as long as the one process that holds it, and the kernel ends that process with this one: nothing is
left behind, whatever happens. The hosts share everything else: files, processors, memory, the table of processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from child_processes import Process, await_true, last_words, running

PROGRAMS = ("ip", "nsenter", "setpriv", "unshare")
BENCHMARK_NETWORK = IPv4Address("198.18.0.0")
"""198.18.0.0/15 is reserved for tests between hosts (RFC 2544)."""


@dataclass(frozen=True)
class Host:
    """A namespace: `prefix` before a command runs it there."""

    name: str
    address: str
    prefix: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """Two hosts, and the address of this host that both reach."""

    submitter: str
    hosts: tuple[Host, Host]


def unavailable() -> str | None:
    """Say in one sentence why there can be no such hosts here; None where there can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"no network namespaces: no {', '.join(missing)} (apt-get install iproute2 util-linux)"
    probe = ["unshare", "--net", "--uts", "ip", "link", "add", "type", "veth"]
    done = subprocess.run(probe, capture_output=True, text=True)
    return f"no network namespaces: {done.stderr.strip()}" if done.returncode else None


@contextmanager
def two_hosts(folder: Path) -> Iterator[Network]:
    """Open `host-a` and `host-b`; the words of the processes that hold them go below `folder`."""
    first = BENCHMARK_NETWORK + 4 * (os.getpid() % 2**15)
    submitter, *addresses = (str(first + number) for number in range(3))
    with ExitStack() as open_hosts:
        a, b = (
            open_hosts.enter_context(_host(name, address, submitter, folder))
            for name, address in zip(("host-a", "host-b"), addresses, strict=True)
        )
        yield Network(submitter, (a, b))


@contextmanager
def _host(name: str, address: str, submitter: str, folder: Path) -> Iterator[Host]:
    output = folder / f"{name}.output"
    holder = ["unshare", "--net", "--uts", "sh", "-c", f"hostname {name} && echo open && exec sleep infinity"]
    with running(holder, output, os.environ) as process:
        await_true(lambda: "open" in output.read_text(), 10, lambda: f"{name} does not open: {last_words(output)}")
        host = Host(name, address, ("nsenter", "--net", "--uts", "--target", str(process.pid)))
        _join(host, process, submitter)
        yield host


def _join(host: Host, process: Process, submitter: str) -> None:
    """Lay a cable. Both ends have one address without a network, so that this host has the same one on every cable."""
    here = f"fob{process.pid}"
    _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
    _ip("address", "add", submitter, "peer", host.address, "dev", here)
    _ip("link", "set", here, "up")
    _ip("address", "add", host.address, "peer", submitter, "dev", "eth0", prefix=host.prefix)
    for interface in ("lo", "eth0"):
        _ip("link", "set", interface, "up", prefix=host.prefix)


def _ip(*arguments: str, prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([*prefix, "ip", *arguments], check=True, capture_output=True, text=True)
