"""Which class plays which kind of role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.evm.accounts import account
from harness.roles.actor import make_actor
from harness.roles.admin import Admin
from harness.roles.adversary import Adversary
from harness.roles.batcher import Batcher
from harness.roles.book_adversary import BookAdversary
from harness.roles.book_maker import BookMaker
from harness.roles.context import Role, RoleContext
from harness.roles.durability import EndingWithItsStore, WatchedStore
from harness.roles.keeper import Keeper
from harness.roles.l1 import L1Builder, L1Follower
from harness.roles.maker import Maker
from harness.roles.relayer import Relayer
from harness.roles.replica import Replica
from harness.roles.reporter import Reporter
from harness.roles.searcher import Searcher
from harness.roles.sequencer import Sequencer
from harness.roles.strategist import Strategist
from harness.roles.trader import Trader
from harness.venue.deployment import interfaces

ROLES: dict[str, Callable[[RoleContext], Role]] = {
    "l1-builder": L1Builder,
    "l1-follower": L1Follower,
    "sequencer": Sequencer,
    "replica": Replica,
    "batcher": Batcher,
    "reporter": Reporter,
    "keeper": Keeper,
    "maker": lambda context: BookMaker(context) if context.plan.trading == "book" else Maker(context),
    "trader": lambda context: _trader(context),
    "searcher": Searcher,
    "relayer": Relayer,
    "admin": Admin,
    "actor": make_actor,
}


def _trader(context: RoleContext) -> Role:
    match dict(context.plan.styles).get(context.name):
        case None:
            return Trader(context)
        case "adversary":
            return BookAdversary(context) if context.plan.trading == "book" else Adversary(context)
        case _:
            return Strategist(context)


def prepare() -> None:
    """What every role works out when it starts, for the process they are forked from: keys of one seed, and codecs."""
    account(0)
    interfaces()


def make_role(context: RoleContext) -> Role:
    """The role a context describes, not started; it ends when its store fails."""
    store = WatchedStore(context.store)
    return EndingWithItsStore(ROLES[context.spec.kind](replace(context, store=store)), store)
