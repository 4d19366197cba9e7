"""The hub as a process: started, ended, looked at."""

from urllib.parse import urlsplit

import click

from muster import __version__, config
from muster.errors import HubGaveUp, MusterError, NoHub, Unavailable
from muster.home import Home
from muster.surfaces.cli.launch import start, stop
from muster.surfaces.cli.output import Json, json_option, note, show
from muster.surfaces.cli.progress import progress
from muster.surfaces.cli.text import counts, table
from muster.surfaces.client import Address, Hub

port_option = click.option("--port", type=click.IntRange(0, 65535), help="The hub's port; 0 takes any free one.")


@click.command()
@port_option
@click.option("--json", is_flag=True, expose_value=False, help="Say errors as JSON.")
def serve(*, port: int | None) -> None:
    """Be the hub, in the foreground, until SIGTERM or Ctrl-C."""
    from muster.hub import run  # noqa: PLC0415 - half a second of imports that only the hub itself needs

    run(port)


@click.command()
@port_option
@json_option
def up(*, port: int | None, as_json: bool) -> None:
    """Start the hub in the background, with a watcher that restarts it, and wait until it answers."""
    home = Home(folder=config.state_folder())
    with progress("the hub starts", as_json=as_json):
        address = start(home, [] if port is None else ["--port", str(port)])
    if port is None and (taken := _port_not_had(address)):
        note(f"note: another program has port {taken}; this hub answers on a free one")
    show({"url": address.url, "pid": address.pid}, as_json=as_json, text=lambda answer: str(answer["url"]))


@click.command()
@json_option
def down(*, as_json: bool) -> None:
    """End the hub, its watcher, and every process that they started. Agents at work go on at the next start."""
    home = Home(folder=config.state_folder())
    with progress("the hub and what it started end", as_json=as_json):
        pid = stop(home)
    if home.folder.is_dir():
        with home.locked():
            home.forget()
    answer = {"ended": pid is not None, "pid": pid}
    show(
        answer, as_json=as_json, text=lambda _: "No hub was running." if pid is None else f"The hub (pid {pid}) ended."
    )


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show the hub, its watcher and host servers, and the agents on the way. A hub that sleeps is not woken."""
    home = Home(folder=config.state_folder())
    if home.is_asleep:
        told = {"asleep": True, "version": __version__}
        show(
            told, as_json=as_json, text=lambda _: "The hub sleeps: there was nothing to do. Whatever needs it wakes it."
        )
        return
    try:
        hub = Hub.find()
        address = hub.address()
        told = {"url": address.url, "pid": address.pid, "watcher": _watcher(home)} | hub.ask("hub.status")
    except NoHub as error:
        raise _why_there_is_none(home, error) from error
    show(told, as_json=as_json, text=lambda answer: _status_text(answer, address))


def _port_not_had(address: Address) -> int | None:
    """The port of the settings, where the hub could not have it."""
    wanted = config.load().port
    return wanted if wanted not in (0, urlsplit(address.url).port) else None


def _watcher(home: Home) -> Json | None:
    told = home.watcher() if home.is_watched else None
    return None if told is None else {"pid": told.pid, "restarts": told.restarts, "ended": told.ended}


def _why_there_is_none(home: Home, error: NoHub) -> MusterError:
    told = home.watcher()
    if told is not None and told.state == "gave_up":
        return HubGaveUp(restarts=told.restarts, ended=_ending(told.ended), log=str(home.logs / "hub.log"))
    if told is not None and home.is_watched:
        return Unavailable(why=f"The hub died ({_ending(told.ended)}) and is being started again.")
    return error


def _ending(code: int | None) -> str:
    return "never yet" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"


def _status_text(answer: Json, address: Address) -> str:
    rows = [_server_row(server) for server in answer["servers"]]
    servers = (
        table(["SERVER", "HOST", "VERSION", "STATE", "PID", "AGENTS"], rows) if rows else "No host server is awake."
    )
    agents = counts(answer["agents"]) if answer["agents"] else "none on the way"
    hub = f"hub      {address.url}  version {answer['version']}  pid {address.pid}"
    asks = f"\nasks     {answer['asks']} to be answered: muster answer" if answer["asks"] else ""
    return f"{hub}\nwatcher  {_watcher_text(answer['watcher'])}\nagents   {agents}{asks}\n\n{servers}"


def _server_row(server: Json) -> list[object]:
    """What a server takes nobody in for, or only one at a time, explains why agents wait."""
    state = server["state"]
    if server["swollen_mib"] is not None:
        state = f"drained at {server['swollen_mib']} MiB"
    elif server["shocks"]:
        state = f"{state}, watched"
    return [server["server_id"], server["host"], server["version"], state, server["pid"], server["agents"]]


def _watcher_text(told: Json | None) -> str:
    if told is None:
        return "none: nothing restarts this hub should it die (`muster up` starts one that is watched)"
    if not told["restarts"]:
        return f"pid {told['pid']}"
    return f"pid {told['pid']}  restarted the hub {told['restarts']} times  (it ended last by {_ending(told['ended'])})"
