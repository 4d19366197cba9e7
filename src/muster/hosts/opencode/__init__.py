"""OpenCode as a host: everything that knows its routes, files and formats.

Above it: the seam in `muster.hosts.contract`. Below it: the `opencode` program, spoken to over HTTP only. It knows
nothing of the hub but the path of hub.json, which the bridge plugin reads.
"""
