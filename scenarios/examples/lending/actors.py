"""Who uses the pool: borrowers that draw their credit to the limit, liquidators that watch them."""

from __future__ import annotations

from harness.project import Actor, PortError

ETHER = 10**18
MAX = 2**256 - 1


class Borrower(Actor):
    """Puts collateral in, borrows close to its limit, and comes back with more when it was liquidated."""

    async def run(self) -> None:
        await self.send("weth", "approve", self.at("pool"), MAX)
        await self.sleep_until(4 + self.index)  # the oracle's first round is there by now
        turn = 0
        while True:
            turn += 1
            try:
                debt = await self.read("pool", "debtOf", self.address)
                _, _, price = await self.read("price_feed", "latest", b"ETH".ljust(32, b"\0"))
            except PortError:  # no gateway in reach: later
                await self.sleep(1)
                continue
            if debt == 0:
                amount = int(self.options["collateral"]) * ETHER
                await self.send("pool", "addCollateral", amount)
                share = 60 + self.draw(14, "share", turn)  # per cent of the collateral's value
                await self.send("pool", "borrow", amount * price // ETHER * share // 100)
            await self.sleep(3)


class Liquidator(Actor):
    """Asks for every borrower once a block, and liquidates who can be."""

    async def run(self) -> None:
        await self.send("cash", "approve", self.at("pool"), MAX)
        borrowers = [role.name for role in self.context.plan.of_kind("actor") if role.name.startswith("borrower-")]
        while True:
            for name in borrowers:
                try:
                    due = await self.read("pool", "isLiquidatable", self.at(name))
                except PortError:
                    continue
                if due:
                    await self.send("pool", "liquidate", self.at(name))
            await self.sleep(0.5)
