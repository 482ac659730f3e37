"""Options that mean the same in every command that reads manifests."""

import click


def filename_option() -> click.Option:
    """Return -f: what to read, as with kubectl."""
    return click.Option(
        ["-f", "--filename", "names"],
        multiple=True,
        required=True,
        metavar="FILE|DIR|-",
        help="Manifests: a file, a directory (recursively), or - for stdin. Repeatable.",
    )


def policy_option() -> click.Option:
    """Return --policy: what to judge by."""
    return click.Option(
        ["--policy"], metavar="FILE", help="Judge by this policy instead of the default one."
    )


def namespace_option() -> click.Option:
    """Return -n: where objects belong that do not say it."""
    return click.Option(
        ["-n", "--namespace"],
        default="default",
        show_default=True,
        help="Namespace of objects that name none.",
    )
