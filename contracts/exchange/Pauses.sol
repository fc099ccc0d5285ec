// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {L1Info} from "../l2/L1Info.sol";

/// @title What of the venue is paused, and the clocks that stand still meanwhile
/// @notice A guardian pauses at once. Whatever is paused: collateral comes in, positions are reduced, orders are taken
/// back and what has expired is settled. Only the clock of what nobody can do stands still: that of funding while nobody
/// can open, that of auctions while nobody can bid.
contract Pauses is AccessControl {
    /// @notice A pause is a sum of `TRADING`, `LIQUIDATION` and `WITHDRAWALS`.
    error UnknownPause(uint8 what);
    /// @notice All of it is paused, or none of it is, already.
    error PauseUnchanged(uint8 paused);
    /// @notice A taker may only reduce what it holds.
    error TradingPaused();
    error LiquidationPaused();
    error WithdrawalsPaused();

    /// @notice Masks before and after.
    event PauseChanged(uint8 before, uint8 paused, address indexed by);

    /// @dev The part of a clock that is past; one slot.
    struct Stops {
        /// Active clock when the present pause began; meaningful while paused.
        uint64 since;
        /// Active seconds of all ended pauses.
        uint64 total;
    }

    /// @notice Nobody takes on more of a series.
    uint8 public constant TRADING = 1;
    /// @notice Nobody is liquidated, auctioned or cut.
    uint8 public constant LIQUIDATION = 2;
    /// @notice No collateral leaves.
    uint8 public constant WITHDRAWALS = 4;
    /// @notice Who may pause and unpause.
    bytes32 public constant GUARDIAN_ROLE = keccak256("GUARDIAN_ROLE");

    L1Info public immutable l1Info;

    /// @notice Mask of what is paused.
    uint8 public paused;
    /// @notice When liquidation was last allowed again, in seconds; 0 when it never was paused.
    uint64 public resumedAt;

    mapping(uint8 bit => Stops) private _stops;

    /// @param admin who appoints guardians: the timelock
    /// @param guardian the first guardian
    /// @param l1Info_ where the active clock runs
    constructor(address admin, address guardian, L1Info l1Info_) {
        l1Info = l1Info_;
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(GUARDIAN_ROLE, guardian);
    }

    /// @notice Pauses what of `what` is not paused.
    /// @param what a sum of `TRADING`, `LIQUIDATION` and `WITHDRAWALS`
    function pause(uint8 what) external {
        _change(what, paused | what);
    }

    /// @notice Allows again what of `what` is paused. After `LIQUIDATION` there is the grace of a restart.
    /// @param what a sum of `TRADING`, `LIQUIDATION` and `WITHDRAWALS`
    function unpause(uint8 what) external {
        _change(what, paused & ~what);
    }

    /// @notice Reverts while trading is paused.
    function requireTrading() external view {
        if (paused & TRADING != 0) revert TradingPaused();
    }

    /// @notice Reverts while liquidation is paused.
    function requireLiquidation() external view {
        if (paused & LIQUIDATION != 0) revert LiquidationPaused();
    }

    /// @notice Reverts while withdrawals are paused.
    function requireWithdrawals() external view {
        if (paused & WITHDRAWALS != 0) revert WithdrawalsPaused();
    }

    /// @notice Active seconds in which trading was not paused: what funding runs on.
    function fundingClock() external view returns (uint64) {
        return _clock(TRADING);
    }

    /// @notice Active seconds in which liquidation was not paused: what auctions run on.
    function auctionClock() external view returns (uint64) {
        return _clock(LIQUIDATION);
    }

    function _change(uint8 what, uint8 next) private onlyRole(GUARDIAN_ROLE) {
        if (what == 0 || what > (TRADING | LIQUIDATION | WITHDRAWALS)) revert UnknownPause(what);
        uint8 before = paused;
        if (next == before) revert PauseUnchanged(before);
        paused = next;
        _turn(TRADING, before, next);
        if (_turn(LIQUIDATION, before, next)) resumedAt = uint64(block.timestamp);
        emit PauseChanged(before, next, msg.sender);
    }

    /// @dev Stops a clock or lets it go on.
    /// @return goesOn whether this call ended a pause
    function _turn(uint8 bit, uint8 before, uint8 next) private returns (bool goesOn) {
        if ((before ^ next) & bit == 0) return false;
        Stops storage stops = _stops[bit];
        uint64 active = l1Info.activeClock();
        goesOn = next & bit == 0;
        if (!goesOn) stops.since = active;
        // The clock of a block whose system transaction did not run may lie behind that of an earlier one.
        else if (active > stops.since) stops.total += active - stops.since;
    }

    function _clock(uint8 bit) private view returns (uint64) {
        Stops memory stops = _stops[bit];
        return (paused & bit != 0 ? stops.since : l1Info.activeClock()) - stops.total;
    }
}
