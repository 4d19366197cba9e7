"""`make bench`: runs what is measured and prints the tables."""

import anyio

from bench import agents, context

SIZES = (1, 5, 10, 20)


async def main() -> None:
    print("## What an agent pays on every model call\n")
    print(context.table())
    print("\n## Agents in one directory, shared host server\n")
    starts = [await agents.measure(size, warm=warm) for warm in (False, True) for size in SIZES]
    print(agents.table(starts))


if __name__ == "__main__":
    anyio.run(main)
