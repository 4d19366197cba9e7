"""Where the hub listens: 127.0.0.1 and, where the machine has it, ::1, on one port. Never another address."""

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from muster.errors import PortTaken

log = logging.getLogger(__name__)

BACKLOG = 2048


@contextmanager
def listening(port: int, *, or_any: bool = False) -> Iterator[list[socket.socket]]:
    """Bound sockets; port 0 takes any free one, `or_any` too where another program has this one. Raises PortTaken."""
    with ExitStack() as stack:
        try:
            sockets = _both(stack, port)
        except PortTaken as error:
            if not or_any:
                raise
            log.warning("hub.port_taken port=%d: another program has it, so any free one is taken", error.facts["port"])
            sockets = _both(stack, 0)
        yield sockets


def url_of(sockets: Sequence[socket.socket]) -> str:
    """Where these answer, without a slash at the end."""
    return f"http://127.0.0.1:{sockets[0].getsockname()[1]}"


def _both(stack: ExitStack, port: int) -> list[socket.socket]:
    first = _bound(socket.AF_INET, "127.0.0.1", port)
    stack.enter_context(first)
    if not _has_ipv6_loopback():
        return [first]
    second = stack.enter_context(_bound(socket.AF_INET6, "::1", first.getsockname()[1]))
    return [first, second]


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
