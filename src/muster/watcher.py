"""The watcher of `muster up`: starts the hub, and starts it again when it dies without having been told to.

It runs as a file of its own (`python -I -S watcher.py LOCK COMMAND…`) in the state folder, and stays small: nothing
of the hub is loaded here. LOCK is the descriptor of the lock that says that a watcher lives; it came open from
`muster up` and closes with this process, however that ends. Above it: `muster up`, `down`, `status`, which read
watcher.json. Below it: the hub, a child process, of which it knows pid, exit code and lock.
"""

import fcntl
import os
import signal
import sys
import time

MOST_IN_A_ROW = 5
PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0)  # before each restart in a row
STEADY_SECONDS = 60.0  # a hub that lived for so long was well: what ends it is no longer in a row with what did before
WATCHED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGALRM}
ENDING = {signal.SIGTERM, signal.SIGINT}


class Watcher:
    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._hub: int | None = None
        self._restarts = self._in_a_row = 0
        self._ended: int | None = None
        self._is_told_to_end = False

    def watch(self) -> int:
        """Until the hub has ended as it was told to (0), or died too often (1)."""
        while True:
            began = time.monotonic()
            self._start()
            self._ended = self._wait()
            if self._ended == 0 or self._is_told_to_end:
                break
            self._in_a_row = 1 if time.monotonic() - began > STEADY_SECONDS else self._in_a_row + 1
            if self._in_a_row > MOST_IN_A_ROW:
                return self._give_up()
            if not self._pause(PAUSES[self._in_a_row - 1]) or _somebody_else_is_the_hub():
                break
            self._restarts += 1
        os.unlink("watcher.json")  # noqa: PTH108 - pathlib is a megabyte
        return 0

    def _start(self) -> None:
        files = {"setsigmask": (), "setpgroup": 0}
        self._hub = os.posix_spawn(self._command[0], self._command, os.environ, **files)  # type: ignore[arg-type]  # both keywords exist
        self._say("watching")

    def _wait(self) -> int:
        """How the hub ended: its exit code, or the negative of the signal. A wish to end is passed on to it."""
        while True:
            pid, status = os.waitpid(self._hub or 0, os.WNOHANG)
            if pid:
                self._hub = None
                return os.waitstatus_to_exitcode(status)
            if signal.sigwait(WATCHED) in ENDING:
                self._is_told_to_end = True
                os.kill(self._hub or 0, signal.SIGTERM)

    def _pause(self, seconds: float) -> bool:
        """False where it was told to end meanwhile."""
        _log(f"watcher.restarts ended={self._ended} in_a_row={self._in_a_row} after_seconds={seconds}")
        self._say("waiting")
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while (heard := signal.sigwait(WATCHED)) is not signal.SIGALRM:
            if heard in ENDING:
                return False
        return True

    def _give_up(self) -> int:
        _log(f"watcher.gave_up ended={self._ended} in_a_row={self._in_a_row}")
        self._say("gave_up")
        return 1

    def _say(self, state: str) -> None:
        """watcher.json, whole; by hand, for `json` is another megabyte."""
        told = {"pid": os.getpid(), "hub": self._hub, "state": f'"{state}"', "restarts": self._restarts}
        fields = {**told, "ended": self._ended}.items()
        text = ", ".join(f'"{name}": {"null" if value is None else value}' for name, value in fields)
        with open("watcher.json.new", "w") as file:  # noqa: PTH123
            file.write(f"{{{text}}}\n")
        os.replace("watcher.json.new", "watcher.json")  # noqa: PTH105


def _somebody_else_is_the_hub() -> bool:
    """Whether a hub was started by other hands meanwhile: then there is nothing left to watch."""
    with open("hub.lock", "a") as file:  # noqa: PTH123
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log("watcher.ended why=another hub runs here")
            return True
    return False


def _log(text: str) -> None:
    """A line in the hub's log, as the hub writes them."""
    now = time.time()
    at = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))},{int(now % 1 * 1000):03}"
    os.write(2, f"{at} WARNING {text}\n".encode())


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[1]), False)  # noqa: FBT003 - that is how the system says it
    for number in WATCHED:
        signal.signal(number, lambda *_: None)  # an ignored signal may never become pending
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    sys.exit(Watcher(sys.argv[2:]).watch())
