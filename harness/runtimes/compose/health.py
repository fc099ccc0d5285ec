"""Asks a server one small HTTP question and says by its exit code whether it was answered: a container's health check.

Run with `python -I -S` it imports sockets only: a check every half minute must not cost what it looks after.
"""

import socket
import sys

TIMEOUT_S = 4.0


def main(host: str, port: str, method: str, path: str) -> int:
    """0 if the answer is 200."""
    try:
        with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: health\r\nX-Sender: health\r\nX-Kind: ping\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            answer = connection.recv(64)
    except OSError as error:
        print(f"no answer from {host}:{port}: {error}")
        return 1
    if answer.split(b" ", 2)[1:2] == [b"200"]:
        return 0
    print(f"{host}:{port} answered {answer[:40]!r}")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
