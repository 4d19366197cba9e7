"""A program that sends messages, and tells which were accepted: `python -m e2e.sender HOME AGENT NAME COUNT`."""

import sys
import time
from pathlib import Path

from muster.errors import NoHub, Unavailable
from muster.surfaces.client import Hub

PAUSE_SECONDS = 0.05


def main(home: str, agent: str, name: str, count: int) -> None:
    """A message whose answer was lost is not sent again: what is told here is what the hub has answered."""
    for number in range(count):
        payload = f"{name}-{number}"
        if sent(Path(home), agent, payload):
            sys.stdout.write(f"{payload}\n")
            sys.stdout.flush()


def sent(home: Path, agent: str, payload: str) -> bool:
    while True:
        try:
            hub = hubs.get(home) or hubs.setdefault(home, Hub.find(home, environment={}))
            hub.call("message.send", to_agent_id=agent, type="result", payload=payload)
        except NoHub:
            time.sleep(PAUSE_SECONDS)  # it is being started anew
        except Unavailable:
            return False
        else:
            return True


hubs: dict[Path, Hub] = {}

if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
