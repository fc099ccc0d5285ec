// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {FixedPoint, WAD} from "./FixedPoint.sol";
import {Holding} from "./Ladder.sol";
import {Risk} from "./Margin.sol";
import {Vault} from "./Vault.sol";
import {Worth} from "./Worth.sol";

/// @title Auto-deleveraging: what nobody bought and the insurance does not cover closes against those who gained most
/// @notice Counterparties give up size in the order of PnL % × leverage, and of their gain what the loss asks for; so they
/// close at the bankrupt account's bankruptcy price and never pay more than they had won.
abstract contract Deleveraging {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @notice `size` (of the account's sign) closed against a counterparty at `price`, which paid `cost` of its gain;
    /// 1e18.
    event Deleveraged(
        address indexed account,
        address indexed counterparty,
        uint256 indexed seriesId,
        int256 size,
        int256 price,
        uint256 cost
    );

    /// @dev Everybody who might close against the estate, and what they are worth before anything moves.
    struct Crowd {
        address[] accounts;
        /// 1e18 quote; 0 for who is on no other side, has nothing, or cannot be valued at fresh prices: it must not hold up
        /// this liquidation.
        uint256[] equities;
    }

    /// @dev Somebody on the other side of a position, judged before it moves.
    struct Candidate {
        address account;
        /// |q|, 1e18 underlying.
        uint256 size;
        /// 1e18 quote, > 0.
        uint256 gain;
        uint256 score;
    }

    /// @dev What one counterparty closed.
    struct Closing {
        address account;
        /// 1e18 underlying.
        uint256 size;
        /// Its part of the counterparty's gain, 1e18 quote: the most it pays.
        uint256 gain;
    }

    ClearingHouse public immutable clearingHouse;
    Vault public immutable vault;

    constructor(ClearingHouse clearingHouse_, Vault vault_) {
        clearingHouse = clearingHouse_;
        vault = vault_;
    }

    /// @dev Values each account of the pool once, however many of the estate's positions it is opposite to.
    function _crowd(address account, Holding[] memory holdings) internal view returns (Crowd memory crowd) {
        crowd.accounts = vault.accounts(vault.poolOf(account));
        crowd.equities = new uint256[](crowd.accounts.length);
        for (uint256 i; i < crowd.accounts.length; ++i) {
            address other = crowd.accounts[i];
            if (other == account || !_isOppositeInAny(other, holdings)) continue;
            try clearingHouse.risk(other) returns (Risk memory risk_) {
                crowd.equities[i] = SignedMath.max(risk_.equity, 0).toUint256();
            } catch {}
        }
    }

    /// @dev Closes one position against candidates, best score first.
    /// @return closings who took what, in order
    /// @return left what no candidate took, 1e18 underlying
    function _close(address account, Holding memory holding, Crowd memory crowd)
        internal
        returns (Closing[] memory closings, uint256 left)
    {
        (Candidate[] memory candidates, uint256 count) = _candidates(holding, crowd);
        closings = new Closing[](count);
        uint256 taken;
        left = SignedMath.abs(holding.size);
        while (left > 0 && taken < count) {
            Candidate memory best = _takeBest(candidates, count);
            uint256 size = Math.min(left, best.size);
            left -= size;
            closings[taken++] = Closing(best.account, size, Math.mulDiv(best.gain, size, best.size));
            clearingHouse.transferPosition(
                account, best.account, holding.id, _signed(size, holding.size), holding.price
            );
        }
        // Shortens the array in place; taken ≤ count, its allocated length.
        assembly ("memory-safe") {
            mstore(closings, taken)
        }
    }

    /// @dev Takes a position's share of the loss from those who closed it, each in proportion and at most its gain.
    /// @param loss 1e18 quote
    function _charge(address account, Holding memory holding, Closing[] memory closings, uint256 loss) internal {
        uint256 whole = SignedMath.abs(holding.size);
        uint256 left = loss;
        for (uint256 i; i < closings.length; ++i) {
            Closing memory closing = closings[i];
            uint256 cost = Math.min(FixedPoint.mulDivUp(loss, closing.size, whole), Math.min(closing.gain, left));
            left -= cost;
            if (cost > 0) vault.pay(closing.account, account, cost);
            emit Deleveraged(
                account, closing.account, holding.id, _signed(closing.size, holding.size), holding.price, cost
            );
        }
    }

    function _signed(uint256 size, int256 like) internal pure returns (int256) {
        return like < 0 ? -size.toInt256() : size.toInt256();
    }

    function _candidates(Holding memory holding, Crowd memory crowd)
        private
        view
        returns (Candidate[] memory found, uint256 count)
    {
        found = new Candidate[](crowd.accounts.length);
        for (uint256 i; i < crowd.accounts.length; ++i) {
            if (crowd.equities[i] == 0) continue;
            int256 size = clearingHouse.position(crowd.accounts[i], holding.id).size;
            if (!_isOpposite(size, holding)) continue;
            (uint256 gain, uint256 entry) = _gain(crowd.accounts[i], holding, size);
            if (gain == 0) continue;
            Worth memory worth = holding.worth;
            uint256 notional =
                Math.mulDiv(SignedMath.abs(size), SignedMath.abs(worth.numerator), worth.denominator);
            uint256 score = Math.mulDiv(Math.mulDiv(gain, WAD, entry), notional, crowd.equities[i]);
            found[count++] = Candidate(crowd.accounts[i], SignedMath.abs(size), gain, score);
        }
    }

    function _isOppositeInAny(address account, Holding[] memory holdings) private view returns (bool) {
        for (uint256 i; i < holdings.length; ++i) {
            if (_isOpposite(clearingHouse.position(account, holdings[i].id).size, holdings[i])) return true;
        }
        return false;
    }

    function _isOpposite(int256 size, Holding memory holding) private pure returns (bool) {
        return size != 0 && (size < 0) != (holding.size < 0);
    }

    /// @return gain 0 when there is none, 1e18 quote
    /// @return entry what it is measured against, 1e18 quote, ≥ 1
    function _gain(address account, Holding memory holding, int256 size)
        private
        view
        returns (uint256 gain, uint256 entry)
    {
        if (!holding.isFuture) {
            int256 worth = FixedPoint.mulDivFloor(size, holding.price, WAD);
            gain = SignedMath.max(worth, 0).toUint256();
            return (gain, gain);
        }
        gain = SignedMath.max(clearingHouse.positionRisk(account, holding.id).equity, 0).toUint256();
        entry = Math.max(SignedMath.abs(clearingHouse.position(account, holding.id).notional), 1);
    }

    /// @dev The best of the first `count`, which is then spent; ties go to the lower address.
    function _takeBest(Candidate[] memory candidates, uint256 count) private pure returns (Candidate memory best) {
        uint256 place = type(uint256).max;
        for (uint256 i; i < count; ++i) {
            Candidate memory item = candidates[i];
            if (item.account == address(0)) continue;
            bool isBetter = place == type(uint256).max || item.score > best.score
                || (item.score == best.score && item.account < best.account);
            if (isBetter) (best, place) = (item, i);
        }
        candidates[place] = Candidate(address(0), 0, 0, 0);
    }
}
