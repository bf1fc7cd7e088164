"""What a conditional publication ends with when another one came first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import VoiddhtError

if TYPE_CHECKING:
    from .signed import Envelope


class Conflict(VoiddhtError):
    """Another publication came first; ``newest`` is what it published."""

    def __init__(self, newest: Envelope) -> None:
        super().__init__(f"another publication came first: seq {newest.seq}")
        self.newest = newest
