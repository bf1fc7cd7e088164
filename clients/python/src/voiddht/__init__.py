"""Put and get values of a voiddht network through a local node.

``Client`` blocks, ``AsyncClient`` is for asyncio; both speak the node's module API.
``voiddht.signed`` has key pairs and signed values, and needs the package ``cryptography``.
"""

from .aio import AsyncClient
from .client import Client
from .conflict import Conflict
from .errors import (
    InvalidEnvelope,
    ProtocolError,
    StoredNowhere,
    Timeout,
    Unreachable,
    VoiddhtError,
)
from .wire import MAX_VALUE_BYTES, Freshness, Key, Proof, Told, content_key, key_bytes

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "Freshness",
    "InvalidEnvelope",
    "Key",
    "MAX_VALUE_BYTES",
    "Proof",
    "ProtocolError",
    "StoredNowhere",
    "Timeout",
    "Told",
    "Unreachable",
    "VoiddhtError",
    "content_key",
    "key_bytes",
]
