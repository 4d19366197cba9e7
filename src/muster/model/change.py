"""What a merge does to a path."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What stands at a path, as git keeps it: a mode such as `100644`, and the name of a blob."""

    mode: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """One path from what it was to what it becomes. Without blob and mode there is no file on that side.

    `path` is relative to the project's top, with `/`, as `model/filename.py` writes it.
    """

    path: str
    old_blob: str | None
    old_mode: str | None
    new_blob: str | None
    new_mode: str | None

    @property
    def old(self) -> Content | None:
        return _content(self.old_mode, self.old_blob)

    @property
    def new(self) -> Content | None:
        return _content(self.new_mode, self.new_blob)

    def backwards(self) -> "PathChange":
        return PathChange(
            path=self.path,
            old_blob=self.new_blob,
            old_mode=self.new_mode,
            new_blob=self.old_blob,
            new_mode=self.old_mode,
        )


def _content(mode: str | None, blob: str | None) -> Content | None:
    return None if mode is None or blob is None else Content(mode=mode, blob=blob)
