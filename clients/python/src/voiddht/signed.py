"""Signed values: key pairs, names, envelopes and delegations.

The layout and every rule are in docs/signed-values.md. Needs the package ``cryptography``.
"""

from __future__ import annotations

import hashlib
import struct
import time
from dataclasses import dataclass
from typing import Optional

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from .errors import InvalidEnvelope, VoiddhtError
from .wire import MAX_VALUE_BYTES

NATIVE, BEP44 = 1, 2
#: How long after its end an envelope is still taken, in seconds: what clocks may differ by.
CLOCK_TOLERANCE = 5 * 60

_MAGIC = b"VDS\x01"
_VALUE_CONTEXT = b"voiddht signed value\0"
_DELEGATION_CONTEXT = b"voiddht delegation\0"
_DELEGATION_TITLE = "voiddht delegation 1"
_FIXED = struct.Struct(">4sBBBB32sQQ")
_DELEGATION = struct.Struct(">32sIQ64s")
_DELEGATED = 1
_MAX_SALT, _MAX_SEQ = 64, 2**63 - 1
_DAY = 24 * 60 * 60

_PRIME = 2**255 - 19
_REFUSED_Y = frozenset(
    [0, 1, _PRIME - 1]
    + [
        int.from_bytes(bytes.fromhex(y), "little")
        for y in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        )
    ]
)


class CannotSign(VoiddhtError):
    """This key cannot sign what would replace the newest value."""


def is_refused_point(encoded: bytes) -> bool:
    """Whether a key, or the first half of a signature, is weak or not canonically encoded."""
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    return y >= _PRIME or y in _REFUSED_Y


@dataclass(frozen=True)
class Name:
    """What a signed value is called."""

    owner: bytes
    salt: bytes = b""
    form: int = NATIVE

    def __post_init__(self) -> None:
        if len(self.owner) != 32:
            raise ValueError("a public key has 32 bytes")
        if len(self.salt) > _MAX_SALT:
            raise ValueError(f"a salt has at most {_MAX_SALT} bytes")

    @property
    def key(self) -> bytes:
        """The key under which it is stored."""
        named = _VALUE_CONTEXT + bytes([self.form]) + self.owner + self.salt
        return hashlib.sha512(named).digest()[:32]

    def open(self, value: bytes, now: Optional[float] = None) -> Optional[Envelope]:
        """A value as the envelope of this name, verified; None if it has expired.

        Raises InvalidEnvelope if it is anything else.
        """
        envelope = Envelope.parse(value)
        if envelope.name != self:
            raise InvalidEnvelope("it belongs to another name")
        envelope.verify()
        return None if envelope.has_expired(now) else envelope


@dataclass(frozen=True)
class Delegation:
    """Lets another key write one value of an owner."""

    owner: bytes
    salt: bytes
    writer: bytes
    generation: int
    not_after: int
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        tail = struct.pack(">IQ", self.generation, self.not_after)
        salt = bytes([len(self.salt)]) + self.salt
        return _DELEGATION_CONTEXT + self.owner + salt + self.writer + tail

    @property
    def encoded(self) -> bytes:
        return _DELEGATION.pack(self.writer, self.generation, self.not_after, self.signature)

    def verify(self) -> None:
        """Raises InvalidEnvelope unless the owner has signed it."""
        if is_refused_point(self.writer):
            raise InvalidEnvelope("the writer's key is weak")
        _check(self.owner, self.signature, self.signed_bytes, "the delegation's signature")

    def to_text(self) -> str:
        """What `dht key delegate` prints."""
        fields = self.owner + bytes([len(self.salt)]) + self.salt + self.encoded
        return f"{_DELEGATION_TITLE}\n{fields.hex()}\n"

    @classmethod
    def from_text(cls, text: str) -> Delegation:
        """Reads that, and verifies it."""
        title, _, digits = text.strip().partition("\n")
        try:
            fields = bytes.fromhex(digits)
            owner, n = fields[:32], fields[32]
            salt, rest = fields[33 : 33 + n], fields[33 + n :]
            delegation = cls(owner, salt, *_DELEGATION.unpack(rest))
        except (ValueError, IndexError, struct.error) as error:
            raise InvalidEnvelope("the text is no delegation") from error
        if title != _DELEGATION_TITLE or n > _MAX_SALT:
            raise InvalidEnvelope("the text is no delegation")
        if delegation.generation == 0 or delegation.not_after == 0:
            raise InvalidEnvelope("a delegation has a generation and an end")
        delegation.verify()
        return delegation


@dataclass(frozen=True)
class Envelope:
    """A signed value. ``verify`` says whether it is valid; ``Name.open`` does both."""

    name: Name
    seq: int
    #: Its own end in seconds since 1970; 0: none.
    not_after: int
    delegation: Optional[Delegation]
    signature: bytes
    body: bytes
    #: The value as nodes store it.
    value: bytes

    @classmethod
    def parse(cls, value: bytes) -> Envelope:
        """Reads the layout strictly. Raises InvalidEnvelope if the value is no envelope."""
        if len(value) < _FIXED.size or len(value) > MAX_VALUE_BYTES:
            raise InvalidEnvelope("it is cut short, or too long")
        magic, form, flags, n, reserved, owner, seq, not_after = _FIXED.unpack_from(value)
        allowed = (0, _DELEGATED) if form == NATIVE else (0,)
        if magic != _MAGIC or form not in (NATIVE, BEP44):
            raise InvalidEnvelope("it is no envelope of a known form")
        if flags not in allowed or n > _MAX_SALT or reserved != 0:
            raise InvalidEnvelope("a flag, the salt's length or the reserved byte is wrong")
        if not (1 if form == NATIVE else 0) <= seq <= _MAX_SEQ or (form == BEP44 and not_after):
            raise InvalidEnvelope("seq or end is out of range")
        at = _FIXED.size + (_DELEGATION.size if flags else 0)
        salt, signature, body = value[at : at + n], value[at + n : at + n + 64], value[at + n + 64 :]
        if len(value) < at + n + 64 or (form == BEP44 and not 2 <= len(body) <= 1005):
            raise InvalidEnvelope("it is cut short, or its body's length is out of range")
        delegation = None
        if flags:
            fields = _DELEGATION.unpack_from(value, _FIXED.size)
            delegation = Delegation(owner, salt, *fields)
            if delegation.generation == 0 or delegation.not_after == 0:
                raise InvalidEnvelope("a delegation has a generation and an end")
        name = Name(owner, salt, form)
        return cls(name, seq, not_after, delegation, signature, body, value)

    @property
    def generation(self) -> int:
        """The delegation's generation; 0 without one."""
        return self.delegation.generation if self.delegation else 0

    @property
    def writer(self) -> bytes:
        """The key that signed it."""
        return self.delegation.writer if self.delegation else self.name.owner

    @property
    def effective_end(self) -> Optional[int]:
        """The earlier end of envelope and delegation, in seconds since 1970; None: no end."""
        ends = [self.not_after] if self.not_after else []
        if self.delegation:
            ends.append(self.delegation.not_after)
        return min(ends, default=None)

    @property
    def is_withdrawal(self) -> bool:
        return self.body == (b"" if self.name.form == NATIVE else b"0:")

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the envelope: what a conditional PUT expects, and an ETag."""
        return hashlib.sha256(self.value).digest()

    def has_expired(self, now: Optional[float] = None) -> bool:
        end = self.effective_end
        now = time.time() if now is None else now
        return end is not None and end + CLOCK_TOLERANCE < int(now)

    def verify(self) -> None:
        """Raises InvalidEnvelope unless every key and signature holds."""
        if self.delegation:
            self.delegation.verify()
        _check(self.writer, self.signature, self._signed_bytes(), "the signature")

    def _signed_bytes(self) -> bytes:
        if self.name.form == BEP44:
            salt = self.name.salt
            prefix = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
            return prefix + b"3:seqi%de1:v" % self.seq + self.body
        head = self.value[len(_MAGIC) : len(self.value) - len(self.body) - 64]
        return _VALUE_CONTEXT + head + self.body


class KeyPair:
    """An Ed25519 key pair: an owner's, or a delegated writer's."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> KeyPair:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> KeyPair:
        """Reads what `dht key new` and `openssl genpkey -algorithm ed25519` write."""
        private = serialization.load_pem_private_key(pem, None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("it is not an Ed25519 private key")
        return cls(private)

    def to_pem(self) -> bytes:
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def delegate(
        self, writer: bytes, *, salt: bytes = b"", not_after: int, generation: Optional[int] = None
    ) -> Delegation:
        """Lets ``writer`` write this owner's value until ``not_after``, in seconds since 1970.

        A later delegation outranks earlier ones: the generation is the time in seconds.
        """
        generation = int(time.time()) if generation is None else generation
        unsigned = Delegation(self.public_key, salt, writer, generation, not_after, bytes(64))
        signature = self.sign(unsigned.signed_bytes)
        return Delegation(self.public_key, salt, writer, generation, not_after, signature)


def seal(
    key_pair: KeyPair,
    name: Name,
    seq: int,
    body: bytes,
    *,
    not_after: int = 0,
    delegation: Optional[Delegation] = None,
) -> Envelope:
    """Signs an envelope with exactly these fields."""
    flags = _DELEGATED if delegation else 0
    salt = name.salt
    head = _FIXED.pack(_MAGIC, name.form, flags, len(salt), 0, name.owner, seq, not_after)
    head += (delegation.encoded if delegation else b"") + salt
    unsigned = Envelope.parse(head + bytes(64) + body)
    if unsigned.writer != key_pair.public_key:
        raise CannotSign("this key is neither the owner nor the delegated writer")
    signature = key_pair.sign(unsigned._signed_bytes())
    return Envelope.parse(head + signature + body)


def succeed(
    key_pair: KeyPair,
    body: bytes,
    *,
    salt: bytes = b"",
    newest: Optional[Envelope] = None,
    delegation: Optional[Delegation] = None,
    days: Optional[int] = 30,
    now: Optional[float] = None,
) -> Envelope:
    """Signs what outranks ``newest``; the owner overrules a delegated writer.

    Nothing is signed that ends before what it replaces, which would then come back. Raises
    CannotSign with the reason.
    """
    now = time.time() if now is None else now
    replaced_end = newest.effective_end if newest else 0
    not_after = 0 if days is None else int(now) + days * _DAY
    if replaced_end is None:
        not_after = 0
    elif not_after:
        not_after = max(not_after, replaced_end)
    newest_generation = newest.generation if newest else 0
    if delegation is None and newest_generation > 0:
        end = not_after or 2**64 - 1
        delegation = key_pair.delegate(
            key_pair.public_key, salt=salt, not_after=end, generation=newest_generation + 1
        )
    generation = delegation.generation if delegation else 0
    if newest_generation > generation:
        raise CannotSign(f"the newest value has generation {newest_generation}: cut off")
    last = newest.seq if newest and newest.generation == generation else 0
    if last == _MAX_SEQ:
        raise CannotSign("no sequence number is left in this generation")
    seq = min(max(int(now * 1000), last + 1), _MAX_SEQ)
    name = Name(delegation.owner, delegation.salt) if delegation else Name(key_pair.public_key, salt)
    envelope = seal(key_pair, name, seq, body, not_after=not_after, delegation=delegation)
    end_of_new = envelope.effective_end
    if end_of_new is not None and newest and (replaced_end is None or end_of_new < replaced_end):
        raise CannotSign("it would end before the value that it replaces")
    return envelope


def _check(key: bytes, signature: bytes, message: bytes, what: str) -> None:
    if is_refused_point(key) or is_refused_point(signature[:32]):
        raise InvalidEnvelope(f"{what}: a weak key, or a weak signature")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise InvalidEnvelope(f"{what} is wrong") from error
