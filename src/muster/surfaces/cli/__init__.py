"""The command line: says what the hub answers. It decides nothing about fleets.

Above it: a person, or a program that reads `--json`. Below it: the Python client. Only the answer goes to standard
output. A command is imported when it is asked for, so that each starts in tens of milliseconds.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

import click

from muster import __version__
from muster.errors import MusterError, Unavailable
from muster.surfaces.cli.output import say_error

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}  # what a full or broken disk says to standard output
CUT_OFF = 141  # as a shell has it for a program that a closed pipe ended
INTERRUPTED = 130

MODULES: dict[str, Callable[[], ModuleType]] = {
    "up": lambda: import_module("muster.surfaces.cli.daemon"),
    "down": lambda: import_module("muster.surfaces.cli.daemon"),
    "serve": lambda: import_module("muster.surfaces.cli.daemon"),
    "status": lambda: import_module("muster.surfaces.cli.daemon"),
    "init": lambda: import_module("muster.surfaces.cli.init"),
    "doctor": lambda: import_module("muster.surfaces.cli.doctor"),
    "trust": lambda: import_module("muster.surfaces.cli.trust"),
    "fleet": lambda: import_module("muster.surfaces.cli.fleets"),
    "template": lambda: import_module("muster.surfaces.cli.templates"),
    "send": lambda: import_module("muster.surfaces.cli.mail"),
    "inbox": lambda: import_module("muster.surfaces.cli.mail"),
    "merge": lambda: import_module("muster.surfaces.cli.merges"),
    "review": lambda: import_module("muster.surfaces.cli.merges"),
    "undo": lambda: import_module("muster.surfaces.cli.merges"),
    "answer": lambda: import_module("muster.surfaces.cli.answers"),
    "resume": lambda: import_module("muster.surfaces.cli.resume"),
    "agents": lambda: import_module("muster.surfaces.cli.agents"),
    "inspect": lambda: import_module("muster.surfaces.cli.inspection"),
    "logs": lambda: import_module("muster.surfaces.cli.transcript"),
    "events": lambda: import_module("muster.surfaces.cli.journal"),
    "snapshots": lambda: import_module("muster.surfaces.cli.snapshots"),
    "verify": lambda: import_module("muster.surfaces.cli.ledger"),
    "rehearse": lambda: import_module("muster.surfaces.cli.rehearse"),
    "call": lambda: import_module("muster.surfaces.cli.verbs"),
    "whoami": lambda: import_module("muster.surfaces.cli.verbs"),
    "mcp": lambda: import_module("muster.surfaces.cli.door"),
}


class Muster(click.Group):
    """Commands by name, in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        found: click.Command = vars(MODULES[cmd_name]())[cmd_name]
        return found


@click.command(cls=Muster, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="muster", message="%(prog)s %(version)s")
def muster() -> None:
    """Run fleets of coding agents on OpenCode."""


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code. Only what nobody foresaw is raised."""
    as_json = any(word.partition("=")[0] == "--json" for word in arguments)
    _show_what_can_be_shown()
    try:
        ended = muster.main(list(arguments), prog_name="muster", standalone_mode=False)
        sys.stdout.flush()
        return ended if isinstance(ended, int) else 0
    except MusterError as error:
        say_error(error.to_json(), as_json=as_json)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        say_error(_misused(error), as_json=as_json)
        return error.exit_code if isinstance(error, click.UsageError) else 2
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return CUT_OFF
    except OSError as error:
        if error.errno not in UNWRITABLE or error.filename is not None:
            raise
        _forget_output()
        refusal = Unavailable(why=f"The answer could not be written: {error.strerror}.")
        say_error(refusal.to_json(), as_json=as_json)
        return refusal.exit_code
    except SystemExit as ended:  # click's own: it has answered a shell that completes words, or a pipe broke
        return CUT_OFF if ended.code == 1 else 0


def _misused(error: click.ClickException) -> dict[str, object]:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "muster"
    message = error.format_message()
    told = {"code": "invalid_input", "message": message, "next": f"See `{path} --help`.", "facts": {}}
    return {"error": told}


def _show_what_can_be_shown() -> None:
    """A terminal that knows no Unicode gets escapes, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here


def _forget_output() -> None:
    """Whoever read it has gone: nothing more is to be flushed at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
