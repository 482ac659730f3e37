"""`kube-headroom version`: what is installed."""

import platform
from importlib.metadata import version as installed_version

import click

from kube_headroom.cli.output import output_option
from kube_headroom.cli.serialized import print_json


def _show(form: str) -> None:
    """Show the version."""
    found = installed_version("kube-headroom")
    if form == "json":
        print_json({"version": found, "python": platform.python_version()})
    else:
        click.echo(f"kube-headroom {found}")


version = click.Command(
    "version", params=[output_option("text", "json")], callback=_show, help="Show the version."
)
