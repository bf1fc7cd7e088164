"""The vectors of the format, and the rules by which an envelope is refused."""

import re
import unittest
from pathlib import Path

from voiddht import InvalidEnvelope
from voiddht.signed import (
    CannotSign,
    Delegation,
    Envelope,
    KeyPair,
    Name,
    is_refused_point,
    seal,
    succeed,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OWNER_SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
WRITER_SEED = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
NOW = 1_700_000_000
VECTORS = Path(__file__).parents[3] / "crates/signed/tests/vectors.rs"


def key_pair(seed):
    return KeyPair(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))


def vectors():
    """Key, envelope and digest of each, as the Rust tests have them."""
    pattern = r'key: "(\w{64})",\s+envelope: "(\w+)",\s+sha256: "(\w{64})"'
    found = re.findall(pattern, VECTORS.read_text())
    return [tuple(map(bytes.fromhex, vector)) for vector in found]


class Vectors(unittest.TestCase):
    def test_all_are_valid_under_their_keys(self):
        self.assertEqual(len(vectors()), 5)
        for key, value, digest in vectors():
            envelope = Envelope.parse(value)
            envelope.verify()
            self.assertEqual((envelope.name.key, envelope.digest), (key, digest))

    def test_signing_reproduces_the_native_ones(self):
        owner, writer = key_pair(OWNER_SEED), key_pair(WRITER_SEED)
        native, withdrawn, delegated = [value for _, value, _ in vectors()[:3]]
        name, body = Name(owner.public_key, b"endpoint"), b"203.0.113.7:51820"
        self.assertEqual(seal(owner, name, 1, body).value, native)
        end = 2_000_000_000
        empty = seal(owner, Name(owner.public_key), 2, b"", not_after=end)
        self.assertEqual(empty.value, withdrawn)
        self.assertTrue(empty.is_withdrawal)
        delegation = owner.delegate(
            writer.public_key, salt=b"endpoint", not_after=end, generation=1
        )
        self.assertEqual(seal(writer, name, 1, body, delegation=delegation).value, delegated)
        self.assertEqual(Delegation.from_text(delegation.to_text()), delegation)

    def test_every_changed_byte_is_refused(self):
        for key, value, _ in vectors():
            for index in range(len(value)):
                changed = bytearray(value)
                changed[index] ^= 1
                with self.assertRaises(InvalidEnvelope, msg=f"byte {index}"):
                    envelope = Envelope.parse(bytes(changed))
                    if envelope.name.key != key:
                        raise InvalidEnvelope("another key")
                    envelope.verify()
            for length in range(len(value) - 64, len(value)):
                with self.assertRaises(InvalidEnvelope):
                    Envelope.parse(value[:length]).verify()


class Rules(unittest.TestCase):
    def setUp(self):
        self.owner, self.writer = key_pair(OWNER_SEED), key_pair(WRITER_SEED)

    def test_weak_points_are_refused_with_either_sign(self):
        for low in (0, 1):
            self.assertTrue(is_refused_point(bytes([low]) + bytes(31)))
            self.assertTrue(is_refused_point(bytes([low]) + bytes(30) + b"\x80"))
        for low in range(0xEC, 0x100):
            self.assertTrue(is_refused_point(bytes([low]) + b"\xff" * 30 + b"\x7f"))
        self.assertFalse(is_refused_point(self.owner.public_key))

    def test_another_name_and_an_end_in_the_past(self):
        envelope = succeed(self.owner, b"body", days=1, now=NOW)
        name = envelope.name
        self.assertEqual(name.open(envelope.value, NOW), envelope)
        self.assertIsNone(name.open(envelope.value, NOW + 86_400 + 301))
        with self.assertRaises(InvalidEnvelope):
            Name(self.owner.public_key, b"other").open(envelope.value, NOW)

    def test_the_owner_overrules_and_nothing_ends_earlier(self):
        end = NOW + 40 * 86_400
        delegation = self.owner.delegate(self.writer.public_key, not_after=end, generation=3)
        written = succeed(self.writer, b"1", delegation=delegation, days=None, now=NOW)
        self.assertEqual((written.generation, written.effective_end), (3, end))
        overruled = succeed(self.owner, b"2", newest=written, days=1, now=NOW)
        self.assertEqual((overruled.generation, overruled.effective_end), (4, end))
        overruled.verify()
        with self.assertRaises(CannotSign):
            succeed(self.writer, b"3", newest=overruled, delegation=delegation, now=NOW)
        endless = succeed(self.owner, b"4", days=None, now=NOW)
        self.assertIsNone(succeed(self.owner, b"5", newest=endless, days=1, now=NOW).effective_end)

    def test_key_files_round_trip(self):
        pem = self.owner.to_pem()
        self.assertEqual(KeyPair.from_pem(pem).public_key, self.owner.public_key)
        self.assertEqual(len(pem.splitlines()), 3)


if __name__ == "__main__":
    unittest.main()
