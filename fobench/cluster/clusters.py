"""Cluster files: machines that are reached by SSH, or jobs of a batch system, as YAML; and starting what they say.

ssh:
  hosts: [board-1, board-2]        # a worker each, by the name that SSH knows them by
  python: /opt/fobench/bin/python  # of the environment that has fobench, on every host [default: the one here]
  user: bench                      # and port: 22
  address: 192.168.1.2             # of this machine, where the hosts can reach it [default: found out]
tls: /etc/fobench/tls              # folder of the certificate, the same path on every machine

or, with the keywords of dask-jobqueue's SLURMCluster or PBSCluster:

slurm:                             # or pbs:
  jobs: 4
  cores: 8
  memory: 16GB
  queue: exclusive
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import SpecCluster

from fobench import documents
from fobench.cluster.host import MACHINE_VARIABLE
from fobench.cluster.security import Certificate, certificate, is_loopback
from fobench.contracts import FobenchError
from fobench.documents import Document, DocumentError, Form
from fobench.plugins import nearest

KINDS = ("ssh", "slurm", "pbs")
SSH_KEYS = ("hosts", "python", "user", "port", "address", "known_hosts", "threads")
LISTS = ("job_extra_directives", "worker_extra_args", "job_script_prologue")
"""Keys of a batch system that fobench adds to."""

OWN = (
    "n_workers",
    "processes",
    "security",
    "protocol",
    "asynchronous",
    "loop",
    "job_cls",
    "scheduler",
    "scheduler_cls",
)
"""Keywords of dask-jobqueue that are fobench's own business, or no plain values."""

UNSEEN = "127.0.0.1:0"
"""Address of the HTTP server that every process of dask's has: it knows no TLS."""

ARGUMENTS = ("--resources", "meter=1", "--dashboard-address", UNSEEN)
HIDDEN: Mapping[str, Any] = {"dashboard": False, "dashboard_address": UNSEEN}

EXCLUSIVE: Mapping[str, str] = {"slurm": "--exclusive", "pbs": "-l place=excl"}
"""What asks a batch system for a whole node: a power meter sees every job on it."""

PROLOGUE = f'export {MACHINE_VARIABLE}="$(hostname -s)"'
"""Results belong to the node, whatever the engine calls the worker."""


class ClusterFileError(DocumentError):
    """A cluster file that is not valid, with its lines."""

    refused = "nothing was started"


FORM = Form("cluster", f"one of {', '.join(KINDS)}", ClusterFileError)


@dataclass(frozen=True)
class ClusterFile:
    """What a cluster file says: one of `KINDS`, its options, and the folder of the certificate if it names one."""

    kind: str
    options: Mapping[str, Any]
    tls: Path | None

    @property
    def size(self) -> int:
        """Number of workers that will be started."""
        return len(self.options["hosts"]) if self.kind == "ssh" else int(self.options["jobs"])


def read(path: Path) -> ClusterFile:
    """Read one cluster file; raises ClusterFileError with all its problems."""
    document = documents.read(path, FORM)
    for key in document.value:
        if key not in (*KINDS, "tls"):
            document.problem((key,), f"a cluster file has no {key!r}; {nearest(key, [*KINDS, 'tls'])}", at_key=True)
    found = [kind for kind in KINDS if kind in document.value]
    if len(found) != 1:
        document.problem((), f"found {' and '.join(found) or 'no cluster'}; expected exactly one of {', '.join(KINDS)}")
    tls = document.value.get("tls")
    if "tls" in document.value and not (isinstance(tls, str) and tls):
        document.problem(("tls",), f"tls is {documents.shown(tls)}; expected the folder of the certificate")
    for kind in found:
        _check(document, kind)
    if document.problems:
        raise ClusterFileError(path, document.problems)
    return ClusterFile(found[0], document.value[found[0]], Path(tls) if tls else None)


def _check(document: Document, kind: str) -> None:
    options = document.value[kind]
    if not isinstance(options, dict):
        document.problem((kind,), f"{kind} is {documents.shown(options)}; expected a mapping")
    elif kind == "ssh":
        _check_ssh(document, options)
    else:
        _check_jobs(document, kind, options)


def _check_jobs(document: Document, kind: str, options: Mapping[str, Any]) -> None:
    known = _keywords(kind)
    for key, value in options.items():
        if key in OWN:
            document.problem((kind, key), f"{kind} cannot have {key!r}: fobench sets it itself", at_key=True)
        elif key not in known:
            document.problem((kind, key), f"{kind} has no {key!r}; {nearest(key, known)}", at_key=True)
        elif key in LISTS and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            document.problem((kind, key), f"{key} is {documents.shown(value)}; expected a list of texts")
        elif key == "scheduler_options" and not isinstance(value, dict):
            document.problem((kind, key), f"{key} is {documents.shown(value)}; expected a mapping")
    if not isinstance(options.get("jobs"), int) or isinstance(options["jobs"], bool) or options["jobs"] < 1:
        document.problem((kind, "jobs"), f"{kind} needs jobs: the number of nodes to ask for")


def _cluster_class(kind: str) -> Any:
    from dask_jobqueue.pbs import PBSCluster
    from dask_jobqueue.slurm import SLURMCluster

    return {"slurm": SLURMCluster, "pbs": PBSCluster}[kind]


def _keywords(kind: str) -> list[str]:
    """Return the keys of a batch system: those of dask-jobqueue's cluster and job, and `jobs`."""
    from dask_jobqueue.core import Job, JobQueueCluster

    signatures = (inspect.signature(made.__init__) for made in (JobQueueCluster, Job, _cluster_class(kind).job_cls))
    named = {
        name for found in signatures for name, given in found.parameters.items() if given.kind != given.VAR_KEYWORD
    }
    return ["jobs", *sorted(named - {"self", *OWN})]


def _check_ssh(document: Document, options: Mapping[str, Any]) -> None:
    for key in options:
        if key not in SSH_KEYS:
            document.problem(("ssh", key), f"ssh has no {key!r}; {nearest(key, list(SSH_KEYS))}", at_key=True)
    hosts = options.get("hosts")
    if not isinstance(hosts, list) or not hosts or not all(isinstance(host, str) and host for host in hosts):
        document.problem(("ssh", "hosts"), "ssh needs hosts: a list of names or addresses that SSH reaches")
    elif len(set(hosts)) < len(hosts):
        document.problem(
            ("ssh", "hosts"), "a host is listed twice; one worker per host, since cells are measured alone"
        )
    for key in ("python", "user", "address", "known_hosts"):
        if key in options and not isinstance(options[key], str):
            document.problem(("ssh", key), f"{key} is {documents.shown(options[key])}; expected text")
    for key in ("port", "threads"):
        if key in options and (not isinstance(options[key], int) or isinstance(options[key], bool) or options[key] < 1):
            document.problem(("ssh", key), f"{key} is {documents.shown(options[key])}; expected a whole number above 0")


@contextmanager
def started(path: Path, chosen: Certificate) -> Iterator[tuple[SpecCluster, int]]:
    """Start scheduler and workers of a cluster file, and stop them at the end; yields the cluster and how many workers it has."""
    file = read(path)
    held = certificate(file.tls) if file.tls else chosen
    with ExitStack() as stack:
        # every process that dask starts is to find the certificate, unless nothing leaves this machine
        stack.enter_context(dask.config.set({} if _is_local(file) else held.configuration))
        try:
            cluster = stack.enter_context(_ssh(file, held) if file.kind == "ssh" else _jobs(file, held))
        except FobenchError:
            raise
        except Exception as error:  # asyncssh, dask and the batch system's commands raise their own types
            text = str(error).strip().partition("\n")[0] or type(error).__name__
            raise FobenchError(f"{path}: the cluster could not be started: {text}") from error
        yield cluster, file.size


def _is_local(file: ClusterFile) -> bool:
    return file.kind == "ssh" and all(is_loopback(host) for host in file.options["hosts"])


def _ssh(file: ClusterFile, held: Certificate) -> SpecCluster:
    from distributed import Scheduler
    from distributed.deploy import ssh
    from distributed.utils import get_ip

    options = file.options
    local = _is_local(file)
    security = None if local else held.security()
    reach = {key: options[name] for name, key in (("user", "username"), ("port", "port")) if name in options}
    if "known_hosts" in options:
        reach["known_hosts"] = str(Path(options["known_hosts"]).expanduser())
    worker = {
        "nthreads": options.get("threads", 1),
        "resources": {"meter": 1},
        "protocol": "tcp://" if local else "tls://",
        "dashboard_address": UNSEEN,
    }
    workers = {
        host: {
            "cls": ssh.Worker,
            "options": {
                "address": host,
                "connect_options": reach,
                "kwargs": {**worker, "name": host},
                "remote_python": options.get("python"),
            },
        }
        for host in options["hosts"]
    }
    address = options.get("address") or ("127.0.0.1" if local else get_ip(options["hosts"][0]))
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": address, "port": 0, "security": security, "protocol": worker["protocol"], **HIDDEN,
        },
    }  # fmt: skip
    return SpecCluster(workers=workers, scheduler=scheduler, security=security, name="fobench", silence_logs=50)


def _jobs(file: ClusterFile, held: Certificate) -> SpecCluster:
    given = {key: value for key, value in file.options.items() if key != "jobs"}
    ours = ([EXCLUSIVE[file.kind]], ARGUMENTS, [PROLOGUE])
    added = {key: [*given.pop(key, []), *texts] for key, texts in zip(LISTS, ours, strict=True)}
    scheduler = {**HIDDEN, **given.pop("scheduler_options", {})}
    cluster: SpecCluster = _cluster_class(file.kind)(
        n_workers=0,
        processes=1,
        security=held.security(),
        protocol="tls://",
        scheduler_options=scheduler,
        **added,
        **given,
    )
    cluster.adapt(minimum=file.options["jobs"], maximum=file.options["jobs"])  # as `scale`, and replaces a lost job
    return cluster
