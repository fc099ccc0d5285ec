"""One proxied connection: two endpoints, two pipes, and what becomes of each message on its way.

A connection on link src→dst carries requests forward under the rules of src→dst and replies backward under the rules
of dst→src. Faults are decided per message, above TCP:

- A lost message never arrives. No reply is invented; the caller sees its own timeout and drops the connection.
- A message that meets a cut is lost likewise: nothing is reset, the connection stays quiet and works again after the
  heal. Only a message that was half through when the cut came has torn its connection, which is reset at the heal.
- The second copy of a duplicated request is carried out by the receiver; its reply is swallowed, since HTTP has room
  for one.
- The reply to a one-way message (`POST /send`) is the transport's receipt, not a message: it ends here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.proxy.chain import Chain
from harness.proxy.endpoint import Endpoint
from harness.proxy.pipe import Pipe, Reply

if TYPE_CHECKING:
    from harness.proxy.link import Link

SILENCE_S = 1.0   # a caller who speaks first is given so long; then the target's own deadlines hold


class Connection:
    """An accepted connection and its counterpart at the link's target."""

    def __init__(self, link: Link, reverse: Link, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.replies: deque[Reply] = deque()
        """What to do with each reply still to come, in the order the target received the requests."""
        self.forward = Pipe(self, link, replies=False)
        self.backward = Pipe(self, reverse, replies=True)
        self.source = Endpoint(self, towards_target=False)
        self.target = Endpoint(self, towards_target=True)
        self.forward.connect(self.source, self.target)
        self.backward.connect(self.target, self.source)
        # Toxics act at the caller's end: before requests are judged as messages, and after replies were.
        self.upstream: Chain | None = None
        self.downstream: Chain | None = None
        self._number = link.accepted = link.accepted + 1
        self._connecting: asyncio.Task[None] | None = None
        self._introduction: asyncio.TimerHandle | None = None
        self._torn = False

    def pipe_into(self, endpoint: Endpoint) -> Pipe:
        return self.forward if endpoint is self.target else self.backward

    def accepted(self) -> None:
        """The source has connected: refuse it, or find it its target."""
        link = self.forward.link
        if link.policy.cut:
            link.policy.refuse()
            self.source.abort()
            self.target.closed = True
            return
        link.connections[self] = None
        self.backward.link.connections[self] = None
        if link.toxics:
            self.toxics_changed()
        if link.caller_speaks_first:
            self._introduction = self.loop.call_later(SILENCE_S, self.reach_target)
        else:
            self.reach_target()

    def reach_target(self) -> None:
        """Connect to the target, if nobody has tried yet."""
        if self._introduction is not None:
            self._introduction.cancel()
            self._introduction = None
        if self._connecting is None and not self.source.closed:
            self._connecting = self.loop.create_task(self._connect())

    async def _connect(self) -> None:
        address = self.forward.link.target
        try:
            if address is None:
                raise ConnectionRefusedError
            await self.loop.create_connection(lambda: self.target, *address)
        except OSError:
            self.target.closed = True
        # The source may have left meanwhile; or nobody is there, and it must learn that.
        self.settle()

    def owed(self) -> Reply:
        """What to do with the reply that now begins."""
        return self.replies.popleft() if self.replies else Reply.DELIVER

    def settle(self) -> None:
        """Pass a closed end on to the other, once what was in flight has arrived and unless a cut hides it."""
        up, down = self.upstream, self.downstream
        if self.source.closed:
            if self._connecting is None:
                self.target.closed = True  # nothing was ever said: there is nobody to tell
            self.forward.end_relay()
            self.backward.clear()
            if up is not None:
                up.finish()
            if down is not None:
                down.clear()
        if self.target.closed:
            self.backward.end_relay()
            self.forward.clear()
            if up is not None:
                up.clear()
        if (self.source.closed if up is None else up.has_ended) and self.forward.is_clear:
            self.target.close()
        if self.target.closed and self.backward.is_clear:
            if down is None:
                self.source.close()
            else:
                down.finish()
        if down is not None and down.has_ended:
            self.source.close()
        if self.source.closed and self.target.closed:
            self._forget()

    def toxics_changed(self) -> None:
        """The link's toxics were replaced: this connection feels it now."""
        toxics = self.forward.link.toxics
        if self.upstream is None:
            self.upstream = self._chain(self.forward, self.forward.feed)
        if self.downstream is None:
            self.downstream = self._chain(self.backward, self.source.write)
        self.upstream.set_toxics([toxic for toxic in toxics if toxic.stream == "upstream"])
        self.downstream.set_toxics([toxic for toxic in toxics if toxic.stream == "downstream"])
        self.forward.may_relay, self.backward.may_relay = self.upstream.is_empty, self.downstream.is_empty
        self.source.feed = self.forward.feed if self.upstream.is_empty else self.upstream.feed
        self.backward.deliver = self.source.write if self.downstream.is_empty else self.downstream.feed

    def _chain(self, pipe: Pipe, deliver: Callable[[bytes], None]) -> Chain:
        link = self.forward.link
        return Chain(
            self.loop, link.random, key=(link.name, str(self._number)), replies=pipe is self.backward,
            deliver=deliver, ended=self.settle, reset=self.reset, hold=lambda is_full: pipe.hold(full_chain=is_full),
            left=lambda: pipe.left,
        )

    def reset(self) -> None:
        """Reset both ends so that both notice."""
        self.source.reset()
        self.target.reset()
        self.abort()

    def tear(self) -> None:
        """A message was cut in two: this connection carries nothing more, and is reset when nothing is cut."""
        self._torn = True
        self.rules_changed()

    def rules_changed(self) -> None:
        """A link's rules were replaced: reset what a cut tore, and tell each end what the cut hid from it."""
        if not self._torn:
            self.settle()
        elif not (self.forward.link.policy.cut or self.backward.link.policy.cut):
            self.abort()

    def abort(self) -> None:
        """Reset both ends now."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self.target.transport is None:
            self.target.closed = True
        self.source.abort()
        self.target.abort()
        self._forget()

    def _forget(self) -> None:
        if self._introduction is not None:
            self._introduction.cancel()
        self.forward.clear()
        self.backward.clear()
        for chain in (self.upstream, self.downstream):
            if chain is not None:
                chain.clear()
        self.forward.link.connections.pop(self, None)
        self.backward.link.connections.pop(self, None)
