// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ClearingHouse} from "./ClearingHouse.sol";
import {Coin} from "./CoinPools.sol";
import {Factors} from "./Factors.sol";
import {Liquidator} from "./Liquidator.sol";
import {Risk} from "./Margin.sol";
import {Sums} from "./Observations.sol";
import {Market, Perpetuals} from "./Perpetuals.sol";
import {Pauses} from "./Pauses.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {Kind, Position, Series} from "./Series.sol";
import {Settlement} from "./Settlement.sol";
import {Ledger, Vault} from "./Vault.sol";

/// @title Views for keepers, indexers and checkers
/// @notice Reads, never decides: whether an account is liquidatable is the liquidator's own answer.
contract Lens {
    /// @dev Of the cross pool, but for the custody.
    struct Totals {
        /// Tokens the vault holds for all pools, native units.
        uint256 custody;
        uint256 insurance;
        uint256 fees;
        int256 dust;
        /// Losses nobody bears yet.
        uint256 deficit;
    }

    struct PoolState {
        uint32 pool;
        uint256 balance;
        uint256 insurance;
        uint256 fees;
        int256 dust;
        uint256 deficit;
        /// What the pool holds instead of dollars, and how much of it the vault has, native units; 0 where it holds dollars.
        bytes32 coin;
        uint256 custody;
    }

    struct PositionState {
        uint256 seriesId;
        int256 size;
        int256 notional;
        /// Iᵤ of a perpetual's position, 0 of other kinds'.
        int256 fundingIndex;
    }

    /// @dev Margins at the newest prices whatever their age.
    struct AccountState {
        address account;
        uint32 pool;
        int256 cash;
        int256 equity;
        uint256 initialMargin;
        uint256 maintenanceMargin;
        /// Auction clock at the start of its auction, 0 when there is none.
        uint64 auction;
        PositionState[] positions;
        /// Time of its last move, 0 before the first; only a price from after it may liquidate the account.
        uint64 movedAt;
    }

    struct SeriesState {
        uint256 seriesId;
        int256 clearing;
        uint256 openInterest;
        uint256 openPositions;
        bool isFinal;
        int256 price;
        /// When it became disputed, 0 when it never was.
        uint64 disputedAt;
    }

    /// @dev As stored: not accrued to now.
    struct PerpetualState {
        uint256 seriesId;
        int256 index;
        int256 rate;
        uint256 integral;
        uint64 window;
        uint256 weight;
        int256 weighted;
    }

    struct AssetState {
        bytes32 asset;
        uint64 round;
        uint64 timestamp;
        int256 price;
        int256 cumulative;
        /// B and the funding clock at the newest round.
        uint256 funded;
        uint64 activeAt;
        /// Seconds with a usable price, and with one too old for settlement, at the newest round.
        uint64 covered;
        uint64 beyond;
        /// Nobody opens before, 0 when the breaker never tripped.
        uint64 haltedUntil;
    }

    struct GovernanceState {
        /// Mask: 1 trading, 2 liquidation, 4 withdrawals.
        uint8 paused;
        /// When liquidation was last allowed again, 0 when it never was paused.
        uint64 resumedAt;
        uint64 fundingClock;
        uint64 auctionClock;
        uint16 imBps;
        uint16 mmBps;
        uint16 optionImBps;
        uint16 optionMinImBps;
        uint16 optionMmBps;
        uint256 keeperShareBps;
        /// Of the liquidator behind its proxy.
        uint64 version;
    }

    ClearingHouse public immutable clearingHouse;
    Vault public immutable vault;
    PriceFeed public immutable feed;
    Settlement public immutable settlement;
    Liquidator public immutable liquidator;
    Perpetuals public immutable perpetuals;

    constructor(
        ClearingHouse clearingHouse_,
        Vault vault_,
        PriceFeed feed_,
        Settlement settlement_,
        Liquidator liquidator_,
        Perpetuals perpetuals_
    ) {
        clearingHouse = clearingHouse_;
        vault = vault_;
        feed = feed_;
        settlement = settlement_;
        liquidator = liquidator_;
        perpetuals = perpetuals_;
    }

    /// @notice The venue in one call. Accounts and assets come back in the order given, series and perpetuals in that
    /// of their ids, pools in that of their numbers.
    function state(address[] calldata accounts, bytes32[] calldata assets)
        external
        view
        returns (
            Totals memory totals,
            AccountState[] memory accountStates,
            SeriesState[] memory seriesStates,
            PerpetualState[] memory perpetualStates,
            AssetState[] memory assetStates,
            PoolState[] memory poolStates
        )
    {
        poolStates = _pools();
        totals = Totals(
            vault.collateral().balanceOf(address(vault)),
            poolStates[0].insurance,
            poolStates[0].fees,
            poolStates[0].dust,
            poolStates[0].deficit
        );
        accountStates = new AccountState[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) accountStates[i] = _account(accounts[i]);
        seriesStates = new SeriesState[](clearingHouse.seriesCount());
        for (uint256 i; i < seriesStates.length; ++i) seriesStates[i] = _series(i + 1);
        perpetualStates = _perpetuals(seriesStates.length);
        assetStates = new AssetState[](assets.length);
        for (uint256 i; i < assets.length; ++i) assetStates[i] = _asset(assets[i]);
    }

    /// @notice What the guardian and the timelock decided, and the clocks that depend on it.
    function governance() external view returns (GovernanceState memory) {
        Pauses pauses = clearingHouse.pauses();
        Factors memory factors = clearingHouse.factors();
        return GovernanceState(
            pauses.paused(),
            pauses.resumedAt(),
            pauses.fundingClock(),
            pauses.auctionClock(),
            factors.imBps,
            factors.mmBps,
            factors.optionImBps,
            factors.optionMinImBps,
            factors.optionMmBps,
            liquidator.keeperShareBps(),
            liquidator.version()
        );
    }

    /// @notice What `Liquidator.liquidate` would find of each account now; false when a guard forbids it.
    function liquidatable(address[] calldata accounts) external view returns (bool[] memory answers) {
        answers = new bool[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            try liquidator.requireLiquidatable(accounts[i]) returns (Risk memory) {
                answers[i] = true;
            } catch {}
        }
    }

    /// @notice `Liquidator.stage` of each account now; 0 when a guard forbids everything.
    function stages(address[] calldata accounts) external view returns (uint8[] memory answers) {
        answers = new uint8[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            try liquidator.stage(accounts[i]) returns (uint8 stage) {
                answers[i] = stage;
            } catch {}
        }
    }

    function _pools() internal view returns (PoolState[] memory found) {
        found = new PoolState[](uint256(vault.poolCount()) + 1);
        for (uint32 pool; pool < found.length; ++pool) {
            Ledger memory books = vault.ledger(pool);
            Coin memory coin = vault.coinOf(pool);
            uint256 custody = address(coin.token) == address(0) ? 0 : coin.token.balanceOf(address(vault));
            found[pool] = PoolState(
                pool,
                books.balance,
                books.insurance,
                books.fees,
                books.dust,
                books.deficit,
                coin.asset,
                custody
            );
        }
    }

    function _account(address account) internal view returns (AccountState memory result) {
        Risk memory risk = clearingHouse.riskAtStoredPrices(account);
        uint256[] memory ids = clearingHouse.holdings(account);
        PositionState[] memory positions = new PositionState[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            Position memory held = clearingHouse.position(account, ids[i]);
            positions[i] =
                PositionState(ids[i], held.size, held.notional, perpetuals.entryIndex(account, ids[i]));
        }
        return AccountState(
            account,
            vault.poolOf(account),
            vault.cash(account),
            risk.equity,
            risk.initialMargin,
            risk.maintenanceMargin,
            liquidator.auctionStart(account),
            positions,
            clearingHouse.movedAt(account)
        );
    }

    function _series(uint256 id) internal view returns (SeriesState memory) {
        Series memory series = clearingHouse.series(id);
        return SeriesState(
            id,
            series.kind == Kind.Perpetual ? perpetuals.clearing(id) : settlement.clearing(id),
            series.openInterest,
            series.openPositions,
            series.isFinal,
            series.settlementPrice,
            settlement.disputedAt(id)
        );
    }

    function _perpetuals(uint256 seriesCount) internal view returns (PerpetualState[] memory found) {
        found = new PerpetualState[](seriesCount);
        uint256 count;
        for (uint256 id = 1; id <= seriesCount; ++id) {
            if (clearingHouse.series(id).kind != Kind.Perpetual) continue;
            Market memory market = perpetuals.market(id);
            found[count++] = PerpetualState(
                id, market.index, market.rate, market.integral, market.window, market.weight, market.weighted
            );
        }
        // Shortens the array in place; count ≤ seriesCount, its allocated length.
        assembly ("memory-safe") {
            mstore(found, count)
        }
    }

    function _asset(bytes32 asset) internal view returns (AssetState memory) {
        (uint64 round, uint64 timestamp, int256 price) = feed.latest(asset);
        (uint256 funded, uint64 activeAt) = feed.fundedAtLastRound(asset);
        Sums memory sums = feed.newestSums(asset);
        return AssetState(
            asset,
            round,
            timestamp,
            price,
            sums.cumulative,
            funded,
            activeAt,
            sums.covered,
            sums.beyond,
            feed.haltedUntil(asset)
        );
    }
}
