// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Risk} from "./Margin.sol";

/// @title When an account last did something that had to be margined
/// @notice Only a price observed after that may liquidate it: a round observed before, and kept back until now, is of a state
/// that it is not in any more.
/// @dev Whoever moves has its initial margin afterwards, so nobody puts a liquidation off by moving: who is below that cannot.
abstract contract Moves {
    /// @notice Time of an account's last move, in seconds; 0 before the first. A move is a trade that leaves it its initial
    /// margin, collateral that it takes away, and positions that it takes over by liquidating.
    mapping(address account => uint64) public movedAt;

    function _recordMove(address account) internal {
        movedAt[account] = uint64(block.timestamp);
    }

    /// @dev Formula 3.9: E° ≥ IM after, which is a move; or, for an account under-margined before, no more maintenance margin
    /// and no worse a ratio of equity to it, cross-multiplied so that nothing is rounded: that is none. Products stay below
    /// 2**255 for equities and margins below 2**127, which int128 positions bound.
    /// @return whether the account may trade from one to the other
    function _admitTrade(address account, Risk memory before, Risk memory after_) internal returns (bool) {
        if (after_.creditedEquity >= int256(after_.initialMargin)) {
            _recordMove(account);
            return true;
        }
        return before.creditedEquity < int256(before.initialMargin) && before.maintenanceMargin > 0
            && after_.maintenanceMargin <= before.maintenanceMargin
            && after_.equity * int256(before.maintenanceMargin) >= before.equity * int256(after_.maintenanceMargin);
    }
}
