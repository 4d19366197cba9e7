"""What every text that a caller gives is held to."""

from collections.abc import Callable


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("text that is not blank")
    return text


def at_most(limit: int, says: str) -> Callable[[str], str]:
    """A check of how many bytes of UTF-8 a text takes; `says` is how the limit is told."""

    def check(text: str) -> str:
        if len(text.encode()) > limit:
            raise ValueError(f"at most {says} of UTF-8")
        return text

    return check
