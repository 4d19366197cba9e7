"""`muster` and `python -m muster`. The stdio door must not wait for what the command line imports."""

import os
import sys


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = sys.argv[1:]
    match arguments:
        case ["mcp"]:
            _become_stdio_door("mesh")
        case ["mcp", "--toolkits", names] if names.isascii() and names.replace(",", "").replace("_", "").isalnum():
            _become_stdio_door(names)
    from muster.surfaces.cli import run  # noqa: PLC0415 - 20 ms that the stdio door does not have

    try:
        return run(arguments)
    except Exception as error:
        return _admit(error)


def _become_stdio_door(toolkits: str) -> None:
    """Serve in this interpreter: another one, even without site-packages, would cost more than the door does."""
    from muster.surfaces.stdio import Door  # noqa: PLC0415 - nobody else needs it

    Door(toolkits=toolkits).serve()
    os._exit(0)  # threads that still wait for the hub are not waited for


def _admit(error: Exception) -> int:
    """A bug of ours: one line for the caller, the rest for whoever mends it."""
    import traceback  # noqa: PLC0415 - only a bug needs them

    from muster.config import state_folder  # noqa: PLC0415
    from muster.errors import Broken  # noqa: PLC0415

    log = state_folder() / "logs" / "bugs.log"
    broken = Broken(why=f"{type(error).__name__}: {error}")
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        traceback.print_exception(error)
    print(f"muster: {broken.message} (see {log})", file=sys.stderr)  # noqa: T201 - the last words of the program
    return broken.exit_code


if __name__ == "__main__":
    sys.exit(main())
