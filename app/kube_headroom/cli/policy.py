"""`kube-headroom policy`: check a policy before it is applied, and show what it means."""

import click

from kube_headroom.cli.output import output_option, print_error
from kube_headroom.cli.policy_file import load, policy_texts, read_policy
from kube_headroom.cli.serialized import print_json, print_yaml
from kube_headroom.errors import PolicyError
from kube_headroom.policy.load import DEFAULT_POLICY, policy_data, policy_hash
from kube_headroom.policy.schema import policy_schema


def _validate(names: tuple[str, ...]) -> int:
    broken = False
    for name in names:
        try:
            for text in policy_texts(name):
                click.echo(f"{text.source}: valid, hash {policy_hash(load(text))}")
        except PolicyError as error:
            broken = True
            for fault in error.faults:
                print_error(fault)
    return 2 if broken else 0


def _show(name: str | None, form: str) -> None:
    data = policy_data(DEFAULT_POLICY if name is None else read_policy(name))
    if form == "json":
        print_json(data)
    else:
        print_yaml(data)


def _schema() -> None:
    print_json(policy_schema())


_VALIDATE = click.Command(
    "validate",
    params=[click.Argument(["names"], nargs=-1, required=True, metavar="FILE|-...")],
    callback=_validate,
    help="Check policies: bare YAML, or the ConfigMap around it. Names every fault with its line; "
    "exit code 2 if there is one.",
)
_SHOW = click.Command(
    "show",
    params=[
        click.Argument(["name"], required=False, metavar="[FILE|-]"),
        output_option("yaml", "json"),
    ],
    callback=_show,
    help="Show a policy with all defaults filled in; without FILE the default policy.",
)
_SCHEMA = click.Command(
    "schema", callback=_schema, help="Print the JSON Schema of a policy, for editors."
)

policy = click.Group(
    "policy",
    commands=[_VALIDATE, _SHOW, _SCHEMA],
    help="Check and show policies.",
)
