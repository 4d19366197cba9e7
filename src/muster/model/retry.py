"""What a failure is answered with."""

from datetime import timedelta
from enum import StrEnum

MAX_ATTEMPTS = 3  # runs sent for one turn, where the spawner does not say
FIRST_PAUSE = timedelta(seconds=1)
SPREAD = 0.2  # so that agents which failed together do not come back together


class Again(StrEnum):
    NEVER = "never"  # final: trying again cannot help
    SAME_TURN = "same_turn"  # the same turn is sent again; the host does not repeat what stands already
    AFTER_REFUSAL = "after_refusal"  # what it asked for was refused, which ended it: a new turn goes on from there
    NEW_TURN = "new_turn"  # the host has answered, with nothing: a new turn asks for the answer


def pause(attempt: int, jitter: float) -> timedelta:
    """Before the run that follows the given attempt (counted from 1): 1 s, 2 s, 4 s … ± 20 %. `jitter`: -1 to 1."""
    return FIRST_PAUSE * 2.0 ** (attempt - 1) * (1 + SPREAD * jitter)
