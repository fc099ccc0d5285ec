"""Who uses the vault: depositors that pay in and withdraw at random, each with its own money."""

from __future__ import annotations

from harness.project import Actor, PortError

ETHER = 10**18


class Depositor(Actor):
    """Pays in, waits, takes some of it out again; whatever the network does to its messages."""

    async def run(self) -> None:
        await self.send("token", "approve", self.at("vault"), 2**256 - 1)
        turn = 0
        while True:
            turn += 1
            await self.sleep(float(self.options["pause"]) * (1 + self.draw(100, "pause", turn) / 100))
            try:
                shares = await self.read("vault", "sharesOf", self.address)
            except PortError:  # no gateway in reach: later
                continue
            if shares == 0 or self.draw(3, "what", turn) == 0:
                await self.send("vault", "deposit", (1 + self.draw(50, "amount", turn)) * ETHER)
            else:
                await self.send("vault", "withdraw", 1 + self.draw(shares, "shares", turn))
