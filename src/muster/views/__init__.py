"""Every question. A view reads; it never writes and never waits."""
