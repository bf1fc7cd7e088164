#!/usr/bin/env python3
"""The other TLS library, for the tests of this crate: OpenSSL through Python's `ssl`.

    openssl_peer.py store DIR    load every DIR/*.pem into one store, in order of their names;
                                 then, for each with a DIR/*.key, let a client that trusts that
                                 store shake hands with a server that shows it. One line each:
                                 its name, a space, "ok" or the client's error.
    openssl_peer.py client       shake hands over standard input and output as a client of the
                                 original network: no certificate, no ALPN. Echoes one message.
    openssl_peer.py server PEM KEY
                                 the same as a server that shows this certificate.

Nothing here opens a socket.
"""

import os
import pathlib
import ssl
import sys


def context(server):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def in_memory(made, server):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return made.wrap_bio(incoming, outgoing, server_side=server), incoming, outgoing


def step(end):
    """One attempt at a handshake; whether it is over."""
    try:
        end.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


def shake_hands(client_context, server_context):
    client, client_in, client_out = in_memory(client_context, False)
    server, server_in, server_out = in_memory(server_context, True)
    over = [False, False]
    for _ in range(10):
        over[0] = over[0] or step(client)
        server_in.write(client_out.read())
        over[1] = over[1] or step(server)
        client_in.write(server_out.read())
        if all(over):
            return
    raise ssl.SSLError("the handshake did not end")


def store(directory):
    client = context(False)
    client.verify_mode = ssl.CERT_REQUIRED
    certificates = sorted(pathlib.Path(directory).glob("*.pem"))
    for certificate in certificates:
        client.load_verify_locations(certificate)
    for certificate in certificates:
        server = context(True)
        server.load_cert_chain(certificate, certificate.with_suffix(".key"))
        try:
            shake_hands(client, server)
            print(certificate.stem, "ok")
        except ssl.SSLError as error:
            print(certificate.stem, error)


def over_pipes(made, server):
    end, incoming, outgoing = in_memory(made, server)

    def exchange(action):
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                flush()
                data = os.read(0, 65536)
                if not data:
                    sys.exit("the other side closed")
                incoming.write(data)
            finally:
                flush()

    def flush():
        data = outgoing.read()
        while data:
            data = data[os.write(1, data):]

    exchange(end.do_handshake)
    message = exchange(lambda: end.read(100))
    exchange(lambda: end.write(message))


def main():
    match sys.argv[1:]:
        case ["store", directory]:
            store(directory)
        case ["client"]:
            over_pipes(context(False), False)
        case ["server", certificate, key]:
            made = context(True)
            made.load_cert_chain(certificate, key)
            over_pipes(made, True)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
