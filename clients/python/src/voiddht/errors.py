"""What can go wrong between a program and its node."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .signed import Envelope


class VoiddhtError(Exception):
    """Every error of this package."""


class Unreachable(VoiddhtError):
    """The node cannot be reached, or the connection was lost. The request may be tried again."""


class Timeout(VoiddhtError):
    """The node did not answer in time."""


class ProtocolError(VoiddhtError):
    """What answers there does not speak the module API."""


class StoredNowhere(VoiddhtError):
    """No node has stored the value."""


class InvalidEnvelope(VoiddhtError):
    """A value is no valid signed value of the name that was asked for."""


class Conflict(VoiddhtError):
    """Another publication came first; ``newest`` is what it published."""

    def __init__(self, newest: Envelope) -> None:
        super().__init__(f"another publication came first: seq {newest.seq}")
        self.newest = newest
