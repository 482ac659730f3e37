"""`kube-headroom serve`: the webhook's process. All its settings are one table's."""

import os

import click

from kube_headroom.server.settings import OPTIONS, Option, read_settings


def _click_option(option: Option) -> click.Option:
    shown = f"  [default: {option.default}]" if 0 < len(option.default) < 40 else ""
    return click.Option([option.flag], help=f"{option.help}{shown}  [env: {option.variable}]")


def _serve(**flags: str | None) -> int:
    settings = read_settings(flags, os.environ)
    # The web stack takes a second to import: only now, so that --help and faults are quick.
    from kube_headroom.server.logging import configure_logging  # noqa: PLC0415
    from kube_headroom.server.run import run  # noqa: PLC0415
    from kube_headroom.server.wiring import build_service  # noqa: PLC0415

    configure_logging(settings.log_level, settings.log_format)
    return run(settings, build_service)


serve = click.Command(
    "serve",
    params=[_click_option(option) for option in OPTIONS],
    callback=_serve,
    help="Serve admission reviews, metrics and probes until SIGTERM.",
)
