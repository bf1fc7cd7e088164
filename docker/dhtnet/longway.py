"""A long way with losses, for kernels without netem: packets that the firewall queues are held for a
time and then let go, or dropped. The kernel keeps the packets; only their numbers come here.

The messages are those of nfnetlink_queue (linux/netfilter/nfnetlink_queue.h).
"""

import random
import select
import socket
import struct
import threading
import time
from collections import deque

NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SUBSYSTEM_QUEUE = 3 << 8
MESSAGE_PACKET, MESSAGE_VERDICT, MESSAGE_CONFIG = 0, 1, 2
REQUEST = 1
# Attributes of the configuration, and their values.
CONFIG_COMMAND, CONFIG_PARAMETERS, CONFIG_MAXIMUM, CONFIG_MASK, CONFIG_FLAGS = 1, 2, 3, 4, 5
COMMAND_BIND, COPY_META = 1, 1
FLAG_SEGMENTS_AS_THEY_ARE = 4
# Attributes of packets and verdicts.
PACKET_HEADER, VERDICT_HEADER = 1, 2
DROP, ACCEPT = 0, 1
# Packets in flight; more are dropped, as on a line whose buffers are full.
MAXIMUM = 65536


class LongWay:
    """Serves one queue for as long as the context lasts."""

    def __init__(self, queue, delay, loss):
        self.queue, self.delay, self.loss = queue, delay, loss
        self.random = random.Random(queue)
        self.under_way = deque()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        # A burst that overflows the buffer is a loss, not an error.
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._configure(CONFIG_COMMAND, struct.pack(">BxH", COMMAND_BIND, socket.AF_INET))
        self._configure(CONFIG_PARAMETERS, struct.pack(">IB", 0, COPY_META))
        self._configure(CONFIG_MAXIMUM, struct.pack(">I", MAXIMUM))
        flags = struct.pack(">I", FLAG_SEGMENTS_AS_THEY_ARE)
        self._send(MESSAGE_CONFIG, _attribute(CONFIG_MASK, flags) + _attribute(CONFIG_FLAGS, flags))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self.socket.close()

    def _serve(self):
        self.socket.setblocking(False)
        while not self.is_over.is_set():
            now = time.monotonic()
            while self.under_way and self.under_way[0][0] <= now:
                self._judge(self.under_way.popleft()[1], ACCEPT)
            wait = self.under_way[0][0] - now if self.under_way else 0.1
            if select.select([self.socket], [], [], wait)[0]:
                self._read()

    def _read(self):
        data = self.socket.recv(1 << 16)
        due = time.monotonic() + self.delay
        at = 0
        while at + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, at)
            if kind == SUBSYSTEM_QUEUE | MESSAGE_PACKET:
                packet = _packet_number(data[at + 20 : at + length])
                if self.random.random() < self.loss:
                    self._judge(packet, DROP)
                else:
                    self.under_way.append((due, packet))
            at += (length + 3) & ~3

    def _judge(self, packet, verdict):
        header = _attribute(VERDICT_HEADER, struct.pack(">II", verdict, packet))
        self._send(MESSAGE_VERDICT, header)

    def _configure(self, attribute, value):
        self._send(MESSAGE_CONFIG, _attribute(attribute, value))

    def _send(self, message, attributes):
        body = struct.pack(">BBH", 0, 0, self.queue) + attributes
        head = struct.pack("=IHHII", 16 + len(body), SUBSYSTEM_QUEUE | message, REQUEST, 0, 0)
        self.socket.send(head + body)


def _attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _packet_number(attributes):
    at = 0
    while at + 4 <= len(attributes):
        length, kind = struct.unpack_from("=HH", attributes, at)
        if kind & 0x3FFF == PACKET_HEADER:
            return struct.unpack_from(">I", attributes, at + 4)[0]
        at += (length + 3) & ~3
    raise ValueError("a packet without a number")
