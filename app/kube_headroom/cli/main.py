"""The entry of `kube-headroom` and `kubectl headroom`: the table of commands and the exit codes.

Commands are imported when they are used, so that `--help` and offline commands stay quick and need
neither the web stack nor the cluster client.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import PurePath
from typing import Final

import click

from kube_headroom.cli.output import print_error
from kube_headroom.errors import AppError, ClusterUnavailable, PolicyError

EXIT_USAGE: Final = 2
"""Bad usage or bad input. 0 is clean, 1 findings."""
EXIT_CLUSTER: Final = 3
"""The cluster cannot be reached."""
EXIT_INTERRUPTED: Final = 130
"""128 and SIGINT's number, as shells have it."""

COMMANDS: Final = {
    "inspect": ("kube_headroom.cli.inspect:inspect", "Show what manifests ask for."),
    "simulate": ("kube_headroom.cli.simulate:simulate", "Show what manifests would meet."),
    "policy": ("kube_headroom.cli.policy:policy", "Check and show policies."),
    "demo": ("kube_headroom.cli.demo:demo", "Try the webhook without a cluster."),
    "serve": ("kube_headroom.cli.serve:serve", "Run the webhook."),
    "certs": ("kube_headroom.cli.certs:certs", "Make and check certificates."),
    "version": ("kube_headroom.cli.version:version", "Show the version."),
}
"""Name, where the command is, and its line in the help."""


class Commands(click.Group):
    """The commands of the table, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list in the help, from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
)
def commands() -> None:
    """Refuse what declares no limits or what the cluster has no room for.

    Exit codes: 0 clean, 1 findings, 2 bad usage or input, 3 cluster unreachable.
    """


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:], program=PurePath(sys.argv[0]).name))


def run(arguments: Sequence[str], *, program: str = "kube-headroom") -> int:
    """Run one command; nothing that a user can cause ends in a traceback."""
    shown = "kubectl headroom" if program.startswith("kubectl-") else "kube-headroom"
    try:
        code = commands.main(list(arguments), prog_name=shown, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except AppError as error:
        for text in error.faults if isinstance(error, PolicyError) else (str(error),):
            print_error(text)
        return EXIT_CLUSTER if isinstance(error, ClusterUnavailable) else EXIT_USAGE
    return code if isinstance(code, int) else 0
