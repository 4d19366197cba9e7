"""The scripted host: agents that play what a test says, in this process, without any program.

Above it: the same seam as OpenCode's. Below it: a function (or a table) that answers a turn. Sessions belong to a
server's id and outlive its stops, as they do in OpenCode's database.
"""

from muster.hosts.scripted.host import ScriptedHost
from muster.hosts.scripted.sessions import Play, Reply

__all__ = ["Play", "Reply", "ScriptedHost"]
