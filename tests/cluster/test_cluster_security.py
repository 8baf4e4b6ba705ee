"""Who may reach a scheduler: loopback as it is, everything else with the certificate; certificates are made once."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fobench.cluster.security import Certificate, certificate, is_loopback, make, security_for
from fobench.contracts import FobenchError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make(tmp_path_factory.mktemp("certificates") / "tls")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "10.0.0.1", "localhost.example", "board-1", ""])
def test_not_loopback(host: str) -> None:
    """A name may be anything by the time it is looked up; only `localhost` is bound to this machine (RFC 6761)."""
    assert not is_loopback(host)


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786"])
def test_loopback_needs_no_certificate(address: str, tmp_path: Path) -> None:
    assert security_for(address, Certificate(tmp_path)) is None


@pytest.mark.parametrize("netloc", ["192.168.1.2:8786", "0.0.0.0:8786", "head:8786", "[fe80::1]:8786"])
def test_nothing_else_goes_without_encryption(netloc: str, made: Certificate) -> None:
    with pytest.raises(FobenchError) as refusal:
        security_for(f"tcp://{netloc}", made)
    text = str(refusal.value)
    assert text.startswith(f"tcp://{netloc} is neither encrypted nor loopback: anybody on that network could run code")
    assert text.endswith(f"`fobench certificates` prints, and use tls://{netloc}")


@pytest.mark.parametrize("address", ["tls://head:8786", "tls://127.0.0.1:8786"])
def test_tls_shows_the_certificate_and_demands_one(address: str, made: Certificate) -> None:
    security = security_for(address, made)
    assert security is not None
    assert security.require_encryption
    for role in ("client", "scheduler", "worker"):
        context = security.get_connection_args(role)["ssl_context"]
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert security.get_listen_args(role)["ssl_context"].verify_mode == ssl.CERT_REQUIRED


def test_tls_without_a_certificate_says_how_to_make_one(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(FobenchError) as refusal:
        security_for("tls://head:8786", Certificate(folder))
    assert str(refusal.value) == (
        f"no certificate: {folder}/certificate.pem is missing; make one with `fobench certificates {folder}` and copy the "
        "folder to every machine, or name its folder with --tls"
    )


def test_a_certificate_without_its_key_is_none(tmp_path: Path, made: Certificate) -> None:
    (tmp_path / "certificate.pem").write_bytes(Path(made.files["cert"]).read_bytes())
    with pytest.raises(FobenchError, match=r"key\.pem is missing"):
        Certificate(tmp_path).security()


@pytest.mark.parametrize(
    "address",
    ["tls://", "tls://head", "head:8786", "http://head:8786", "tls://:8786", "tcp://head:many", "tls://head:99999",
     "tls://[fe80::1:8786", "tls://[head]:8786", "inproc://1", "://", "tcp://127.0.0.1:1/x", "tcp://127.0.0.1:1@head:2", "tcp://head@127.0.0.1:1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str, made: Certificate) -> None:
    with pytest.raises(FobenchError) as refusal:
        security_for(address, made)
    assert str(refusal.value).startswith(f"{address!r} is no scheduler; expected tls://HOST:PORT, tcp://127.0.0.1:PORT")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(address=st.text(st.sampled_from("tcpls:/[]@.0127localhost%\t é#?"), max_size=24))
def test_an_address_is_loopback_encrypted_or_refused(address: str, made: Certificate) -> None:
    try:
        security = security_for(address, made)
    except FobenchError:
        return
    assert security is not None or address.lower().startswith("tcp://")


# --- certificates -----------------------------------------------------------------------------------------------------


def test_only_the_user_can_read_the_key(made: Certificate) -> None:
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in made.folder.iterdir()} == {
        "certificate.pem": 0o600,
        "key.pem": 0o600,
    }


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = make(tmp_path / "tls")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in made.folder.iterdir()} == {0o600}


def test_it_is_valid_for_a_year(made: Certificate) -> None:
    held = x509.load_pem_x509_certificate(Path(made.files["cert"]).read_bytes())
    assert 364 <= (held.not_valid_after_utc - held.not_valid_before_utc).days <= 366


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(
        FobenchError, match=rf"{name} exists; machines that hold it would be locked out: delete it first"
    ):
        make(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "old"}


def test_two_certificates_have_two_keys(made: Certificate, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    assert Path(other.files["key"]).read_bytes() != Path(made.files["key"]).read_bytes()


def test_the_folder_is_the_one_that_is_named_or_that_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("FOBENCH_TLS", raising=False)
    assert certificate().folder == tmp_path / "home/.config/fobench/tls"
    monkeypatch.setenv("FOBENCH_TLS", "~/of-variable")
    assert certificate().folder == tmp_path / "home/of-variable"
    assert certificate(Path("named")).folder == tmp_path / "named"


def test_the_options_are_those_of_dask_and_close_the_http_server(made: Certificate) -> None:
    folder = made.folder
    assert made.options == (
        f"--tls-ca-file {folder}/certificate.pem --tls-cert {folder}/certificate.pem --tls-key {folder}/key.pem "
        "--dashboard-address 127.0.0.1:0"
    )


def test_processes_that_dask_starts_refuse_whoever_has_no_certificate(made: Certificate) -> None:
    import dask
    from distributed import Security

    with dask.config.set(made.configuration):
        security = Security()
        assert security.require_encryption
        for role in ("client", "scheduler", "worker"):
            assert security.get_tls_config_for_role(role) == {
                "ca_file": made.files["cert"], "cert": made.files["cert"], "key": made.files["key"], "ciphers": None,
            }  # fmt: skip
