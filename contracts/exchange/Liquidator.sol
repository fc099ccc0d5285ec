// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {L1Info} from "../l2/L1Info.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {Deleveraging} from "./Deleveraging.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Estate, Holding, Ladder} from "./Ladder.sol";
import {Margin, Risk} from "./Margin.sol";
import {Params} from "./Params.sol";
import {Pauses} from "./Pauses.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {isFuture, Series, SeriesExpired} from "./Series.sol";
import {NotTimelock} from "./Timelock.sol";
import {Ledger, Vault} from "./Vault.sol";
import {Worth, Worths} from "./Worth.sol";

/// @title The liquidation ladder
/// @notice An account below maintenance margin is first cut back to its initial margin by a keeper. One that cannot pay
/// the whole penalty is auctioned at a price that falls in active time; what nobody buys, or the insurance could not make
/// good, is deleveraged. Losses end in the vault's deficit, which everybody shares in the end.
/// @dev Runs behind a proxy: what it remembers is the proxy's, what it was built with is this version's.
contract Liquidator is Deleveraging, Initializable, UUPSUpgradeable {
    using SafeCast for int256;
    using Worths for Worth;

    error SelfLiquidation(address account);
    error SequencerDown();
    /// @notice The sequencer restarted lately; nobody is liquidated before L1's clock shows `until` (seconds).
    error SequencerGrace(uint64 until);
    /// @notice The newest price was observed before the sequencer restarted or liquidation was allowed again.
    error PriceBeforeRestart(bytes32 asset, uint64 timestamp, uint64 since);
    /// @notice The newest price was observed no later than the account's last move (seconds): it is of the state before.
    error PriceBeforeMove(bytes32 asset, uint64 timestamp, uint64 movedAt);
    /// @notice Liquidation was paused lately; nobody is liquidated before L1's clock shows `until` (seconds).
    error PauseGrace(uint64 until);
    error NotLiquidatable(int256 equity, uint256 maintenanceMargin);
    /// @notice Bid for it; active seconds.
    error AuctionRunning(address account, uint64 elapsed, uint64 duration);
    error NoAuction(address account);
    /// @notice Closing it leaves enough for the penalty: liquidate it. 1e18 quote.
    error StillSolvent(int256 value, uint256 penalty);
    /// @notice The insurance cannot make the loss good: liquidate it, which deleverages. 1e18 quote.
    error BidNotCovered(uint256 loss, uint256 available);
    error StillLiquidatable(int256 equity, uint256 maintenanceMargin);
    error NoDeficit();
    error InsuranceNotExhausted(uint256 insurance);
    error LotIsZero();
    /// @notice At most all of a penalty; 1/10 000.
    error ShareOutOfRange(uint256 shareBps);

    event PositionTransferred(
        address indexed account, address indexed keeper, uint256 indexed seriesId, int256 size, int256 price
    );
    /// @notice Equity and margin are those before; `stage` is 1 partial, 2 auction, 3 deleveraged.
    event Liquidated(
        address indexed account,
        address indexed keeper,
        int256 equityBefore,
        uint256 maintenanceMargin,
        uint256 toKeeper,
        uint256 toInsurance,
        uint256 covered,
        uint256 badDebt,
        uint8 stage
    );
    event AuctionStarted(
        address indexed account,
        address indexed keeper,
        uint64 startActive,
        int256 equity,
        uint256 maintenanceMargin
    );
    event AuctionCancelled(address indexed account);
    /// @notice An account's part of its pool's deficit, 1e18 quote.
    event Haircut(address indexed account, uint256 amount);
    event DeficitSocialized(uint256 amount, uint256 remaining, uint32 pool);
    /// @notice The keeper's part of a penalty from now on; 1/10 000.
    event KeeperShareSet(uint256 shareBps);

    uint8 internal constant PARTIAL = 1;
    uint8 internal constant AUCTION = 2;
    uint8 internal constant DELEVERAGED = 3;

    PriceFeed public immutable feed;
    L1Info public immutable l1Info;
    Pauses public immutable pauses;
    /// @notice Which version this is, counted from 1.
    uint64 public immutable version;
    uint256 public immutable penaltyBps;
    uint64 public immutable grace;
    uint256 public immutable lot;
    uint256 public immutable smallNotional;
    uint64 public immutable auctionDuration;
    uint256 public immutable auctionMaxBps;

    /// @notice Auction clock at the start of an account's auction; 0 when there is none.
    mapping(address account => uint64) public auctionStart;
    /// @notice The keeper's part of the penalty, 1/10 000; the insurance fund gets the rest.
    uint256 public keeperShareBps;

    constructor(
        Params memory params,
        ClearingHouse clearingHouse_,
        Vault vault_,
        PriceFeed feed_,
        Pauses pauses_,
        uint64 version_
    ) Deleveraging(clearingHouse_, vault_) {
        _disableInitializers();
        if (params.lot == 0) revert LotIsZero();
        feed = feed_;
        pauses = pauses_;
        l1Info = pauses_.l1Info();
        version = version_;
        penaltyBps = params.penaltyBps;
        grace = params.grace;
        lot = params.lot;
        smallNotional = params.smallNotional;
        auctionDuration = params.auctionDuration;
        auctionMaxBps = params.auctionMaxBps;
    }

    /// @notice Sets what this version's storage needs; once per version, in the transaction that switches to it.
    /// @param keeperShareBps_ 1/10 000
    function initialize(uint256 keeperShareBps_) external reinitializer(version) {
        if (keeperShareBps_ > BPS) revert ShareOutOfRange(keeperShareBps_);
        keeperShareBps = keeperShareBps_;
        emit KeeperShareSet(keeperShareBps_);
    }

    /// @notice Takes the next step for an account below maintenance margin: cuts it back, starts its auction, or
    /// deleverages it. A caller that takes positions must end above its own initial margin.
    function liquidate(address account) external {
        Estate memory estate = _estate(account);
        if (estate.value >= int256(estate.penalty)) return _liquidatePartially(account, estate);
        bool short_ = _isShort(estate);
        (bool isRunning, uint64 elapsed) = _auction(account);
        if (short_ || (isRunning && elapsed >= auctionDuration)) return _deleverage(account, estate);
        if (isRunning) revert AuctionRunning(account, elapsed, auctionDuration);
        uint64 start = pauses.auctionClock();
        auctionStart[account] = start;
        emit AuctionStarted(account, estate.keeper, start, estate.risk.equity, estate.risk.maintenanceMargin);
    }

    /// @notice Buys all an auctioned account holds, at the index less the bonus reached by now.
    function bid(address account) external {
        (bool isRunning, uint64 elapsed) = _auction(account);
        if (!isRunning) revert NoAuction(account);
        Estate memory estate = _estate(account);
        if (estate.value >= int256(estate.penalty)) revert StillSolvent(estate.value, estate.penalty);
        if (_isShort(estate)) revert BidNotCovered(uint256(-estate.value), vault.insuranceAvailable(estate.pool));

        delete auctionStart[account];
        for (uint256 i; i < estate.holdings.length; ++i) {
            _transfer(account, estate.keeper, estate.holdings[i], SignedMath.abs(estate.holdings[i].size));
        }
        uint256 worth = SignedMath.max(estate.value, 0).toUint256();
        uint256 toBidder = _bonus(estate, elapsed);
        if (toBidder > 0) vault.pay(account, estate.keeper, toBidder);
        if (worth > toBidder) vault.payInsurance(account, worth - toBidder);
        uint256 covered = vault.coverLoss(account);
        uint256 badDebt = vault.bookBadDebt(account);
        _emitLiquidated(account, estate, [toBidder, worth - toBidder, covered, badDebt], AUCTION);
        // Last, because it is about the state after.
        clearingHouse.admitKeeper(estate.keeper);
    }

    /// @notice Ends the auction of an account that is not below maintenance margin any more; anyone may.
    function cancelAuction(address account) external {
        if (auctionStart[account] == 0) revert NoAuction(account);
        Risk memory risk_ = clearingHouse.risk(account);
        if (_isBelow(risk_)) revert StillLiquidatable(risk_.equity, risk_.maintenanceMargin);
        delete auctionStart[account];
        emit AuctionCancelled(account);
    }

    /// @notice Shares a pool's deficit among its accounts by their equity, once its insurance is empty; anyone may ask for it.
    function haircut(uint32 pool) external {
        pauses.requireLiquidation();
        Ledger memory ledger = vault.ledger(pool);
        uint256 open = ledger.deficit;
        if (open == 0) revert NoDeficit();
        if (ledger.insurance > 0) revert InsuranceNotExhausted(ledger.insurance);
        address[] memory accounts = vault.accounts(pool);
        uint256[] memory equities = new uint256[](accounts.length);
        uint256 sum;
        for (uint256 i; i < accounts.length; ++i) {
            equities[i] = SignedMath.max(clearingHouse.risk(accounts[i]).equity, 0).toUint256();
            sum += equities[i];
        }
        uint256 left = open;
        for (uint256 i; i < accounts.length && left > 0; ++i) {
            if (equities[i] == 0) continue;
            uint256 amount = Math.min(FixedPoint.mulDivUp(open, equities[i], sum), Math.min(equities[i], left));
            left -= amount;
            vault.takeHaircut(accounts[i], amount);
            emit Haircut(accounts[i], amount);
        }
        emit DeficitSocialized(open - left, left, pool);
    }

    /// @notice What a keeper can do for an account now: 1 liquidate it in part, 2 start its auction, 3 wait for the
    /// auction to offer something, 4 bid, 5 deleverage it. Reverts as `liquidate` would when a guard forbids it.
    function stage(address account) external view returns (uint8) {
        Estate memory estate = _survey(account, requireLiquidatable(account));
        if (estate.value >= int256(estate.penalty)) return 1;
        (bool isRunning, uint64 elapsed) = _auction(account);
        if (_isShort(estate) || (isRunning && elapsed >= auctionDuration)) return 5;
        if (!isRunning) return 2;
        return _bonus(estate, elapsed) == 0 && estate.value > 0 ? 3 : 4;
    }

    /// @notice Reverts unless the account may be liquidated now; says why not.
    /// @dev Both graces end by the clock of this block's L1 origin: what was forced on L1 before their end is then in this
    /// block's head or in an earlier one, so no liquidation overtakes a top-up that was in time (Q2).
    /// @return result the account at fresh prices
    function requireLiquidatable(address account) public view returns (Risk memory result) {
        uint64 startedAt = l1Info.startedAt();
        // 0 is a round nobody started: down, whatever else it says.
        if (!l1Info.isUp() || startedAt == 0) revert SequencerDown();
        uint64 originTime = l1Info.timestamp();
        if (startedAt != l1Info.UP_SINCE_GENESIS() && originTime < startedAt + grace) {
            revert SequencerGrace(startedAt + grace);
        }
        pauses.requireLiquidation();
        uint64 resumedAt = pauses.resumedAt();
        if (resumedAt != 0 && originTime < resumedAt + grace) revert PauseGrace(resumedAt + grace);
        uint64 since = resumedAt > startedAt ? resumedAt : startedAt;
        uint64 movedAt = clearingHouse.movedAt(account);
        uint256[] memory ids = clearingHouse.holdings(account);
        for (uint256 i; i < ids.length; ++i) {
            Series memory series = clearingHouse.series(ids[i]);
            if (block.timestamp >= series.expiry) revert SeriesExpired(ids[i], series.expiry);
            (, uint64 timestamp) = feed.freshPrice(series.asset);
            if (timestamp < since) revert PriceBeforeRestart(series.asset, timestamp, since);
            if (timestamp <= movedAt) revert PriceBeforeMove(series.asset, timestamp, movedAt);
        }
        result = clearingHouse.risk(account);
        if (!_isBelow(result)) revert NotLiquidatable(result.equity, result.maintenanceMargin);
    }

    function _liquidatePartially(address account, Estate memory estate) internal {
        delete auctionStart[account];
        uint256[] memory sizes = Ladder.partialSizes(estate, lot, smallNotional);
        uint256 notional;
        for (uint256 i; i < sizes.length; ++i) {
            _transfer(account, estate.keeper, estate.holdings[i], sizes[i]);
            notional += estate.holdings[i].worth.notional(sizes[i]);
        }
        uint256 penalty = Ladder.penalty(notional, penaltyBps);
        uint256 toKeeper = Math.mulDiv(penalty, keeperShareBps, BPS);
        if (toKeeper > 0) vault.pay(account, estate.keeper, toKeeper);
        vault.payInsurance(account, penalty - toKeeper);
        _emitLiquidated(account, estate, [toKeeper, penalty - toKeeper, 0, 0], PARTIAL);
        // Last, because it is about the state after.
        clearingHouse.admitKeeper(estate.keeper);
    }

    function _deleverage(address account, Estate memory estate) internal {
        delete auctionStart[account];
        Closing[][] memory closings = new Closing[][](estate.holdings.length);
        Crowd memory crowd = _crowd(account, estate.holdings);
        bool tookAny;
        for (uint256 i; i < closings.length; ++i) {
            uint256 left;
            (closings[i], left) = _close(account, estate.holdings[i], crowd);
            if (left == 0) continue;
            tookAny = true;
            _transfer(account, estate.keeper, estate.holdings[i], left);
        }
        uint256[4] memory flows = _settleEstate(account, estate, closings);
        _emitLiquidated(account, estate, flows, DELEVERAGED);
        // Last, because it is about the state after.
        if (tookAny) clearingHouse.admitKeeper(estate.keeper);
    }

    /// @dev Either what is left pays the penalty as far as it goes, or the loss goes to the insurance, to those who
    /// closed, and what they do not bear to the deficit.
    /// @return flows to keeper, to insurance, covered, bad debt; 1e18 quote
    function _settleEstate(address account, Estate memory estate, Closing[][] memory closings)
        internal
        returns (uint256[4] memory flows)
    {
        flows[2] = vault.coverLoss(account);
        int256 cash = vault.cash(account);
        uint256 loss = SignedMath.max(-cash, 0).toUint256();
        uint256 unassigned = loss;
        for (uint256 i; i < closings.length; ++i) {
            uint256 share = i + 1 == closings.length
                ? unassigned
                : Math.mulDiv(loss, estate.holdings[i].maintenance, estate.maintenance);
            unassigned -= share;
            _charge(account, estate.holdings[i], closings[i], share);
        }
        flows[3] = vault.bookBadDebt(account);
        if (cash <= 0) return flows;
        uint256 collected = Math.min(estate.penalty, uint256(cash));
        flows[0] = Math.min(collected, Math.mulDiv(estate.penalty, keeperShareBps, BPS));
        flows[1] = collected - flows[0];
        if (flows[0] > 0) vault.pay(account, estate.keeper, flows[0]);
        vault.payInsurance(account, flows[1]);
    }

    /// @dev Moves `size` of a holding to the keeper.
    function _transfer(address account, address keeper, Holding memory holding, uint256 size) internal {
        int256 signed = _signed(size, holding.size);
        clearingHouse.transferPosition(account, keeper, holding.id, signed, holding.price);
        emit PositionTransferred(account, keeper, holding.id, signed, holding.price);
    }

    function _emitLiquidated(address account, Estate memory estate, uint256[4] memory flows, uint8 stage_) internal {
        emit Liquidated(
            account,
            estate.keeper,
            estate.risk.equity,
            estate.risk.maintenanceMargin,
            flows[0],
            flows[1],
            flows[2],
            flows[3],
            stage_
        );
    }

    function _estate(address account) internal view returns (Estate memory estate) {
        address keeper = vault.accountIn(msg.sender, vault.poolOf(account));
        if (keeper == account) revert SelfLiquidation(account);
        estate = _survey(account, requireLiquidatable(account));
        estate.keeper = keeper;
    }

    function _survey(address account, Risk memory risk_) internal view returns (Estate memory estate) {
        uint256[] memory ids = clearingHouse.holdings(account);
        estate.risk = risk_;
        estate.pool = vault.poolOf(account);
        estate.holdings = new Holding[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            Series memory series = clearingHouse.series(ids[i]);
            (int256 index,) = feed.freshPrice(series.asset);
            Holding memory holding = estate.holdings[i];
            holding.id = ids[i];
            holding.size = clearingHouse.position(account, ids[i]).size;
            holding.worth = Worths.ofUnit(series.kind, index);
            holding.maintenance = clearingHouse.positionRisk(account, ids[i]).maintenanceMargin;
            holding.isFuture = isFuture(series.kind);
            if (holding.isFuture) {
                holding.price = index;
            } else {
                holding.price =
                    int256(Margin.payoff(series.kind, series.strike, SignedMath.max(index, 0)));
                estate.optionValue += FixedPoint.mulDivFloor(holding.size, holding.price, WAD);
            }
            uint256 size = SignedMath.abs(holding.size);
            estate.notional += holding.worth.notional(size);
            estate.notionalInQuote += size * Worths.inQuote(series.kind, index);
            estate.maintenance += holding.maintenance;
        }
        estate.penalty = Ladder.penalty(estate.notional, penaltyBps);
        estate.value = risk_.equity + estate.optionValue;
    }

    /// @dev Whether closing everything would leave a loss the insurance may not pay now.
    function _isShort(Estate memory estate) internal view returns (bool) {
        return estate.value < 0 && uint256(-estate.value) > vault.insuranceAvailable(estate.pool);
    }

    /// @dev Who may switch to another version; asked through the proxy only.
    function _authorizeUpgrade(address) internal view override {
        if (msg.sender != clearingHouse.timelock()) revert NotTimelock(msg.sender);
    }

    /// @dev Lapses after twice its duration, so that an old start is no head start.
    function _auction(address account) internal view returns (bool isRunning, uint64 elapsed) {
        uint64 start = auctionStart[account];
        if (start == 0) return (false, 0);
        uint64 clock = pauses.auctionClock();
        elapsed = clock > start ? clock - start : 0;
        isRunning = elapsed < 2 * auctionDuration;
    }

    /// @dev What the bidder gets: grows with active time, and never exceeds what the account has, so that owner and
    /// bidder together get nothing from the insurance.
    function _bonus(Estate memory estate, uint64 elapsed) internal view returns (uint256) {
        uint256 most = Ladder.penalty(estate.notional, auctionMaxBps);
        uint256 reached = Math.mulDiv(most, Math.min(elapsed, auctionDuration), auctionDuration);
        return Math.min(reached, SignedMath.max(estate.value, 0).toUint256());
    }

    function _isBelow(Risk memory risk_) internal pure returns (bool) {
        return risk_.maintenanceMargin > 0 && risk_.equity < int256(risk_.maintenanceMargin);
    }
}
