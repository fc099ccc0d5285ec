// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {L1Info} from "../l2/L1Info.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Margin, Risk} from "./Margin.sol";
import {Params} from "./Params.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {isLinear, Series, SeriesExpired} from "./Series.sol";
import {Vault} from "./Vault.sol";

/// @title Full liquidation by keepers
/// @notice A keeper takes over every position of an account below maintenance margin, at the index, for half of the
/// penalty. The waterfall of what is missing: the account's cash, the insurance fund, bad debt.
contract Liquidator {
    using SafeCast for uint256;

    error SelfLiquidation(address account);
    error SequencerDown();
    /// @notice The sequencer restarted lately; nobody is liquidated before `until` (seconds).
    error SequencerGrace(uint64 until);
    /// @notice The newest price was observed before the sequencer's restart.
    error PriceBeforeRestart(bytes32 asset, uint64 timestamp, uint64 startedAt);
    error NotLiquidatable(int256 equity, uint256 maintenanceMargin);

    event PositionTransferred(
        address indexed account, address indexed keeper, uint256 indexed seriesId, int256 size, int256 price
    );
    event Liquidated(
        address indexed account,
        address indexed keeper,
        int256 equityBefore,
        uint256 maintenanceMargin,
        uint256 toKeeper,
        uint256 toInsurance,
        uint256 covered,
        uint256 badDebt
    );

    ClearingHouse public immutable clearingHouse;
    Vault public immutable vault;
    PriceFeed public immutable feed;
    L1Info public immutable l1Info;
    uint256 public immutable penaltyBps;
    uint256 public immutable keeperShareBps;
    uint64 public immutable grace;

    constructor(Params memory params, ClearingHouse clearingHouse_, Vault vault_, PriceFeed feed_, L1Info l1Info_) {
        clearingHouse = clearingHouse_;
        vault = vault_;
        feed = feed_;
        l1Info = l1Info_;
        penaltyBps = params.penaltyBps;
        keeperShareBps = params.keeperShareBps;
        grace = params.grace;
    }

    /// @notice Takes over every position of an account below maintenance margin. The caller must end above its own
    /// initial margin.
    function liquidate(address account) external {
        if (msg.sender == account) revert SelfLiquidation(account);
        Risk memory before = requireLiquidatable(account);
        uint256 notional = _transferPositions(account, msg.sender);
        (uint256 toKeeper, uint256 toInsurance) = _penalty(notional, vault.cash(account));
        vault.takePenalty(account, msg.sender, toKeeper, toInsurance);
        (uint256 covered, uint256 badDebt) = vault.coverDebt(account);
        emit Liquidated(
            account,
            msg.sender,
            before.equity,
            before.maintenanceMargin,
            toKeeper,
            toInsurance,
            covered,
            badDebt
        );
        // Last, because it is about the state after; a view.
        clearingHouse.requireInitialMargin(msg.sender);
    }

    /// @notice Reverts unless `liquidate` would find this account liquidatable now; says why not.
    /// @return result the account at fresh prices
    function requireLiquidatable(address account) public view returns (Risk memory result) {
        if (!l1Info.isUp()) revert SequencerDown();
        uint64 startedAt = l1Info.startedAt();
        if (startedAt != l1Info.UP_SINCE_GENESIS() && block.timestamp < startedAt + grace) {
            revert SequencerGrace(startedAt + grace);
        }
        uint256[] memory ids = clearingHouse.holdings(account);
        for (uint256 i; i < ids.length; ++i) {
            Series memory series = clearingHouse.series(ids[i]);
            if (block.timestamp >= series.expiry) revert SeriesExpired(ids[i], series.expiry);
            (, uint64 timestamp) = feed.freshPrice(series.asset);
            if (timestamp < startedAt) revert PriceBeforeRestart(series.asset, timestamp, startedAt);
        }
        result = clearingHouse.risk(account);
        if (result.maintenanceMargin == 0 || result.equity >= int256(result.maintenanceMargin)) {
            revert NotLiquidatable(result.equity, result.maintenanceMargin);
        }
    }

    /// @return notional Σ|q|·|P| of what was moved, 1e36, so that the penalty rounds once
    function _transferPositions(address account, address keeper) internal returns (uint256 notional) {
        uint256[] memory ids = clearingHouse.holdings(account);
        for (uint256 i; i < ids.length; ++i) {
            Series memory series = clearingHouse.series(ids[i]);
            (int256 index,) = feed.freshPrice(series.asset);
            int256 price = isLinear(series.kind)
                ? index
                : Margin.payoff(series.kind, series.strike, SignedMath.max(index, 0)).toInt256();
            int256 size = clearingHouse.transferPosition(account, keeper, ids[i], price);
            notional += SignedMath.abs(size) * SignedMath.abs(index);
            emit PositionTransferred(account, keeper, ids[i], size, price);
        }
    }

    /// @dev The penalty is ceiled, the keeper's part of it floored; both are bounded by the cash that is there.
    function _penalty(uint256 notional, int256 cash) internal view returns (uint256 toKeeper, uint256 toInsurance) {
        uint256 full = FixedPoint.mulDivUp(notional, penaltyBps, BPS * WAD);
        uint256 collected = Math.min(full, uint256(SignedMath.max(cash, 0)));
        toKeeper = Math.min(collected, Math.mulDiv(full, keeperShareBps, BPS));
        toInsurance = collected - toKeeper;
    }
}
