"""Where the hub listens: 127.0.0.1 and, where the machine has it, ::1, on one port. Never another address."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from muster.errors import PortTaken

BACKLOG = 2048


@contextmanager
def listening(port: int) -> Iterator[list[socket.socket]]:
    """Bound sockets; port 0 takes any free one. Raises PortTaken."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(_bound(socket.AF_INET, "127.0.0.1", port))]
        if _has_ipv6_loopback():
            sockets.append(stack.enter_context(_bound(socket.AF_INET6, "::1", sockets[0].getsockname()[1])))
        yield sockets


def _has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise PortTaken(port=port, address=address) from error
    return bound
