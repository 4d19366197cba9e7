"""`muster mcp` as the help shows it. Said well it never comes here: muster.__main__ becomes the stdio door."""

import click


@click.command()
@click.option("--toolkits", default="mesh", metavar="NAME,NAME", help="Which toolkits to offer.")
def mcp(toolkits: str) -> None:
    """Speak MCP on stdin and stdout, for OpenCode and every other client."""
    raise click.UsageError(f"These are no names of toolkits: {toolkits}.")
