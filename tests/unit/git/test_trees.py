"""A tree with some paths replaced is the one that git makes of an index."""

import pytest

from muster.git.trees import replaced
from muster.model.change import Content
from unit.git.repositories import repository

FILES = {"a": "1\n", "a.b": "1\n", "a0": "1\n", "d/x": "1\n", "d/e/f/g": "1\n", "z/only": "1\n", "ü/é": "1\n"}


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize(
    "paths",
    [
        {"a": "2"},
        {"a": None, "a/b/c": "2", "a/new\nline": "2"},
        {"d/x": None, "d/e/f/g": None, "d": "2"},
        {"d/e/f/g": None},
        {"z/only": None, "nowhere/at/all": None, "z/other": "2"},
        {"ü/é": "2", "ü/new/è": "2"},
        dict.fromkeys(FILES),
    ],
)
def test_tree_is_the_one_that_git_makes(tmp_path, paths, form):
    on = repository(tmp_path, FILES, form=form)
    blob = on.fed("2\n", "hash-object", "-w", "--stdin")
    contents = {path: content and Content(mode="100755", blob=blob) for path, content in paths.items()}
    tree = replaced(on.checkout, on.git("rev-parse", "HEAD^{tree}"), contents)
    for path, content in contents.items():
        if content is None:
            on.git("update-index", "--force-remove", path)
        else:
            on.git("update-index", "--add", "--replace", "--cacheinfo", f"100755,{blob},{path}")
    assert tree == on.git("write-tree")
    assert on.git("cat-file", "-t", tree) == "tree"
