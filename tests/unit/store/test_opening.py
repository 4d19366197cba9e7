"""What is not ours, not sound, not known or not to be had is refused by its own code, and not touched."""

import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from muster.errors import MusterError
from muster.hosts.scripted import ScriptedHost
from muster.store import dialects
from muster.store.database import check_database, open_database
from unit.stage import contents, digest, hub, refused
from unit.store.faults import Fault

pytestmark = pytest.mark.anyio

NOBODY = 65534


@pytest.fixture
async def sound(tmp_path, clock) -> Path:
    """A database with a fleet in it, closed."""
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock) as stage:
        await stage.spawn("a", "b")
    return tmp_path / "muster.db"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("shopping list: milk")


def write_half_a_header(path: Path) -> None:
    path.write_bytes(b"SQLite form")


def write_header_and_noise(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(8000))


def write_foreign(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE songs (title TEXT)", "INSERT INTO songs VALUES ('Yesterday')")


def write_foreign_in_wal(path: Path) -> None:
    path.unlink()
    change(path, "PRAGMA journal_mode=WAL", "PRAGMA application_id=77", "CREATE TABLE songs (title TEXT)")


def write_future(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num='9999'")


def write_no_version(path: Path) -> None:
    change(path, "DELETE FROM alembic_version")


def write_two_versions(path: Path) -> None:
    change(path, "INSERT INTO alembic_version VALUES ('0000')")


def write_no_version_table(path: Path) -> None:
    change(path, "DROP TABLE alembic_version")


def write_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_hole(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (write_text, "database_foreign"),
    (write_half_a_header, "database_foreign"),
    (write_foreign, "database_foreign"),
    (write_foreign_in_wal, "database_foreign"),
    (write_future, "database_from_the_future"),
    (write_header_and_noise, "database_damaged"),
    (write_no_version, "database_damaged"),
    (write_two_versions, "database_damaged"),
    (write_no_version_table, "database_damaged"),
    (write_truncated, "database_damaged"),
    (write_hole, "database_damaged"),
]


@pytest.mark.parametrize(("write", "code"), REFUSED)
async def test_file_that_is_not_ours_to_use_is_refused_untouched(sound, clock, write, code):
    write(sound)
    before = digest(sound)
    with refused(code) as caught, open_database(sound, clock):
        pass
    assert caught.value.facts["path"] == str(sound)
    assert digest(sound) == before
    assert [file.name for file in sound.parent.glob("muster.db*")] == ["muster.db"]


def grow(path: Path) -> None:
    """To more than a start reads, by a request that was answered at great length."""
    asked = "INSERT INTO requests VALUES (?, 'r', 'v', 'f', zeroblob(80000000), 0)"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for who in ("agent:first", "agent:middle", "agent:last"):
            connection.execute(asked if who == "agent:middle" else asked.replace("80000000", "8"), (who,))


async def test_large_file_is_opened_unread_and_whoever_checks_it_reads_it_whole(sound, clock):
    grow(sound)
    with sound.open("r+b") as file:
        file.seek(40_000_000)
        file.write(b"\xff" * 8192)
    with open_database(sound, clock):
        pass
    with refused("database_damaged"):
        check_database(sound)


async def test_large_file_that_was_cut_off_is_refused_untouched(sound, clock):
    grow(sound)
    os.truncate(sound, 70_000_000)
    before = digest(sound)
    with refused("database_damaged"), open_database(sound, clock):
        pass
    assert digest(sound) == before


async def test_empty_file_becomes_a_database(tmp_path, clock):
    write_empty(tmp_path / "muster.db")
    with open_database(tmp_path / "muster.db", clock):
        pass


async def test_file_is_readable_by_its_user_alone(tmp_path, clock):
    with open_database(tmp_path / "muster.db", clock):
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == {"muster.db": 0o600, "muster.db-shm": 0o600, "muster.db-wal": 0o600}


async def test_path_with_odd_characters_is_opened_as_it_is_written(tmp_path, clock):
    folder = tmp_path / "100% ?mode=memory#é"
    folder.mkdir()
    with open_database(folder / "muster.db", clock):
        assert (folder / "muster.db").stat().st_size > 0


async def test_directory_in_its_place_is_refused(tmp_path, clock):
    (tmp_path / "muster.db").mkdir()
    with refused("state_not_writable"), open_database(tmp_path / "muster.db", clock):
        pass


async def test_folder_that_is_not_there_is_refused(tmp_path, clock):
    with refused("state_not_writable"), open_database(tmp_path / "absent" / "muster.db", clock):
        pass


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, where the tests run as root, whom no mode holds back."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def moved(sound) -> Iterator[Path]:
    """The sound database in a folder that nobody may enter, and own files in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "muster.db"
        path.write_bytes(sound.read_bytes())
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(path, NOBODY, NOBODY)
        yield path
        path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"),
    [(0o400, 0o700), (0o000, 0o700), (0o600, 0o500), (0o400, 0o500), (0o600, 0o000)],
    ids=["read-only file", "unreadable file", "read-only folder", "both read-only", "closed folder"],
)
async def test_what_may_not_be_written_is_refused_untouched(moved, clock, file_mode, folder_mode):
    before = digest(moved)
    moved.chmod(file_mode)
    moved.parent.chmod(folder_mode)
    with unprivileged(), refused("state_not_writable"), open_database(moved, clock):
        pass
    moved.parent.chmod(0o700)
    moved.chmod(0o600)
    assert digest(moved) == before


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
async def test_database_that_another_process_writes_to_is_refused_untouched(sound, clock, monkeypatch, lock):
    monkeypatch.setattr(dialects, "WRITING", (*dialects.WRITING, "busy_timeout=10"))
    monkeypatch.setattr(dialects, "READING", (*dialects.READING, "busy_timeout=10"))
    with closing(sqlite3.connect(sound, isolation_level=None)) as other:
        before = digest(sound)
        other.execute(lock)
        with refused("state_not_writable"), open_database(sound, clock):
            pass
        assert digest(sound) == before


async def test_database_that_another_process_keeps_to_itself_is_refused_untouched(sound, clock, monkeypatch):
    monkeypatch.setattr(dialects, "WRITING", (*dialects.WRITING, "busy_timeout=10"))
    monkeypatch.setattr(dialects, "READING", (*dialects.READING, "busy_timeout=10"))
    with closing(sqlite3.connect(sound, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        before = digest(sound)
        with refused("state_not_writable"), open_database(sound, clock):
            pass
        assert digest(sound) == before


async def test_write_that_another_process_holds_up_is_unavailable_and_then_goes_on(sound, clock, monkeypatch):
    monkeypatch.setattr(dialects, "WRITING", (*dialects.WRITING, "busy_timeout=10"))
    async with ScriptedHost({}) as host, hub(sound.parent, host, clock) as stage:
        with closing(sqlite3.connect(sound, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = contents(sound)
            with refused("unavailable"):
                await stage.spawn("c")
            assert contents(sound) == before
            assert len((await stage.call("fleet.list"))["fleets"]) == 1
        await stage.spawn("c")
        assert len((await stage.call("fleet.list"))["fleets"]) == 2


async def test_file_with_any_bytes_flipped_is_opened_or_refused_by_a_code_of_ours(sound, clock):
    whole, chance = sound.read_bytes(), random.Random(4747)
    for _ in range(25):
        await anyio.lowlevel.checkpoint()
        flipped = bytearray(whole)
        for _ in range(chance.choice((1, 8, 200))):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        sound.write_bytes(flipped)
        before = digest(sound)
        try:
            with open_database(sound, clock):
                continue
        except MusterError as error:
            assert error.code in ("database_damaged", "database_foreign", "database_from_the_future")
            assert digest(sound) == before


async def test_hub_killed_at_any_statement_of_its_first_start_starts_the_next_time(disk, tmp_path, clock):
    """What stands on the disk before each statement is what a kill there leaves behind."""
    path, left = tmp_path / "muster.db", []

    def keep(number: int, sql: str) -> Fault | None:
        left.append({file.name: file.read_bytes() for file in tmp_path.glob("muster.db*")})
        return None

    disk.breaks = keep
    with open_database(path, clock):
        pass
    disk.mend()
    assert len(left) > 20
    for number, files in enumerate(left):
        await anyio.lowlevel.checkpoint()
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        with open_database(folder / "muster.db", clock):
            pass


async def test_old_log_beside_a_file_that_was_removed_brings_nothing_back(sound, clock):
    with open_database(sound, clock):
        log = sound.with_name("muster.db-wal").read_bytes()
    sound.unlink()
    sound.with_name("muster.db-wal").write_bytes(log)
    async with ScriptedHost({}) as host, hub(sound.parent, host, clock) as stage:
        assert (await stage.call("fleet.list"))["fleets"] == []
