// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {FixedPoint} from "./FixedPoint.sol";
import {Worth, Worths} from "./Worth.sol";

/// @dev What one leg of a trade does to the account that takes it.
struct Leg {
    /// Position after, 1e18 underlying.
    int256 size;
    /// Entry notional after, 1e18 quote.
    int256 notional;
    /// What to add to cash, 1e18 quote.
    int256 cashDelta;
    /// Σ n, what the leg received (< 0: paid) at the trade price; the negated sum over all legs is dust.
    int256 received;
}

/// @title The leg rules: how a trade at a price changes a position
/// @notice Prices come as what a unit is worth, so that a leg of an inverse future is one of any. Every n is floored and every released entry cost is ceiled, so over both legs Σ n ≤ 0 and nobody gains from
/// rounding.
library Legs {
    using SafeCast for uint256;
    using Worths for Worth;

    /// @notice Leg of an option: premium moves in cash at once.
    function option(int256 size, int256 delta, Worth memory price) internal pure returns (Leg memory leg) {
        leg.received = _received(delta, price);
        leg.cashDelta = leg.received;
        leg.size = size + delta;
    }

    /// @notice Leg of a future: opening moves only the entry notional, reducing realises profit into cash, flipping
    /// does one after the other, each rounded on its own.
    function future(int256 size, int256 notional, int256 delta, Worth memory price)
        internal
        pure
        returns (Leg memory leg)
    {
        (leg.size, leg.notional) = (size, notional);
        bool isOpposite = size != 0 && (size < 0) != (delta < 0);
        if (!isOpposite) {
            _open(leg, delta, price);
        } else if (SignedMath.abs(delta) <= SignedMath.abs(size)) {
            _reduce(leg, delta, price);
        } else {
            int256 rest = delta + size;
            _reduce(leg, -size, price);
            _open(leg, rest, price);
        }
    }

    function _open(Leg memory leg, int256 delta, Worth memory price) private pure {
        int256 received = _received(delta, price);
        leg.size += delta;
        leg.notional -= received;
        leg.received += received;
    }

    /// @dev Needs |delta| ≤ |size| and the opposite sign. Releases the whole notional exactly when delta closes.
    function _reduce(Leg memory leg, int256 delta, Worth memory price) private pure {
        uint256 closed = SignedMath.abs(delta);
        int256 released = FixedPoint.mulDivCeil(leg.notional, closed.toInt256(), SignedMath.abs(leg.size));
        int256 received = _received(delta, price);
        leg.size += delta;
        leg.notional -= released;
        leg.cashDelta += received - released;
        leg.received += received;
    }

    /// @dev n = ⌊−delta·price⌋: a buyer pays rounded up, a seller receives rounded down.
    function _received(int256 delta, Worth memory price) private pure returns (int256) {
        return price.floor(-delta);
    }
}
