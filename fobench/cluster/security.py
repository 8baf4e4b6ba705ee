"""Who may speak to whom: TLS with one certificate that every machine of the cluster holds, and nobody else.

Who can reach a scheduler can run any code on its workers, so that everything but loopback is encrypted and authenticated on
both sides. The key of the certificate is the key to the machines: whoever has it is let in.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Security
from platformdirs import user_config_path

from fobench.contracts import FobenchError

TLS_VARIABLE = "FOBENCH_TLS"
CERTIFICATE, KEY = "certificate.pem", "key.pem"


@dataclass(frozen=True)
class Certificate:
    """The folder that holds the certificate and its key."""

    folder: Path

    @property
    def files(self) -> dict[str, str]:
        """Paths by the names that dask's command line has for them: it is its own authority."""
        certificate, key = str(self.folder / CERTIFICATE), str(self.folder / KEY)
        return {"ca-file": certificate, "cert": certificate, "key": key}

    @property
    def options(self) -> str:
        """Return the options of `dask scheduler` and `dask worker`; their HTTP servers know no TLS and are kept on loopback."""
        return (
            " ".join(f"--tls-{name} {path}" for name, path in self.files.items()) + " --dashboard-address 127.0.0.1:0"
        )

    @property
    def configuration(self) -> dict[str, object]:
        """Return dask's settings by which every process that it starts uses the certificate, and refuses who does not."""
        certificate, key = self.files["cert"], self.files["key"]
        roles = ("scheduler", "worker", "client")
        settings: dict[str, object] = {f"distributed.comm.tls.{role}.cert": certificate for role in roles}
        settings |= {f"distributed.comm.tls.{role}.key": key for role in roles}
        return {
            **settings,
            "distributed.comm.tls.ca-file": certificate,
            "distributed.comm.require-encryption": True,
            "distributed.comm.default-scheme": "tls",
        }

    def security(self) -> Security:
        """Return what a client shows and demands; raises FobenchError if a file is missing."""
        missing = [path for path in self.files.values() if not Path(path).is_file()]
        if missing:
            raise FobenchError(
                f"no certificate: {missing[0]} is missing; make one with `fobench certificates {self.folder}` and copy the "
                "folder to every machine, or name its folder with --tls"
            )
        certificate, key = self.files["cert"], self.files["key"]
        roles = ("scheduler", "worker", "client")
        given = {f"tls_{role}_{part}": path for role in roles for part, path in (("cert", certificate), ("key", key))}
        return Security(tls_ca_file=certificate, require_encryption=True, **given)


def certificate(folder: Path | None = None) -> Certificate:
    """Return the certificate of a folder: the one that is named, `FOBENCH_TLS`, or the user's configuration folder."""
    named = str(folder or os.environ.get(TLS_VARIABLE, ""))
    default = user_config_path("fobench", appauthor=False) / "tls"
    return Certificate(Path(named).expanduser().absolute() if named else default)


def make(folder: Path) -> Certificate:
    """Write a new certificate, valid for a year, and its key, which only the user may read; never over an old one."""
    made = Certificate(folder.expanduser().absolute())
    existing = [path for path in made.files.values() if Path(path).exists()]
    if existing:
        raise FobenchError(
            f"{existing[0]} exists; machines that hold it would be locked out: delete it first, or name another folder"
        )
    fresh = Security.temporary()
    made.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in ((CERTIFICATE, fresh.tls_ca_file), (KEY, fresh.tls_client_key)):
        descriptor = os.open(made.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    return made


def security_for(address: str, chosen: Certificate) -> Security | None:
    """Return what it takes to speak to a scheduler: nothing on loopback, the certificate with `tls://`; refuses the rest."""
    scheme, host = _parts(address)
    if scheme not in ("tcp", "tls") or not host:
        raise FobenchError(
            f"{address!r} is no scheduler; expected tls://HOST:PORT, tcp://127.0.0.1:PORT, or a cluster file (YAML)"
        )
    if scheme == "tls":
        return chosen.security()
    if not is_loopback(host):
        raise FobenchError(
            f"{address} is neither encrypted nor loopback: anybody on that network could run code on the workers; "
            "start scheduler and workers with the options that `fobench certificates` prints, and use "
            f"tls://{address.removeprefix('tcp://')}"
        )
    return None


def is_loopback(host: str) -> bool:
    """Say whether a host is this one, unreachable from elsewhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(address: str) -> tuple[str, str]:
    """Return scheme and host of SCHEME://HOST:PORT; nothing of what is not written so."""
    try:
        parts = urlsplit(address)
        whole = parts.port is not None and address == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        return "", ""
    return (parts.scheme, parts.hostname or "") if whole and "@" not in parts.netloc else ("", "")
