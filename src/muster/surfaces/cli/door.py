"""`muster mcp` as the help shows it; run, it never comes here (see muster.__main__)."""

import click


@click.command(add_help_option=False)
@click.option("--toolkits", default="mesh", help="Which toolkits to offer, with commas between them.")
def mcp(toolkits: str) -> None:
    """Speak MCP on stdin and stdout, for OpenCode and every other MCP client."""
