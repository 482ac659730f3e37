"""The command line itself: help, exit codes, what is imported."""

import signal
import subprocess
import sys

import pytest

from kube_headroom.cli.main import COMMANDS
from tests.cli.running import COMMAND, run


def test_help_names_every_command():
    result = run("--help")
    assert result.returncode == 0
    assert all(f"  {name} " in result.stdout.decode() for name in COMMANDS)


def test_the_kubectl_plugin_calls_itself_so():
    result = run("--help", command=COMMAND.with_name("kubectl-headroom"))
    assert result.stdout.decode().startswith("Usage: kubectl headroom ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("inspect",),
        ("inspect", "--nonsense"),
        ("inspect", "-f", "-", "-o", "xml"),
        ("policy", "validate"),
        ("policy", "nonsense"),
    ],
    ids=" ".join,
)
def test_bad_usage_is_exit_code_2(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"Usage:" in result.stderr
    assert b"Traceback" not in result.stderr


def test_an_interrupt_is_exit_code_130():
    """Waiting on stdin is where people press Ctrl-C."""
    process = subprocess.Popen(
        [COMMAND, "inspect", "-f", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(b"#" * 1024 * 1024)  # a pipe holds 64 KiB: returns once it is being read
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr


OFFLINE = [
    ("--help",),
    ("version",),
    ("policy", "show"),
    ("inspect", "-f", "/dev/null"),
    ("simulate", "--snapshot", "/dev/null", "-f", "/dev/null"),
]


@pytest.mark.parametrize("arguments", OFFLINE, ids=" ".join)
def test_offline_commands_import_neither_client_nor_web_stack(arguments):
    program = (
        "import sys\n"
        "from kube_headroom.cli.main import run\n"
        f"run({list(arguments)!r})\n"
        "heavy = {'kubernetes', 'aiohttp', 'fastapi', 'starlette', 'uvicorn', 'rich',"
        " 'cryptography', 'prometheus_client'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    assert result.stderr.decode().splitlines()[-1] == "[]"


def test_help_imports_no_command():
    """So that --help and completion stay quick however many commands there are."""
    program = (
        "import sys\n"
        "from kube_headroom.cli.main import run\n"
        "run(['--help'])\n"
        "print(sorted({'pydantic', 'yaml', 'msgspec'} & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, timeout=60
    )
    assert result.stderr == b"[]\n"


def test_version():
    assert run("version").stdout.startswith(b"kube-headroom ")
    assert b'"version": ' in run("version", "-o", "json").stdout
