"""`make bench`: runs what is measured and prints the tables. `PARTS="door calls"` takes some of them only."""

import sys
from datetime import date

import anyio

from bench import agents, calls, context, door, idle, messages, routes, waking, worktrees

SIZES = (1, 5, 10, 20)
PARTS = ("context", "door", "calls", "messages", "idle", "routing", "worktrees", "agents")


async def main(parts: list[str]) -> None:
    print(f"Printed on {date.today():%Y-%m-%d}, on {agents.machine()}.")
    for part in parts or PARTS:
        await _print(part)


async def _print(part: str) -> None:
    match part:
        case "context":
            print(f"\n## What an agent pays on every model call\n\n{context.table()}", flush=True)
        case "door":
            print(f"\n## The stdio door\n\n{await anyio.to_thread.run_sync(door.table)}", flush=True)
        case "calls":
            print(f"\n## Calls\n\n{await calls.table()}", flush=True)
        case "messages":
            print(f"\n## Messages\n\n{await anyio.to_thread.run_sync(messages.table)}", flush=True)
            print(f"\n{await waking.table()}", flush=True)
        case "idle":
            print(f"\n## An idle hub\n\n{await idle.table()}", flush=True)
        case "routing":
            print(f"\n## Routing\n\n{await anyio.to_thread.run_sync(routes.table)}", flush=True)
        case "worktrees":
            print(f"\n## Worktrees\n\n{await anyio.to_thread.run_sync(worktrees.table)}", flush=True)
        case "agents":
            print(f"\n## Agents\n\n{agents.head()}", flush=True)
            for apart in (False, True):
                for size in SIZES:
                    starts = [await agents.measure(size, way, apart=apart) for way in agents.Way]
                    print(agents.row(starts), flush=True)
        case _:
            sys.exit(f"There is no part {part}. Parts: {', '.join(PARTS)}.")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
