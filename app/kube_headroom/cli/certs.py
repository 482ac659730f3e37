"""`kube-headroom certs`: certificates in files, for development and for whoever keeps his own."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from kube_headroom.tls.issue import issue
from kube_headroom.tls.pair import Pair, UnusableCertificate, facts_of, pair_faults, read_pair

CA_FILE, CERT_FILE, KEY_FILE = "ca.crt", "tls.crt", "tls.key"


@click.group()
def certs() -> None:
    """Issue and check certificates in files."""


@certs.command("issue")
@click.option("--dns", multiple=True, metavar="NAME", help="A DNS name to serve; repeatable.")
@click.option("--ip", multiple=True, metavar="ADDR", help="An address to serve; repeatable.")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--ca-days", default=3650, show_default=True, type=click.IntRange(1, 36500))
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 36500))
@click.option("--force", is_flag=True, help="Replace files that are there.")
def issue_command(
    dns: tuple[str, ...],
    ip: tuple[str, ...],
    out: Path,
    ca_days: int,
    days: int,
    force: bool,  # noqa: FBT001 - as above
) -> None:
    """Make an authority and a server certificate: ca.crt, tls.crt and tls.key in --out.

    The authority's key is thrown away; a renewal makes a new authority.
    """
    try:
        made = issue(dns, ip, ca_days=ca_days, leaf_days=days, now=datetime.now(UTC))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    contents = {CA_FILE: made.ca_pem, CERT_FILE: made.cert_pem, KEY_FILE: made.key_pem}
    present = [name for name in contents if (out / name).exists()]
    if present and not force:
        raise click.UsageError(f"{', '.join(present)} already in {out}; --force replaces all three")
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write(out / name, content, mode=0o600 if name == KEY_FILE else 0o644)
    click.echo(f"wrote {', '.join(contents)} to {out}")


@certs.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify_command(folder: Path) -> None:
    """Say what is in FOLDER and what is wrong with it; exit code 1 when something is."""
    ca_path = folder / CA_FILE
    try:
        pair = read_pair(folder / CERT_FILE, folder / KEY_FILE)
        _show(pair)
        ca_pem = ca_path.read_bytes() if ca_path.exists() else None
        faults = pair_faults(pair, ca_pem=ca_pem, now=datetime.now(UTC))
    except UnusableCertificate as error:
        faults = (str(error),)
    for fault in faults:
        click.echo(f"fault: {fault}", err=True)
    if faults:
        sys.exit(1)
    click.echo("certificate and key can be served")


def _show(pair: Pair) -> None:
    facts = facts_of(pair.cert_pem)
    days_left = (facts.not_after - datetime.now(UTC)).days
    click.echo(f"names:     {', '.join((*facts.dns_names, *facts.ip_addresses)) or 'none'}")
    click.echo(
        f"valid:     {facts.not_before:%Y-%m-%d %H:%M} to {facts.not_after:%Y-%m-%d %H:%M} UTC"
    )
    click.echo(f"days left: {days_left}")


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write beside and swap in: a key is never readable by others, a reader never sees half."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(path)
