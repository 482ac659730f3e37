"""What commands print for programs: JSON and YAML.

Separate from output.py because every command prints errors, and few need these two libraries.
"""

import click
import msgspec
import yaml


def print_json(value: object) -> None:
    """Print a value as indented JSON with its keys in the order given."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_yaml(value: object) -> None:
    """Print a value as YAML that every YAML parser reads alike."""
    data = msgspec.to_builtins(value)
    text = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=100)
    click.echo(text, nl=False)
