"""What one client may cost, each with the reason for its size. A client that goes beyond is told, or dropped."""

from __future__ import annotations

from typing import Final

CONNECTIONS_MAX: Final = 4_096
ACCEPTED_PER_S: Final = 1_000      # a reconnecting flood costs at most this many handshakes, some 0.1 ms each
ACCEPTED_AT_ONCE: Final = 64       # of them, where a busy machine lets the loop come round seldom
GONE_COST: Final = 0.1             # of a handshake: who has hung up before being let in is only closed
HEAD_BYTES_MAX: Final = 16 << 10   # request line and headers
BODY_BYTES_MAX: Final = 2 << 20    # a batch of deployments; Anvil's own limit
QUEUED_MAX: Final = 64             # requests of one connection read ahead of the one being answered
SLICE_BYTES: Final = 1 << 10       # of WebSocket input parsed before everybody else gets the loop
HEAVY_BYTES: Final = 32 << 10      # a body this large is parsed while no other large one is
FAULTS_MAX: Final = 32             # unreadable messages over one WebSocket before it is closed
CONTROL_FRAMES_PER_S: Final = 32   # pings of one WebSocket; each costs as much as a small request
WRITE_BUFFER_HIGH: Final = 256 << 10   # replies not read by the client, past which it is not answered further
NOTIFY_BUFFER_MAX: Final = 4 << 20     # notifications not read by the client, past which it is dropped

HEAD_TIMEOUT_S: Final = 10.0       # from a request's first byte to the end of its headers (slow loris)
BODY_TIMEOUT_S: Final = 30.0       # to the end of its body
IDLE_TIMEOUT_S: Final = 300.0      # of an HTTP connection between requests
PENALTY_S: Final = 5.0             # an abuser's connection is left lying for so long: it might come back at once
START_TIMEOUT_S: Final = 10.0      # a request waits for a node that has just been started
UNREAD_TIMEOUT_S: Final = 30.0     # a client that does not read its reply
SWEEP_INTERVAL_S: Final = 1.0
