"""`muster verify`: beside a hub, without one, and on a copy of its file."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from unit.store.audit.ledgers import contents, tamper
from unit.store.audit.ledgers import ledger as ledger
from unit.store.audit.ledgers import lived as lived
from unit.surfaces.cli.machine import User

pytestmark = pytest.mark.anyio
CHANGE = "UPDATE events SET body = '{}' WHERE cursor = 7"


async def test_sound_ledger_of_a_hub_is_said_to_be_and_its_head_can_be_noted(shell):
    await shell.stage.settled(await shell.spawn("a=one", "b=two"))
    said = await shell.muster("verify")
    verdict, head = said.out.splitlines()
    assert (said.code, said.err, verdict.startswith("sound (fleets 1, agents 2, ")) == (0, "", True)
    noted = head.removeprefix("head  ")
    await shell.stage.settled(await shell.spawn("c=three"))
    again = await shell.muster("verify", "--head", noted, "--json")
    assert (again.code, again.json["ok"], again.json["counts"]["fleets"]) == (0, True, 2)
    assert again.json["head"]["cursor"] > int(noted.partition(":")[0])
    other = await shell.muster("verify", "--head", noted.replace(":", ":" + "0" * 64)[: len(noted)], "--json")
    assert (other.code, [one["check"] for one in other.json["findings"]]) == (1, ["chain.head"])


async def test_head_that_is_none_is_refused(shell, ledger):
    for words in ([], [str(ledger)]):
        said = await shell.muster("verify", *words, "--head", "12", "--json")
        assert (said.code, said.error["code"], said.error["facts"]["field"]) == (2, "bad_value", "head")


def test_copy_is_verified_without_a_hub_and_stays_as_it_is(user: User, ledger: Path):
    before = contents(ledger.parent)
    assert user.say("verify", str(ledger))[0] == 0
    assert contents(ledger.parent) == before
    tamper(ledger, CHANGE)
    before = contents(ledger.parent)
    code, out, _ = user.say("verify", str(ledger))
    assert (code, out.splitlines()[0].split()) == (1, ["error", "chain.changed", "7"])
    assert contents(ledger.parent) == before


def test_copy_with_what_was_not_folded_in_yet_is_verified_whole_and_stays_as_it_is(user: User, lived, tmp_path):
    """As `kill -9` leaves it."""
    live, copy = tmp_path / "live.db", tmp_path / "copy" / "copy.db"
    copy.parent.mkdir()
    shutil.copy(lived, live)
    with closing(sqlite3.connect(live, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute(CHANGE)
        shutil.copy(live, copy)
        shutil.copy(f"{live}-wal", f"{copy}-wal")
    before = contents(copy.parent)
    assert user.say("verify", str(copy))[0] == 1
    assert before.items() <= contents(copy.parent).items()  # SQLite's own index of the log may be new


def test_without_a_hub_the_file_of_the_state_folder_is_verified(user: User, ledger: Path):
    user.home.mkdir()
    code, _, err = user.say("verify", "--json")
    assert (code, "not_found" in err) == (2, True)
    shutil.copy(ledger, user.home / "muster.db")
    assert user.say("verify")[0] == 0
    tamper(user.home / "muster.db", CHANGE)
    assert user.say("verify")[0] == 1


async def test_agent_does_not_verify_the_ledger_of_the_person_that_it_works_for(shell):
    fleet = await shell.spawn("a=one")
    (agent,) = (await shell.stage.settled(fleet))["results"]
    shell.monkeypatch.setenv("MUSTER_AGENT_TOKEN", shell.stage.keyring.agent(agent["agent_id"]))
    assert (await shell.muster("verify")).code == 3
    shell.monkeypatch.delenv("MUSTER_AGENT_TOKEN")
    shell.monkeypatch.setenv("MUSTER_SERVER", "srv_1")
    assert (await shell.muster("verify")).code == 3


@pytest.mark.parametrize("name", ["absent", "text", "empty", "folder", "blank"])
def test_what_is_no_database_of_ours_is_refused_and_left_alone(user: User, tmp_path: Path, name: str):
    place = tmp_path / "given"
    place.mkdir()
    (place / "text").write_text("SQLite? No.")
    (place / "empty").touch()
    (place / "folder").mkdir()
    with closing(sqlite3.connect(place / "blank")) as file:
        file.execute("CREATE TABLE theirs (id TEXT)")
    (place / "folder").rmdir() if name != "folder" else None
    before = sorted((one.name, one.stat().st_size) for one in place.iterdir())
    code, out, err = user.say("verify", str(place / name), "--json")
    assert (code, out) == (2, "")
    assert '"not_found"' in err if name in ("absent", "folder") else '"bad_value"' in err
    assert sorted((one.name, one.stat().st_size) for one in place.iterdir()) == before
