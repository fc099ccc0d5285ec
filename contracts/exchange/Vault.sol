// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {CoinPools} from "./CoinPools.sol";
import {BPS} from "./FixedPoint.sol";
import {Params} from "./Params.sol";
import {Pauses} from "./Pauses.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {Kind} from "./Series.sol";

/// @dev The books of one pool, 1e18 quote; of a coin pool 1e18 coin, as all its amounts are.
struct Ledger {
    /// The collateral that is this pool's.
    uint256 balance;
    /// The insurance fund.
    uint256 insurance;
    /// Taker fees collected.
    uint256 fees;
    /// What rounding left over; never decreases.
    int256 dust;
    /// Losses that nobody bears yet.
    uint256 deficit;
}

/// @title Custody of the collateral, and the cash ledger of each pool
/// @notice Cash is int256 in 1e18 quote; the token has 6 decimals, so 1 native unit is exactly 1e12 of cash and no
/// conversion ever rounds. A coin has 18, and is cash as it is. Only the clearing house, the liquidator and the settlement move
/// the ledger; only deposits, withdrawals and fundInsurance move tokens, and only `moveCollateral`, by its owner, takes anything
/// from pool to pool.
contract Vault is CoinPools {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @notice Somebody other than the three exchange contracts tried to move the ledger.
    error NotExchange(address caller);

    /// @notice Somebody other than the bridge's receiver tried to deposit for another.
    error NotVaultDeposits(address caller);

    /// @notice Somebody's loss is borne by nobody yet; until it is, nobody leaves its pool. 1e18 quote.
    error DeficitUncovered(uint256 deficit);

    /// @notice There is no deficit, or nothing in the insurance; 1e18 quote.
    error NothingToCover(uint256 deficit, uint256 insurance);

    /// @notice The pool does not hold that much collateral; 1e18 quote.
    error PoolShort(uint32 pool, uint256 balance, uint256 amount);

    /// @notice Collateral moves between two pools.
    error SamePool(uint32 pool);

    /// @notice `amount` in native token units.
    event Deposited(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` in native token units.
    event InsuranceFunded(address indexed from, uint256 amount, uint32 pool);
    /// @notice The insurance of a pool paid `amount` towards its deficit; 1e18 quote.
    event DeficitCovered(uint256 amount, uint256 remaining, uint32 pool);
    /// @notice An owner moved `amount`, in native token units, from its account in one pool to that in another.
    event CollateralMoved(address indexed owner, uint32 indexed from, uint32 indexed to, uint256 amount);

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
    /// @notice Who deposits what comes over the bridge.
    address public immutable vaultDeposits;
    /// @notice The most a pool's insurance pays in one block, of what it holds.
    uint256 public immutable insuranceCapBps;

    /// @notice Cash of each account, 1e18 quote; negative is a debt.
    mapping(address account => int256) public cash;

    mapping(uint32 pool => Ledger) private _ledgers;
    mapping(uint32 pool => Drawn) private _drawn;

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
        Pauses pauses_,
        address vaultDeposits_
    ) {
        insuranceCapBps = params.insuranceCapBps;
        collateral = collateral_;
        clearingHouse = clearingHouse_;
        liquidator = liquidator_;
        settlement = settlement_;
        pauses = pauses_;
        vaultDeposits = vaultDeposits_;
    }

    /// @notice Adds collateral to the caller's account in the cross pool; always allowed, whatever is paused.
    /// @param amount native token units
    function deposit(uint256 amount) external {
        _deposit(msg.sender, amount);
    }

    /// @notice As `deposit`, to the account of who sent it over the bridge.
    /// @dev Not for anybody: collateral of the cross pool on an address that becomes an isolated account would be of no pool.
    /// @param account who sent it; the tokens are the caller's
    /// @param amount native token units
    function depositFor(address account, uint256 amount) external {
        if (msg.sender != vaultDeposits) revert NotVaultDeposits(msg.sender);
        _deposit(account, amount);
    }

    /// @notice Takes collateral out of the cross pool, if what stays, without unrealised profit, covers the initial margin at
    /// fresh prices, no deficit is open there (nobody gains by leaving first) and withdrawals are not paused.
    /// @param amount native token units
    function withdraw(uint256 amount) external {
        pauses.requireWithdrawals();
        _takeCollateral(msg.sender, 0, amount * CASH_PER_UNIT);
        // After the effect, since the rule is on the state after it; the venue's own contracts, which call nothing back.
        clearingHouse.admitWithdrawal(msg.sender);
        emit Withdrawn(msg.sender, amount);
        collateral.safeTransfer(msg.sender, amount);
    }

    /// @notice Moves collateral between the caller's accounts in two pools, as a withdrawal from one and a deposit to the
    /// other would; opens the account there.
    /// @param amount native token units; 0 only opens the account
    function moveCollateral(uint32 from, uint32 to, uint256 amount) external {
        if (from == to) revert SamePool(from);
        _requireKnown(from > to ? from : to);
        _requireDollars(from);
        _requireDollars(to);
        address source = accountIn(msg.sender, from);
        _takeCollateral(source, from, amount * CASH_PER_UNIT);
        address target = _open(msg.sender, to);
        _register(target);
        _addCollateral(target, to, amount * CASH_PER_UNIT);
        // After the effects, as for a withdrawal.
        clearingHouse.admitWithdrawal(source);
        emit CollateralMoved(msg.sender, from, to, amount);
    }

    /// @notice Gives collateral to the insurance fund of a pool, for good.
    /// @param amount native token units
    function fundInsurance(uint32 pool, uint256 amount) external {
        _requireKnown(pool);
        (IERC20 token, uint256 unit) =
            _isCoinPool(pool) ? (IERC20(coinOf(pool).token), 1) : (collateral, CASH_PER_UNIT);
        _ledgers[pool].balance += amount * unit;
        _addInsurance(pool, amount * unit);
        emit InsuranceFunded(msg.sender, amount, pool);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Opens the next pool with a coin for its collateral; the owner of the clearing house may.
    /// @param token the coin, an ERC-20 with 18 decimals
    /// @param asset its name in the price feed
    function openCoinPool(uint32 pool, address token, bytes32 asset) external {
        if (msg.sender != clearingHouse.owner()) revert NotOwner(msg.sender);
        _requireNext(pool);
        (int256 minAnswer,) = clearingHouse.feed().bounds(asset);
        if (minAnswer < 0) revert PriceMayBeNegative(asset, minAnswer);
        _openCoinPool(pool, token, asset, address(collateral));
    }

    /// @notice Adds coin to the caller's account of a coin pool, which it opens; always allowed, whatever is paused.
    /// @param amount native units of the coin; 0 only opens the account
    function depositCoin(uint32 pool, uint256 amount) external {
        if (!_isCoinPool(pool)) revert NotCoinPool(pool);
        address account = _open(msg.sender, pool);
        _register(account);
        _addCollateral(account, pool, amount);
        emit CoinDeposited(account, pool, amount);
        IERC20(coinOf(pool).token).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Takes coin out of the caller's account of a coin pool, on the terms of `withdraw`.
    /// @param amount native units of the coin
    function withdrawCoin(uint32 pool, uint256 amount) external {
        pauses.requireWithdrawals();
        if (!_isCoinPool(pool)) revert NotCoinPool(pool);
        address account = accountIn(msg.sender, pool);
        _takeCollateral(account, pool, amount);
        // After the effect, as for a withdrawal.
        clearingHouse.admitWithdrawal(account);
        emit CoinWithdrawn(account, pool, amount);
        IERC20(coinOf(pool).token).safeTransfer(msg.sender, amount);
    }

    /// @notice Pays towards a pool's deficit what its insurance has; anyone may ask for it. The limit of a block does not
    /// apply: by now deleveraging has taken its part.
    function coverDeficit(uint32 pool) external {
        Ledger storage ledger_ = _ledgers[pool];
        uint256 amount = Math.min(ledger_.insurance, ledger_.deficit);
        if (amount == 0) revert NothingToCover(ledger_.deficit, ledger_.insurance);
        ledger_.insurance -= amount;
        ledger_.deficit -= amount;
        emit DeficitCovered(amount, ledger_.deficit, pool);
    }

    /// @notice Makes sure a series may be listed in a pool; clearing house, liquidator and settlement only.
    function admitPool(uint32 pool, Kind kind, bytes32 asset) external onlyExchange {
        _admit(pool);
        _requireCollateral(pool, kind, asset);
    }

    /// @notice Adds to an account's cash.
    /// @param delta 1e18 quote, already rounded against the account
    function addCash(address account, int256 delta) external onlyExchange {
        _register(account);
        cash[account] += delta;
    }

    /// @notice Moves a taker fee from an account to the fees of its pool.
    /// @param fee 1e18 quote
    function takeFee(address account, uint256 fee) external onlyExchange {
        cash[account] -= fee.toInt256();
        _ledgers[poolOf(account)].fees += fee;
    }

    /// @notice Books the residue of roundings in a pool.
    /// @param residue 1e18 quote, ≥ 0
    function addDust(uint32 pool, int256 residue) external onlyExchange {
        _ledgers[pool].dust += residue;
    }

    /// @notice Puts an account on the list of all of its pool that ever held anything.
    function register(address account) external onlyExchange {
        _register(account);
    }

    /// @notice Moves cash between accounts of a pool.
    /// @param amount 1e18 quote
    function pay(address from, address to, uint256 amount) external onlyExchange {
        _register(to);
        cash[from] -= amount.toInt256();
        cash[to] += amount.toInt256();
    }

    /// @notice Moves cash from an account to the insurance of its pool, which covers the deficit first.
    /// @param amount 1e18 quote
    function payInsurance(address from, uint256 amount) external onlyExchange {
        cash[from] -= amount.toInt256();
        _addInsurance(poolOf(from), amount);
    }

    /// @notice Pays an account's debt from the insurance of its pool, as far as it may in this block; nothing when cash ≥ 0.
    /// @return covered what the fund paid, 1e18 quote
    function coverLoss(address account) external onlyExchange returns (uint256 covered) {
        int256 balance = cash[account];
        if (balance >= 0) return 0;
        covered = _draw(poolOf(account), uint256(-balance));
        cash[account] = balance + covered.toInt256();
    }

    /// @notice Turns what an account still owes into deficit of its pool; its cash is 0 afterwards, unless it was above.
    /// @return badDebt 1e18 quote
    function bookBadDebt(address account) external onlyExchange returns (uint256 badDebt) {
        int256 balance = cash[account];
        if (balance >= 0) return 0;
        badDebt = uint256(-balance);
        cash[account] = 0;
        _ledgers[poolOf(account)].deficit += badDebt;
    }

    /// @notice Takes an account's part of its pool's deficit.
    /// @param amount 1e18 quote, at most the deficit
    function takeHaircut(address account, uint256 amount) external onlyExchange {
        cash[account] -= amount.toInt256();
        _ledgers[poolOf(account)].deficit -= amount;
    }

    /// @notice The books of a pool; zeros when there is none.
    function ledger(uint32 pool) external view returns (Ledger memory) {
        return _ledgers[pool];
    }

    /// @notice What a pool's insurance may still pay in this block, 1e18 quote.
    function insuranceAvailable(uint32 pool) public view returns (uint256) {
        uint256 insurance = _ledgers[pool].insurance;
        Drawn memory drawn = _drawn[pool];
        if (drawn.blockNumber == block.number) return Math.min(drawn.left, insurance);
        return Math.mulDiv(insurance, insuranceCapBps, BPS);
    }

    function _deposit(address account, uint256 amount) private {
        _register(account);
        _addCollateral(account, 0, amount * CASH_PER_UNIT);
        emit Deposited(account, amount);
        collateral.safeTransferFrom(msg.sender, address(this), amount);
    }

    function _addCollateral(address account, uint32 pool, uint256 amount) private {
        cash[account] += amount.toInt256();
        _ledgers[pool].balance += amount;
    }

    function _takeCollateral(address account, uint32 pool, uint256 amount) private {
        Ledger storage ledger_ = _ledgers[pool];
        if (ledger_.deficit > 0) revert DeficitUncovered(ledger_.deficit);
        if (ledger_.balance < amount) revert PoolShort(pool, ledger_.balance, amount);
        cash[account] -= amount.toInt256();
        ledger_.balance -= amount;
    }

    function _addInsurance(uint32 pool, uint256 amount) private {
        Ledger storage ledger_ = _ledgers[pool];
        uint256 toDeficit = Math.min(amount, ledger_.deficit);
        ledger_.deficit -= toDeficit;
        ledger_.insurance += amount - toDeficit;
    }

    /// @dev Takes up to `wanted` out of a pool's fund. What a block may take is fixed by its first draw.
    function _draw(uint32 pool, uint256 wanted) private returns (uint256 amount) {
        uint256 available = insuranceAvailable(pool);
        amount = Math.min(available, wanted);
        if (amount == 0) return 0;
        _drawn[pool] = Drawn(uint64(block.number), (available - amount).toUint192());
        _ledgers[pool].insurance -= amount;
    }
}
