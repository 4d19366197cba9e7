"""A host server: one OS process of a host, and the slot that it lives in."""

from typing import NewType

ServerId = NewType("ServerId", str)
