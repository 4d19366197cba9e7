"""Logs are bounded under the hands of those who write them."""

from pathlib import Path

import pytest

from muster import logs


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES", 100)


def test_log_that_is_large_begins_anew_and_its_writer_goes_on_at_the_new_end(tmp_path: Path) -> None:
    file = tmp_path / "srv_1.log"
    with file.open("ab", buffering=0) as writer:
        writer.write(b"a" * 150)
        logs.bound_all(tmp_path)
        writer.write(b"b" * 10)
    assert file.read_bytes() == b"b" * 10
    assert (tmp_path / "srv_1.log.1").read_bytes() == b"a" * 150


def test_log_that_is_small_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "hub.log"
    file.write_bytes(b"a" * 100)
    logs.bound_all(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"hub.log"}


def test_few_generations_are_kept_the_newest_first_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    file = tmp_path / "hub.log"
    for letter in "abcde":
        file.write_text(letter * 101)
        logs.bound(file)
    kept = sorted(path for path in tmp_path.iterdir() if path != file)
    assert [(path.name, path.read_text()[0]) for path in kept] == [
        ("hub.log.1", "e"),
        ("hub.log.2", "d"),
        ("hub.log.3", "c"),
    ]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="SKIPPED FOR WANT OF /dev/full")
def test_disk_that_cannot_hold_a_copy_loses_the_past_and_not_the_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "GENERATIONS", 1)
    (tmp_path / "hub.log").write_text("a" * 101)
    (tmp_path / "hub.log.1").symlink_to("/dev/full")
    logs.bound_all(tmp_path)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("hub.log", 0)]
    assert "log.lost file=hub.log" in caplog.text
