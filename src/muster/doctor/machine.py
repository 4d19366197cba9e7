"""The programs that Muster stands on."""

import platform
import re
import shutil
import subprocess
import sys

from muster import __version__, config
from muster.doctor.finding import Case, Finding, ok, warning
from muster.trust import project_of, settings_of

GIT_LEAST = (2, 38)  # `git merge-tree --write-tree`
GIT_SECONDS = 10


def python(case: Case) -> Finding:
    return ok(f"Python {platform.python_version()}, Muster {__version__} ({sys.executable})")


def settings(case: Case) -> Finding:
    """Raises UnknownSetting, which says where it stands."""
    config.load(environment=case.environment)
    file = config.config_file()
    return ok(str(file) if file.exists() else f"the defaults; {file} does not exist")


def project(case: Case) -> Finding:
    """Raises UnknownSetting: fleets are refused here then."""
    found = settings_of(project_of(case.directory), case.settings, config.named_in(case.environment), case.home)
    if found.digest is None:
        return ok(f"{found.project} has none of its own")
    if found.withheld:
        return warning(
            f"{found.file} asks for more than your own ({', '.join(found.withheld)}), which is not in force",
            "`muster trust`, if you agree with it.",
        )
    return ok(f"{found.file}, {'trusted' if found.is_trusted else 'which asks for less than your own'}")


def git(case: Case) -> Finding:
    path = shutil.which("git", path=case.environment.get("PATH"))
    if path is None:
        return warning("git is not on the PATH", "Install git: agents work without it, their work is not protected.")
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return warning(f"{path} --version did not work: {error}", "Mend git.")
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    version = done.stdout.strip().removeprefix("git version ")
    if found is None or (int(found[1]), int(found[2])) < GIT_LEAST:
        return warning(f"git {version} is older than 2.38", "Install git 2.38 or newer before agents get worktrees.")
    return ok(f"git {version}")


def ripgrep(case: Case) -> Finding:
    path = shutil.which("rg", path=case.environment.get("PATH"))
    if path is None:
        return warning("rg is not on the PATH", "Install ripgrep: OpenCode's tools for searching fail without it.")
    return ok(path)
