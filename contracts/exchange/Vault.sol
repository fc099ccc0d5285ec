// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ClearingHouse} from "./ClearingHouse.sol";

/// @title Custody of the collateral, and the cash ledger
/// @notice Cash is int256 in 1e18 quote; the token has 6 decimals, so 1 native unit is exactly 1e12 of cash and no
/// conversion ever rounds. Only the clearing house, the liquidator and the settlement move the ledger; only deposit,
/// withdraw and fundInsurance move tokens.
contract Vault {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @notice Somebody other than the three exchange contracts tried to move the ledger.
    error NotExchange(address caller);

    /// @notice `amount` in native token units.
    event Deposited(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event InsuranceFunded(address indexed from, uint256 amount);

    /// @notice Cash (1e18) per native unit of a token with 6 decimals.
    uint256 public constant CASH_PER_UNIT = 1e12;

    IERC20 public immutable collateral;
    ClearingHouse public immutable clearingHouse;
    address public immutable liquidator;
    address public immutable settlement;

    /// @notice Cash of each account, 1e18 quote; negative is a debt.
    mapping(address account => int256) public cash;
    /// @notice The insurance fund, 1e18 quote.
    uint256 public insurance;
    /// @notice Taker fees collected, 1e18 quote.
    uint256 public fees;
    /// @notice What rounding left over, 1e18 quote; never decreases.
    int256 public dust;

    modifier onlyExchange() {
        if (msg.sender != address(clearingHouse) && msg.sender != liquidator && msg.sender != settlement) {
            revert NotExchange(msg.sender);
        }
        _;
    }

    constructor(IERC20 collateral_, ClearingHouse clearingHouse_, address liquidator_, address settlement_) {
        collateral = collateral_;
        clearingHouse = clearingHouse_;
        liquidator = liquidator_;
        settlement = settlement_;
    }

    /// @notice Adds collateral to the caller's account; always allowed.
    /// @param amount native token units
    function deposit(uint256 amount) external {
        cash[msg.sender] += (amount * CASH_PER_UNIT).toInt256();
        emit Deposited(msg.sender, amount);
        collateral.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Takes collateral out, if what stays, without unrealised profit, covers the initial margin at fresh
    /// prices.
    /// @param amount native token units
    function withdraw(uint256 amount) external {
        cash[msg.sender] -= (amount * CASH_PER_UNIT).toInt256();
        // After the effect, since the rule is on the state after it; a view, so nothing can re-enter.
        clearingHouse.requireWithdrawable(msg.sender);
        emit Withdrawn(msg.sender, amount);
        collateral.safeTransfer(msg.sender, amount);
    }

    /// @notice Gives collateral to the insurance fund, for good.
    /// @param amount native token units
    function fundInsurance(uint256 amount) external {
        insurance += amount * CASH_PER_UNIT;
        emit InsuranceFunded(msg.sender, amount);
        collateral.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Adds to an account's cash.
    /// @param delta 1e18 quote, already rounded against the account
    function addCash(address account, int256 delta) external onlyExchange {
        cash[account] += delta;
    }

    /// @notice Moves a taker fee from an account to the fees.
    /// @param fee 1e18 quote
    function takeFee(address account, uint256 fee) external onlyExchange {
        cash[account] -= fee.toInt256();
        fees += fee;
    }

    /// @notice Books the residue of roundings.
    /// @param residue 1e18 quote, ≥ 0
    function addDust(int256 residue) external onlyExchange {
        dust += residue;
    }

    /// @notice Moves a liquidation penalty from an account to its keeper and to the insurance fund.
    /// @param toKeeper 1e18 quote
    /// @param toInsurance 1e18 quote
    function takePenalty(address account, address keeper, uint256 toKeeper, uint256 toInsurance)
        external
        onlyExchange
    {
        cash[account] -= (toKeeper + toInsurance).toInt256();
        cash[keeper] += toKeeper.toInt256();
        insurance += toInsurance;
    }

    /// @notice Pays an account's debt from the insurance fund, as far as it goes; nothing when cash ≥ 0.
    /// @return covered what the fund paid, 1e18 quote
    /// @return remaining what stays as negative cash: bad debt, 1e18 quote
    function coverDebt(address account) external onlyExchange returns (uint256 covered, uint256 remaining) {
        int256 balance = cash[account];
        if (balance >= 0) return (0, 0);
        uint256 debt = uint256(-balance);
        covered = Math.min(insurance, debt);
        remaining = debt - covered;
        insurance -= covered;
        cash[account] = -remaining.toInt256();
    }
}
