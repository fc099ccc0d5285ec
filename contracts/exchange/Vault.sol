// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {BPS} from "./FixedPoint.sol";
import {Params} from "./Params.sol";
import {Pauses} from "./Pauses.sol";

/// @title Custody of the collateral, and the cash ledger
/// @notice Cash is int256 in 1e18 quote; the token has 6 decimals, so 1 native unit is exactly 1e12 of cash and no
/// conversion ever rounds. Only the clearing house, the liquidator and the settlement move the ledger; only deposit,
/// withdraw and fundInsurance move tokens.
contract Vault {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @notice Somebody other than the three exchange contracts tried to move the ledger.
    error NotExchange(address caller);

    /// @notice Somebody's loss is borne by nobody yet; until it is, nobody leaves. 1e18 quote.
    error DeficitUncovered(uint256 deficit);

    /// @notice There is no deficit, or nothing in the insurance; 1e18 quote.
    error NothingToCover(uint256 deficit, uint256 insurance);

    /// @notice `amount` in native token units.
    event Deposited(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event InsuranceFunded(address indexed from, uint256 amount);
    /// @notice The insurance paid `amount` towards the deficit; 1e18 quote.
    event DeficitCovered(uint256 amount, uint256 remaining);

    /// @dev What the insurance may still pay in the block of its newest draw; one slot.
    struct Drawn {
        uint64 blockNumber;
        uint192 left;
    }

    /// @notice Cash (1e18) per native unit of a token with 6 decimals.
    uint256 public constant CASH_PER_UNIT = 1e12;

    IERC20 public immutable collateral;
    ClearingHouse public immutable clearingHouse;
    address public immutable liquidator;
    address public immutable settlement;
    Pauses public immutable pauses;
    /// @notice The most the insurance pays in one block, of what it holds.
    uint256 public immutable insuranceCapBps;

    /// @notice Cash of each account, 1e18 quote; negative is a debt.
    mapping(address account => int256) public cash;
    /// @notice The insurance fund, 1e18 quote.
    uint256 public insurance;
    /// @notice Taker fees collected, 1e18 quote.
    uint256 public fees;
    /// @notice What rounding left over, 1e18 quote; never decreases.
    int256 public dust;
    /// @notice Losses that nobody bears yet, 1e18 quote.
    uint256 public deficit;
    /// @notice Whether an account ever held anything.
    mapping(address account => bool) public isRegistered;

    Drawn private _drawn;
    address[] private _accounts;

    modifier onlyExchange() {
        if (msg.sender != address(clearingHouse) && msg.sender != liquidator && msg.sender != settlement) {
            revert NotExchange(msg.sender);
        }
        _;
    }

    constructor(
        Params memory params,
        IERC20 collateral_,
        ClearingHouse clearingHouse_,
        address liquidator_,
        address settlement_,
        Pauses pauses_
    ) {
        insuranceCapBps = params.insuranceCapBps;
        collateral = collateral_;
        clearingHouse = clearingHouse_;
        liquidator = liquidator_;
        settlement = settlement_;
        pauses = pauses_;
    }

    /// @notice Adds collateral to the caller's account; always allowed, whatever is paused.
    /// @param amount native token units
    function deposit(uint256 amount) external {
        _register(msg.sender);
        cash[msg.sender] += (amount * CASH_PER_UNIT).toInt256();
        emit Deposited(msg.sender, amount);
        collateral.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Takes collateral out, if what stays, without unrealised profit, covers the initial margin at fresh
    /// prices, no deficit is open (nobody gains by leaving first) and withdrawals are not paused.
    /// @param amount native token units
    function withdraw(uint256 amount) external {
        pauses.requireWithdrawals();
        if (deficit > 0) revert DeficitUncovered(deficit);
        cash[msg.sender] -= (amount * CASH_PER_UNIT).toInt256();
        // After the effect, since the rule is on the state after it; a view, so nothing can re-enter.
        clearingHouse.requireWithdrawable(msg.sender);
        emit Withdrawn(msg.sender, amount);
        collateral.safeTransfer(msg.sender, amount);
    }

    /// @notice Gives collateral to the insurance fund, for good.
    /// @param amount native token units
    function fundInsurance(uint256 amount) external {
        _addInsurance(amount * CASH_PER_UNIT);
        emit InsuranceFunded(msg.sender, amount);
        collateral.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Pays towards the deficit what the insurance has; anyone may ask for it. The limit of a block does not
    /// apply: by now deleveraging has taken its part.
    function coverDeficit() external {
        uint256 amount = Math.min(insurance, deficit);
        if (amount == 0) revert NothingToCover(deficit, insurance);
        insurance -= amount;
        deficit -= amount;
        emit DeficitCovered(amount, deficit);
    }

    /// @notice Adds to an account's cash.
    /// @param delta 1e18 quote, already rounded against the account
    function addCash(address account, int256 delta) external onlyExchange {
        _register(account);
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

    /// @notice Puts an account on the list of all that ever held anything.
    function register(address account) external onlyExchange {
        _register(account);
    }

    /// @notice Moves cash between accounts.
    /// @param amount 1e18 quote
    function pay(address from, address to, uint256 amount) external onlyExchange {
        _register(to);
        cash[from] -= amount.toInt256();
        cash[to] += amount.toInt256();
    }

    /// @notice Moves cash from an account to the insurance, which covers the deficit first.
    /// @param amount 1e18 quote
    function payInsurance(address from, uint256 amount) external onlyExchange {
        cash[from] -= amount.toInt256();
        _addInsurance(amount);
    }

    /// @notice Pays an account's debt from the insurance, as far as it may in this block; nothing when cash ≥ 0.
    /// @return covered what the fund paid, 1e18 quote
    function coverLoss(address account) external onlyExchange returns (uint256 covered) {
        int256 balance = cash[account];
        if (balance >= 0) return 0;
        covered = _draw(uint256(-balance));
        cash[account] = balance + covered.toInt256();
    }

    /// @notice Turns what an account still owes into deficit; its cash is 0 afterwards, unless it was above.
    /// @return badDebt 1e18 quote
    function bookBadDebt(address account) external onlyExchange returns (uint256 badDebt) {
        int256 balance = cash[account];
        if (balance >= 0) return 0;
        badDebt = uint256(-balance);
        cash[account] = 0;
        deficit += badDebt;
    }

    /// @notice Takes an account's part of the deficit.
    /// @param amount 1e18 quote, at most the deficit
    function takeHaircut(address account, uint256 amount) external onlyExchange {
        cash[account] -= amount.toInt256();
        deficit -= amount;
    }

    /// @notice Every account that ever held anything, in order of registration.
    function accounts() external view returns (address[] memory) {
        return _accounts;
    }

    /// @notice What the insurance may still pay in this block, 1e18 quote.
    function insuranceAvailable() public view returns (uint256) {
        if (_drawn.blockNumber == block.number) return Math.min(_drawn.left, insurance);
        return Math.mulDiv(insurance, insuranceCapBps, BPS);
    }

    function _register(address account) internal {
        if (isRegistered[account]) return;
        isRegistered[account] = true;
        _accounts.push(account);
    }

    function _addInsurance(uint256 amount) internal {
        uint256 toDeficit = Math.min(amount, deficit);
        deficit -= toDeficit;
        insurance += amount - toDeficit;
    }

    /// @dev Takes up to `wanted` out of the fund. What a block may take is fixed by its first draw.
    function _draw(uint256 wanted) internal returns (uint256 amount) {
        uint256 available = insuranceAvailable();
        amount = Math.min(available, wanted);
        if (amount == 0) return 0;
        _drawn = Drawn(uint64(block.number), (available - amount).toUint192());
        insurance -= amount;
    }
}
