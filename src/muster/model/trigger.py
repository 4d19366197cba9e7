"""Files that run by themselves: somebody's program takes orders from them unasked.

A shell that enters the folder, an editor or an agent that opens it, git, a package manager, a machine that tests each
push. What changes such a file decides what is run as the user, so it lands by the user's word only.
"""

import json
from collections.abc import Sequence
from itertools import pairwise

from muster.model.change import PathChange

NAMES = frozenset({
    # a shell or an editor that enters the folder
    ".envrc", ".autoenv", "mise.toml", ".mise.toml", ".tool-versions", ".exrc", ".nvimrc", ".nvim.lua", ".vimrc",
    ".dir-locals.el", ".devcontainer.json",
    # git and its hooks
    ".gitattributes", ".gitmodules", ".gitconfig", ".pre-commit-config.yaml", "lefthook.yml", ".lefthook.yml",
    ".huskyrc", ".lintstagedrc",
    # package managers
    ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".pnp.cjs",
    # agents
    ".mcp.json", "opencode.json", "opencode.jsonc", "agents.md", "claude.md", "claude.local.md", "gemini.md",
    ".cursorrules", ".windsurfrules", ".clinerules", ".goosehints", ".aider.conf.yml",
    # machines that test each push
    ".gitlab-ci.yml", ".travis.yml", ".drone.yml", ".appveyor.yml", "appveyor.yml", "azure-pipelines.yml",
    "bitbucket-pipelines.yml", "jenkinsfile", "cloudbuild.yaml", ".cirrus.yml",
})  # fmt: skip
FOLDERS = frozenset({
    ".husky", ".githooks", ".git-hooks", ".hooks", ".circleci", ".buildkite", ".woodpecker", ".muster", ".opencode",
    ".claude", ".cursor", ".codex", ".gemini", ".continue", ".roo", ".kiro", ".agents", ".vscode", ".idea", ".fleet",
    ".zed", ".devcontainer", ".yarn",
})  # fmt: skip
WITHIN = ((".github", "workflows"), (".github", "actions"), (".github", "copilot-instructions.md"), (".gitlab", "ci"))
PACKAGE = "package.json"
ORDERS = ("scripts", "husky", "lint-staged", "pre-commit", "simple-git-hooks")


def is_trigger(change: PathChange) -> bool:
    """Whether a path runs by itself, whatever stands in it. Letters in either case: some disks know no difference."""
    parts = change.path.lower().split("/")
    is_within = any(pair in WITHIN for pair in pairwise(parts))
    return is_within or parts[-1] in NAMES or bool(FOLDERS.intersection(parts[:-1]))


def is_package(change: PathChange) -> bool:
    """Whether it depends on what stands in it: `gives_other_orders`."""
    return change.path.lower().rpartition("/")[2] == PACKAGE


def gives_other_orders(old: bytes, new: bytes) -> bool:
    """Whether a `package.json` runs something else than before. One that cannot be read may run anything."""
    return _orders(old) != _orders(new)


def _orders(package: bytes) -> Sequence[object]:
    try:
        told = json.loads(package or b"{}")
    except ValueError:
        return [package]
    return [told.get(name) for name in ORDERS] if isinstance(told, dict) else [package]
