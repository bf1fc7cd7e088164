"""Signed values through real nodes, where there are some."""

import unittest

from test_clients import NODES, Real
from voiddht import Conflict, Freshness, Proof
from voiddht.signed import KeyPair, succeed


@unittest.skipUnless(NODES, "VOIDDHT_TEST_NODES names no nodes")
class Signed(unittest.TestCase):
    connect = Real.connect

    def test_publish_and_resolve(self):
        owner = KeyPair.generate()
        with self.connect(0) as first, self.connect(-1) as last:
            self.assertIsNone(last.resolve(owner.public_key, salt=b"endpoint"))
            first.publish(owner, b"one", salt=b"endpoint")
            second = last.publish(owner, b"two", salt=b"endpoint")
            for freshness in Freshness:
                found = first.resolve(owner.public_key, salt=b"endpoint", freshness=freshness)
                self.assertEqual(found.body, b"two")
            told = first.ask(second.name.key, proved_only=True)
            self.assertEqual((told.proof, told.value), (Proof.SIGNATURE, second.value))

    def test_the_second_of_two_writers_is_told_what_the_first_has_written(self):
        owner = KeyPair.generate()
        with self.connect(0) as first, self.connect(-1) as last:
            base = first.publish(owner, b"base")
            mine = succeed(owner, b"mine", newest=base)
            theirs = succeed(owner, b"theirs", newest=base)
            last.put_if(theirs, base)
            with self.assertRaises(Conflict) as conflict:
                first.put_if(mine, base)
            self.assertEqual(conflict.exception.newest, theirs)

    def test_a_stranger_cannot_overwrite(self):
        owner = KeyPair.generate()
        with self.connect(0) as first, self.connect(-1) as last:
            envelope = first.publish(owner, b"mine")
            try:
                last.put(envelope.name.key, b"a stranger's bytes")
            except Exception:
                pass  # Refused, or not: what counts is what a reader gets.
            self.assertEqual(first.resolve(owner.public_key), envelope)
            self.assertEqual(last.get(envelope.name.key), envelope.value)


if __name__ == "__main__":
    unittest.main()
