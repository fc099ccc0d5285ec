// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {Pauses} from "./Pauses.sol";
import {Portfolios} from "./Portfolios.sol";
import {Series} from "./Series.sol";

/// @title When a taker may take on more of a series, and not only get rid of what it has
abstract contract Opening is Portfolios {
    /// @notice The index jumped; until then (seconds) positions may only be reduced.
    error MarketIsHalted(bytes32 asset, uint64 until);

    Pauses public immutable pauses;

    constructor(Pauses pauses_) {
        pauses = pauses_;
    }

    /// @dev Reverts when the trade is more than a reduction while only those are allowed. The maker is not asked: nobody
    /// could close otherwise.
    /// @param size what the taker would get, 1e18 underlying
    function _requireMayOpen(address taker, uint256 id, Series memory series_, int256 size) internal view {
        if (_isReduction(_positions[taker][id].size, size)) return;
        pauses.requireTrading();
        uint64 until = feed.haltedUntil(series_.asset);
        if (block.timestamp < until) revert MarketIsHalted(series_.asset, until);
    }

    function _isReduction(int256 held, int256 size) private pure returns (bool) {
        return held != 0 && (held < 0) != (size < 0) && SignedMath.abs(size) <= SignedMath.abs(held);
    }
}
