"""`kube-headroom certs`: what it writes can be served, and nothing is lost by mistake."""

import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kube_headroom.cli.certs import certs
from kube_headroom.tls.serve import CertificateFiles
from tests.tls.conftest import Handshake


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(certs, arguments)


def _issue(folder: Path, *more: str) -> Result:
    return _run("issue", "--dns=localhost", "--ip=127.0.0.1", f"--out={folder}", *more)


def test_what_is_issued_is_trusted(tmp_path: Path, handshake: Handshake) -> None:
    assert _issue(tmp_path / "dev").exit_code == 0
    folder = tmp_path / "dev"
    files = CertificateFiles.open(folder / "tls.crt", folder / "tls.key")
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    assert handshake(files.context, client, "localhost").version()
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]
    assert (folder / "tls.key").stat().st_mode & 0o777 == 0o600


def test_files_are_replaced_only_with_force(tmp_path: Path) -> None:
    _issue(tmp_path)
    before = (tmp_path / "tls.key").read_bytes()
    refused = _issue(tmp_path)
    assert (refused.exit_code, "--force" in refused.output) == (2, True)
    assert (tmp_path / "tls.key").read_bytes() == before
    assert _issue(tmp_path, "--force").exit_code == 0
    assert (tmp_path / "tls.key").read_bytes() != before
    assert _run("verify", str(tmp_path)).exit_code == 0


@pytest.mark.parametrize("arguments", [[], ["--ip=nonsense"], ["--dns=a", "--days=9999"]])
def test_what_cannot_be_issued_is_a_usage_error(arguments: list[str], tmp_path: Path) -> None:
    result = _run("issue", f"--out={tmp_path / 'x'}", *arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "x").exists()


def test_verify_names_every_fault(tmp_path: Path) -> None:
    _issue(tmp_path)
    _issue(tmp_path / "other")
    (tmp_path / "tls.key").write_bytes((tmp_path / "other/tls.key").read_bytes())
    (tmp_path / "ca.crt").write_bytes((tmp_path / "other/ca.crt").read_bytes())
    result = _run("verify", str(tmp_path))
    assert result.exit_code == 1
    assert "the key does not belong to the certificate" in result.output
    assert "not signed by the given authority" in result.output
    assert "localhost, 127.0.0.1" in result.output
