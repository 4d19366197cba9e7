"""Whether two branches fit together, on real repositories."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from muster.errors import GitFailed
from muster.git.radar import Changes, Side, changed_paths, clash, meet
from muster.git.run import Checkout

TEN = "".join(f"line {number}\n" for number in range(10))


class Repository:
    """With one commit, from which branches are made."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self.checkout = Checkout(common=folder / ".git", git_dir=folder / ".git", work_tree=folder)
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        self.write(files)
        self.base = self.commit()

    def run(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def commit(self) -> str:
        self.run("add", "--all")
        self.run("commit", "-q", "--allow-empty", "-m", "work")
        return self.run("rev-parse", "HEAD")

    def side(self, files: Mapping[str, str], *, without: tuple[str, ...] = ()) -> Side:
        """A branch from the base with these changes."""
        self.run("checkout", "-q", "--detach", self.base)
        for name in without:
            (self.folder / name).unlink()
        self.write(files)
        return Side(self.base, self.commit())

    def clash(self, one: Side, other: Side):
        among = changed_paths(self.checkout, one) | changed_paths(self.checkout, other)
        return clash(self.checkout, one, other, among=among)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository", {"a.py": TEN, "b.py": TEN, "grüß.py": TEN})


def test_same_line_changed_by_both_is_told_with_both_sides(repository):
    one = repository.side({"a.py": TEN.replace("line 3", "three")})
    other = repository.side({"a.py": TEN.replace("line 3", "III"), "b.py": "else"})
    (conflict,) = repository.clash(one, other)
    (hunk,) = conflict.hunks
    assert (conflict.path, conflict.kind, hunk.ours, hunk.theirs) == ("a.py", "contents", "three\n", "III\n")


def test_different_lines_of_one_file_fit_together(repository):
    one = repository.side({"a.py": TEN.replace("line 1", "first")})
    other = repository.side({"a.py": TEN.replace("line 8", "last")})
    assert meet(changed_paths(repository.checkout, one), changed_paths(repository.checkout, other))
    assert repository.clash(one, other) == ()


def test_different_files_do_not_meet(repository):
    one = repository.side({"a.py": "new"})
    other = repository.side({"b.py": "new", "c/d.py": "new"})
    assert not meet(changed_paths(repository.checkout, one), changed_paths(repository.checkout, other))


def test_rename_meets_an_edit_and_fits(repository):
    one = repository.side({"renamed.py": TEN}, without=("a.py",))
    other = repository.side({"a.py": TEN.replace("line 8", "last")})
    assert meet(changed_paths(repository.checkout, one), changed_paths(repository.checkout, other))
    assert repository.clash(one, other) == ()


def test_deletion_against_an_edit_is_told(repository):
    one = repository.side({}, without=("grüß.py",))
    other = repository.side({"grüß.py": TEN.replace("line 8", "last")})
    (conflict,) = repository.clash(one, other)
    assert (conflict.path, conflict.kind, conflict.ours) == ("grüß.py", "modify/delete", None)


def test_file_where_the_other_has_a_folder_is_told(repository):
    one = repository.side({"c": "a file"})
    other = repository.side({"c/d.py": "in a folder"})
    assert meet(changed_paths(repository.checkout, one), changed_paths(repository.checkout, other))
    assert [conflict.path for conflict in repository.clash(one, other)] == ["c"]


def test_conflict_of_neither_agents_making_is_not_told(repository):
    """They began from states of the user's that conflict, and changed nothing there."""
    first = repository.side({"a.py": TEN.replace("line 3", "user, then")})
    later = repository.side({"a.py": TEN.replace("line 3", "user, now")})
    repository.run("checkout", "-q", "--detach", first.tip)
    repository.write({"b.py": "one"})
    one = Side(first.tip, repository.commit())
    repository.run("checkout", "-q", "--detach", later.tip)
    repository.write({"b.py": "other"})
    other = Side(later.tip, repository.commit())
    assert [conflict.path for conflict in repository.clash(one, other)] == ["b.py"]


def test_changes_are_remembered_and_the_oldest_forgotten(repository):
    changes = Changes(most=1)
    one, other = repository.side({"a.py": "new"}), repository.side({"b.py": "new"})
    assert changes.of(repository.checkout, one) == {b"a.py"}
    assert changes.of(repository.checkout, other) == {b"b.py"}
    subprocess.run(["rm", "-rf", str(repository.folder / ".git" / "objects")], check=True)
    assert changes.of(repository.checkout, other) == {b"b.py"}
    with pytest.raises(GitFailed):
        changes.of(repository.checkout, one)
