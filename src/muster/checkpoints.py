"""The places between an effect and its report, where a crash test lets the hub die.

Nothing happens there, unless the environment names one of them: then the process ends as the power would end it.
"""

import os
import signal

VARIABLE = "MUSTER_CHECKPOINT"


def checkpoint(name: str) -> None:
    """`verb:done` is between what the verb will report and the report; a test finds every name in the source."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
