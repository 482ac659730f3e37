"""`kube-headroom demo`: the webhook tried without a cluster, and checked against what was expected.

The real HTTPS server runs in this process over a snapshot file; each manifest is sent to it as
kube-apiserver would send it, and what kubectl would print is printed. Nothing leaves this machine.
"""

import os
from collections.abc import Sequence
from typing import Protocol

import click
import msgspec

from kube_headroom.cli.demo_reviews import ApiServer, Step
from kube_headroom.cli.inputs import read_inputs, shown_fault
from kube_headroom.cli.output import print_error, printable
from kube_headroom.cluster.snapshot import load_snapshot
from kube_headroom.errors import AppError
from kube_headroom.resources.manifest import Document, Fault

WEBHOOK = "workloads.kube-headroom.io"


class Caller(Protocol):
    """Whoever brings a review to the server."""

    def post(self, review: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer."""
        ...


class Status(msgspec.Struct):
    """What is read of a refusal."""

    message: str = ""
    details: "Details | None" = None


class Cause(msgspec.Struct):
    """One problem."""

    reason: str = ""


class Details(msgspec.Struct):
    """The problems by code."""

    causes: tuple[Cause, ...] = ()


class Response(msgspec.Struct):
    """What is read of an answer."""

    uid: str
    allowed: bool
    status: Status | None = None
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> frozenset[str]:
        """The codes that refused it, or the one word `allowed`."""
        if self.allowed:
            return frozenset({"allowed"})
        details = self.status.details if self.status else None
        return frozenset(cause.reason for cause in details.causes) if details else frozenset()


class _Review(msgspec.Struct):
    response: Response


class BadAnswer(AppError):  # noqa: N818 - named for what it is
    """The server answered what no API server would accept."""


def _demo(snapshot: str, policy: str | None, names: tuple[str, ...]) -> int:
    present = load_snapshot(snapshot)
    documents = _documents(names)
    if documents is None:
        return 2
    _rehearse(ApiServer(present), documents)
    api = ApiServer(present)
    # The web stack takes a second to import: only now, so that faults are quick.
    from kube_headroom.cli.demo_server import serve_while  # noqa: PLC0415

    def talk(caller: Caller) -> int:
        return sum(_try(caller, api, document) for document in documents)

    wrong = serve_while(talk, snapshot=snapshot, policy=policy)
    reviews = "1 review" if len(documents) == 1 else f"{len(documents)} reviews"
    if wrong:
        print_error(f"{wrong} of {reviews} not answered as expected")
        return 1
    click.echo(f"# {reviews} over HTTPS, each answered as expected")
    return 0


def _documents(names: Sequence[str]) -> list[Document] | None:
    """Return the manifests, or None when one of them is broken: all faults are told."""
    found = list(read_inputs(names))
    faults = [each for each in found if isinstance(each, Fault)]
    for fault in faults:
        print_error(shown_fault(fault))
    if not found:
        print_error(f"no manifests in {', '.join(names)}")
    return None if faults or not found else [each for each in found if isinstance(each, Document)]


def _rehearse(api: ApiServer, documents: Sequence[Document]) -> None:
    """Raise what is wrong with any manifest before the first is sent."""
    for document in documents:
        api.store(api.step(document))


def _try(caller: Caller, api: ApiServer, document: Document) -> bool:
    """Send one review, print what kubectl would; return whether the answer was a wrong one."""
    step = api.step(document)
    status, body = caller.post(msgspec.json.encode(step.review))
    _say(f"$ {step.command}", bold=True)
    if status != 200:
        _say(
            f'Error from server (InternalError): failed calling webhook "{WEBHOOK}": {body.decode()}'
        )
        return True
    response = _read(body, step)
    for text in response.warnings:
        _say(f"Warning: {text}", fg="yellow")
    if response.allowed:
        api.store(step)
        _say(step.done, fg="green")
    else:
        message = response.status.message if response.status else ""
        _say(
            f'{step.refused} admission webhook "{WEBHOOK}" denied the request: {message}', fg="red"
        )
    return _is_wrong(step, response)


def _read(body: bytes, step: Step) -> Response:
    try:
        response = msgspec.json.decode(body, type=_Review).response
    except msgspec.MsgspecError as error:
        raise BadAnswer(f"no AdmissionReview came back: {error}") from error
    if response.uid != step.review["request"]["uid"]:
        raise BadAnswer("an answer to another review came back")
    return response


def _is_wrong(step: Step, response: Response) -> bool:
    wrong = bool(step.expected) and step.expected != response.verdict
    if wrong:
        expected, found = (" ".join(sorted(each)) for each in (step.expected, response.verdict))
        _say(f"# expected: {expected}; answered: {found}", fg="magenta")
    click.echo()
    return wrong


def _say(text: str, *, fg: str | None = None, bold: bool = False) -> None:
    """Print a line, in colour on a terminal only."""
    plain = False if os.environ.get("NO_COLOR") else None
    click.secho(printable(text), fg=fg, bold=bold or None, color=plain)


demo = click.Command(
    "demo",
    params=[
        click.Option(
            ["--snapshot"],
            required=True,
            metavar="FILE",
            help="The cluster: what `kubectl get nodes,pods,deployments,... -A -o json` prints.",
        ),
        click.Option(["--policy"], metavar="FILE", help="A policy instead of the default one."),
        click.Argument(["names"], nargs=-1, required=True, metavar="FILE|DIR..."),
    ],
    callback=_demo,
    help="Try the webhook without a cluster: start the real HTTPS server over a snapshot, send it "
    "what kube-apiserver would send for each manifest, and print what kubectl would print. "
    "Manifests may say what they expect: see examples/README.md. Exit code 0 if every answer is "
    "as expected, 1 if not, 2 for bad input.",
)
