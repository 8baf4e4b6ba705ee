"""Download files with checksums (pooch): resumed where they broke off, under their final name only when every byte is right.

A file on its way is called `NAME.partial`. Nothing but `fobench data fetch` comes here.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fobench.contracts import DatasetError

TIMEOUT_S = 30
CHUNK = 4096
"""Bytes; what a broken connection brought of the last chunk is lost, so it is small."""
AGAIN = "run the same `fobench data fetch` again"


@dataclass(frozen=True)
class Download:
    """A file below a server's folder, and its checksum as `sha256:...`, or `md5:...` where the publisher gives no other."""

    name: str
    checksum: str


def fetch_all(downloads: Sequence[Download], folder: Path, base_url: str) -> None:
    """Bring every file from one server; a file already there with the right checksum is left alone."""
    for download in downloads:
        _retrieve(download, folder, base_url)


def fetch_first(downloads: Sequence[Download], folder: Path, mirrors: Sequence[str]) -> None:
    """Bring every file from the first mirror that gives all of them; the error is the last mirror's."""
    for position, mirror in enumerate(mirrors, start=1):
        try:
            fetch_all(downloads, folder, mirror)
            return
        except DatasetError:
            if position == len(mirrors):
                raise


def publisher_checksums(folder: Path, base_url: str) -> dict[str, str]:
    """Take the publisher's own list SHA256SUMS.txt, keep it in `folder`, and return `sha256:...` by file name."""
    import requests

    url = _join(base_url, "SHA256SUMS.txt")
    try:
        response = requests.get(url, timeout=TIMEOUT_S)
        response.raise_for_status()
    except requests.RequestException as error:
        raise DatasetError(_sentence(url, error)) from error
    listed = [line.split(maxsplit=1) for line in response.text.splitlines() if line.strip()]
    if not listed or any(len(fields) != 2 or len(fields[0]) != 64 for fields in listed):
        raise DatasetError(f"{url} is not a list of SHA-256 checksums and names; is the address right?")
    path = folder / "SHA256SUMS.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(response.text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(_unwritable(path, error)) from error
    return {name.strip().lstrip("*"): f"sha256:{digest}" for digest, name in listed}


def with_checksums(names: Sequence[str], checksums: dict[str, str], base_url: str) -> list[Download]:
    """Pair names with the publisher's checksums; a name that the publisher does not list is refused."""
    if absent := [name for name in names if name not in checksums]:
        raise DatasetError(
            f"{_join(base_url, 'SHA256SUMS.txt')} does not list {', '.join(absent[:3])}; is the address right?"
        )
    return [Download(name, checksums[name]) for name in names]


def _retrieve(download: Download, folder: Path, base_url: str) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    url = _join(base_url, download.name)
    try:
        pooch.retrieve(url, download.checksum, download.name, folder, downloader=_Resuming(folder / download.name))
    except requests.RequestException as error:
        raise DatasetError(_sentence(url, error)) from error
    except ValueError as error:
        raise DatasetError(
            f"{url} gave other bytes than the published ones (expected {download.checksum}); nothing was kept: {AGAIN}, "
            "or take the file from another server"
        ) from error
    except OSError as error:
        raise DatasetError(_unwritable(folder / download.name, error)) from error


class _Resuming:
    """A pooch downloader that continues a `.partial` file with an HTTP range request."""

    def __init__(self, target: Path) -> None:
        self.partial = target.with_name(target.name + ".partial")

    def __call__(self, url: str, output: str, _pooch: Any) -> None:
        """Complete the partial file, then hand it over as `output`, which pooch checks and renames."""
        import requests

        have = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.partial.unlink()
                self(url, output, _pooch)
                return
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            with self.partial.open("ab" if resumed else "wb") as file:
                _copy(response, file)
        shutil.move(self.partial, output)


def _copy(response: Any, file: IO[bytes]) -> None:
    import requests
    from tqdm import tqdm

    total = file.tell() + int(response.headers.get("Content-Length", 0))
    name = response.url.rpartition("/")[2]
    with tqdm(
        desc=name, initial=file.tell(), total=total, unit="B", unit_scale=True, leave=False, disable=None
    ) as progress:
        try:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
        except requests.RequestException as error:
            raise DatasetError(
                f"{response.url} broke off after {file.tell()} of {total} bytes; {AGAIN}, it resumes there"
            ) from error


def _join(base_url: str, name: str) -> str:
    return f"{base_url.rstrip('/')}/{name}"


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror}); mend that or choose another folder with --data, then {AGAIN}"


def _sentence(url: str, error: Any) -> str:
    response = error.response
    if response is not None:
        return (
            f"{url}: the server says {response.status_code} {response.reason}; the file may have moved: "
            "docs/datasets.md says how to bring it by hand"
        )
    return f"{url}: no answer ({type(error).__name__}); check the network, then {AGAIN}"
