// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";

/// @dev 1e18, the scale of prices, sizes and cash.
uint256 constant WAD = 1e18;

/// @dev Basis points in one.
uint256 constant BPS = 10_000;

/// @title Signed multiply-then-divide with the rounding in its name
/// @notice Solidity's own signed division truncates toward zero, which would round a negative cash delta *up* and so
/// create cash. These floor toward −∞ or ceil toward +∞ whatever the signs, with a 512-bit product.
library FixedPoint {
    using SafeCast for uint256;

    /// @notice ⌊x·y / d⌋, toward −∞: what a user is credited.
    function mulDivFloor(int256 x, int256 y, uint256 d) internal pure returns (int256) {
        return _mulDiv(x, y, d, Math.Rounding.Floor, Math.Rounding.Ceil);
    }

    /// @notice ⌈x·y / d⌉, toward +∞: what a user owes.
    function mulDivCeil(int256 x, int256 y, uint256 d) internal pure returns (int256) {
        return _mulDiv(x, y, d, Math.Rounding.Ceil, Math.Rounding.Floor);
    }

    /// @notice ⌊x / d⌋, toward −∞.
    function divFloor(int256 x, uint256 d) internal pure returns (int256) {
        return mulDivFloor(x, 1, d);
    }

    /// @notice ⌈x·y / d⌉ of unsigned numbers.
    function mulDivUp(uint256 x, uint256 y, uint256 d) internal pure returns (uint256) {
        return Math.mulDiv(x, y, d, Math.Rounding.Ceil);
    }

    /// @dev A negative quotient is rounded the other way in magnitude. Reverts when the result leaves int256.
    function _mulDiv(int256 x, int256 y, uint256 d, Math.Rounding ifPositive, Math.Rounding ifNegative)
        private
        pure
        returns (int256)
    {
        bool isNegative = (x < 0) != (y < 0);
        uint256 magnitude =
            Math.mulDiv(SignedMath.abs(x), SignedMath.abs(y), d, isNegative ? ifNegative : ifPositive);
        return isNegative ? -magnitude.toInt256() : magnitude.toInt256();
    }
}
