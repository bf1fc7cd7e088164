"""Values that can be told from one another, put and got through exposed module APIs."""

import hashlib
import random
import sys
import time
from pathlib import Path

from .containers import exposed

# The client package of this checkout; it need not be installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "clients/python/src"))
from voiddht import Client, StoredNowhere  # noqa: E402

VALUE_BYTES = 100
# Longer than any run of these scripts.
TTL = 3600


class Values:
    """Values by number, all derived from the seed."""

    def __init__(self, seed):
        self.seed = seed

    def key(self, number):
        return hashlib.sha256(f"{self.seed}/{number}".encode()).digest()

    def value(self, number):
        return random.Random(f"{self.seed}:{number}").randbytes(VALUE_BYTES)


class Outcome:
    """How a series of operations went."""

    def __init__(self):
        self.right = 0
        self.wrong = []
        self.times = []

    def add(self, number, is_right, seconds):
        self.times.append(seconds)
        if is_right:
            self.right += 1
        else:
            self.wrong.append(number)

    @property
    def total(self):
        return len(self.times)

    def percentile(self, share):
        """By the nearest rank, in milliseconds."""
        ranked = sorted(self.times)
        return 1000 * ranked[max(0, -(-len(ranked) * share // 100) - 1)] if ranked else 0.0

    def row(self, what):
        """For the table."""
        return (
            what,
            f"{self.right} of {self.total}",
            f"{self.percentile(50):.1f} ms",
            f"{self.percentile(99):.1f} ms",
            f"{sum(self.times):.1f} s",
        )


ROW_HEADS = ("", "found", "p50", "p99", "all")


def is_stored(node, key, value):
    """Puts a value; whether any node has stored it."""
    try:
        return node.put(key, value, ttl=TTL) > 0
    except StoredNowhere:
        return False


def put(values, numbers, through):
    """Puts values one at a time, through one exposed node after the other."""
    return _each(numbers, through, 0, lambda node, number: (
        is_stored(node, values.key(number), values.value(number))
    ))


def get(values, numbers, through):
    """Gets each value once, through another node than the one that it was put through."""
    return _each(numbers, through, 1, lambda node, number: (
        node.get(values.key(number)) == values.value(number)
    ))


def _each(numbers, through, offset, operate):
    nodes = [Client(*exposed(index)) for index in through]
    outcome = Outcome()
    try:
        for number in numbers:
            node = nodes[(number + offset) % len(nodes)]
            began = time.monotonic()
            is_right = operate(node, number)
            outcome.add(number, is_right, time.monotonic() - began)
    finally:
        for node in nodes:
            node.close()
    return outcome
