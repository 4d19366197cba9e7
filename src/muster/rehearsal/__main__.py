"""`python -m muster.rehearsal SCENARIO [--port N]`: plays a scenario until it is interrupted.

The first line on standard output is the base URL. SIGINT and SIGTERM end it.
"""

import logging
import signal
import sys
from pathlib import Path

import anyio
import click

from muster.errors import MusterError
from muster.rehearsal.reading import load_scenario
from muster.rehearsal.scenario import Scenario
from muster.rehearsal.server import Rehearsal


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--port", default=0, help="The port on 127.0.0.1; 0 is any free one.")
def main(scenario: Path, port: int) -> None:
    """Play SCENARIO, a YAML file, as a model server."""
    # uvicorn logs every rehearsed cut as an error.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    try:
        anyio.run(_play, load_scenario(scenario), port)
    except MusterError as exc:
        click.echo(f"{exc.message} {exc.next_step}", err=True)
        sys.exit(exc.exit_code)


async def _play(scenario: Scenario, port: int) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with Rehearsal.serve(scenario, port=port) as rehearsal:
            click.echo(rehearsal.url)
            await anext(aiter(signals))


if __name__ == "__main__":
    main()
