"""A node that answers from a script, for tests of the clients' own rules."""

import socket
import struct
import threading


class ScriptedNode:
    """Accepts one connection; hands each frame to ``answer``, and sends what that returns."""

    def __init__(self, answer, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.requests = []
        self._answer = answer
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self._serving.join(5)

    def _serve(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as stream:
            while len(header := stream.read(4)) == 4:
                size, kind = struct.unpack(">HH", header)
                body = stream.read(size - 4)
                self.requests.append((kind, body))
                for data in self._answer(kind, body):
                    connection.sendall(data)


def frame(kind, body):
    return struct.pack(">HH", 4 + len(body), kind) + body
