"""A commit as files for a look, which leaves nothing behind."""

from muster.git.trying import clear, lay_out
from unit.git.repositories import repository


def test_commit_is_laid_out_and_cleared_away_also_after_a_crash(tmp_path):
    mine = repository(tmp_path, {"a.txt": "a\n", "sub/b.txt": "b\n"})
    folder = tmp_path / "state" / "checks" / "tree"
    tip = mine.agent("ann", {"a.txt": "one\n"})
    before = mine.git("worktree", "list")
    for commit, text in ((mine.git("rev-parse", "HEAD"), "a\n"), (tip, "one\n")):
        checkout = lay_out(mine.checkout, commit, folder)
        assert (folder / "a.txt").read_text() == text
        assert (folder / "sub" / "b.txt").read_text() == "b\n"
        assert mine.git("rev-parse", "HEAD", at=folder) == commit
        assert mine.git("status", "--porcelain", at=folder) == ""
        (folder / "left.txt").write_text("left")
    assert checkout.common == mine.checkout.common
    clear(mine.checkout, folder)
    clear(mine.checkout, folder)
    assert mine.git("worktree", "list") == before
    assert not folder.exists()
    assert mine.git("for-each-ref", "refs/heads/muster/check*") == ""
