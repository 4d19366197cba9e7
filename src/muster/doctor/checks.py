"""Every check there is, in the order in which they are told; and how one is made and mended."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from muster.doctor import hub, machine, opencode, state
from muster.doctor.finding import Case, Check, Finding, broken
from muster.errors import MusterError

CHECKS: Mapping[str, Check] = {
    "python": machine.python,
    "settings": machine.settings,
    "project settings": machine.project,
    "state folder": state.folder,
    "disk": state.disk,
    "file system": state.file_system,
    "key": state.key,
    "database": state.database,
    "logs": state.logs,
    "hub": hub.hub,
    "port": hub.port,
    "host servers": hub.host_servers,
    "opencode": opencode.program,
    "opencode config": opencode.known_to_opencode,
    "git": machine.git,
    "ripgrep": machine.ripgrep,
}
DEEP: Mapping[str, Check] = {"opencode starts": opencode.start}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """`mended`: something was done about it, and `finding` is what was found afterwards."""

    part: str
    finding: Finding
    mended: bool


def examine(case: Case, *, deep: bool, fix: bool) -> Iterator[Examined]:
    """Every part, one after the other; none of them can hide another."""
    for part, check in ({**CHECKS, **DEEP} if deep else CHECKS).items():
        finding = _checked(check, case)
        if fix and finding.mend is not None:
            yield Examined(part=part, finding=_mended(finding, check, case), mended=True)
        else:
            yield Examined(part=part, finding=finding, mended=False)


def _checked(check: Check, case: Case) -> Finding:
    try:
        return check(case)
    except MusterError as error:
        return broken(error.message, error.next_step)
    except OSError as error:
        return broken(str(error), "Grant access to it, or mend the disk.")


def _mended(finding: Finding, check: Check, case: Case) -> Finding:
    assert finding.mend is not None
    try:
        finding.mend()
    except (MusterError, OSError) as error:
        return broken(f"{finding.says}; it could not be mended: {error}", finding.next)
    return _checked(check, case)
