"""What can go wrong between a program and its node."""


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
