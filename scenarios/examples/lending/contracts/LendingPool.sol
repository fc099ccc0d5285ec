// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Token} from "./Token.sol";

/// @notice What the pool needs of an oracle; the harness's PriceFeed has it.
interface IPriceFeed {
    /// @return round Number of the newest accepted round, 0 if there is none.
    /// @return timestamp When it was observed, seconds.
    /// @return price 1e18 quote per unit.
    function latest(bytes32 asset) external view returns (uint64 round, uint64 timestamp, int256 price);
}

/// @notice Lends `cash` against one collateral token. No interest: what is owed is what was taken.
contract LendingPool {
    error StalePrice(uint256 age, uint256 allowed);
    error Unhealthy(uint256 debt, uint256 limit);
    error Healthy(address account, uint256 debt, uint256 limit);
    error TooMuch(uint256 asked, uint256 held);

    event Supplied(address indexed account, uint256 amount);
    event CollateralAdded(address indexed account, uint256 amount);
    event CollateralTaken(address indexed account, uint256 amount);
    event Borrowed(address indexed account, uint256 amount);
    event Repaid(address indexed account, uint256 amount);
    event Liquidated(
        address indexed account, address indexed liquidator, uint256 debt, uint256 seized, uint256 badDebt, uint256 price
    );

    uint256 public constant BPS = 10_000;
    uint256 public constant BORROW_BPS = 7_500; // of the collateral's value
    uint256 public constant LIQUIDATION_BPS = 8_000;
    uint256 public constant BONUS_BPS = 500; // on top of the debt, for the liquidator
    uint256 public constant PRICE_AGE_MAX = 20; // seconds

    Token public immutable cash;
    Token public immutable collateral;
    IPriceFeed public immutable feed;
    bytes32 public immutable asset;

    uint256 public supplied;
    uint256 public lost; // bad debt, borne by who supplied
    uint256 public totalDebt;
    mapping(address account => uint256) public debtOf;
    mapping(address account => uint256) public collateralOf;

    constructor(Token cash_, Token collateral_, IPriceFeed feed_, bytes32 asset_) {
        cash = cash_;
        collateral = collateral_;
        feed = feed_;
        asset = asset_;
    }

    /// @notice Adds cash to lend out.
    function supply(uint256 amount) external {
        supplied += amount;
        cash.transferFrom(msg.sender, address(this), amount);
        emit Supplied(msg.sender, amount);
    }

    function addCollateral(uint256 amount) external {
        collateralOf[msg.sender] += amount;
        collateral.transferFrom(msg.sender, address(this), amount);
        emit CollateralAdded(msg.sender, amount);
    }

    function takeCollateral(uint256 amount) external {
        uint256 held = collateralOf[msg.sender];
        if (amount > held) revert TooMuch(amount, held);
        collateralOf[msg.sender] = held - amount;
        if (debtOf[msg.sender] > 0) _checkHealth(msg.sender, BORROW_BPS);
        collateral.transfer(msg.sender, amount);
        emit CollateralTaken(msg.sender, amount);
    }

    function borrow(uint256 amount) external {
        debtOf[msg.sender] += amount;
        totalDebt += amount;
        _checkHealth(msg.sender, BORROW_BPS);
        cash.transfer(msg.sender, amount);
        emit Borrowed(msg.sender, amount);
    }

    function repay(uint256 amount) external {
        uint256 owed = debtOf[msg.sender];
        if (amount > owed) revert TooMuch(amount, owed);
        debtOf[msg.sender] = owed - amount;
        totalDebt -= amount;
        cash.transferFrom(msg.sender, address(this), amount);
        emit Repaid(msg.sender, amount);
    }

    /// @notice Pays an unhealthy account's debt for collateral worth 5 % more, or for all of it where it is worth less.
    function liquidate(address account) external {
        uint256 price = _price();
        uint256 debt = debtOf[account];
        uint256 held = collateralOf[account];
        uint256 limit = _limit(held, price, LIQUIDATION_BPS);
        if (debt <= limit) revert Healthy(account, debt, limit);
        uint256 seized = (debt * (BPS + BONUS_BPS) * 1e18) / (BPS * price);
        uint256 badDebt;
        uint256 paid = debt;
        if (seized > held) {
            seized = held;
            paid = (held * price * BPS) / (1e18 * (BPS + BONUS_BPS));
            badDebt = debt - paid;
            lost += badDebt;
        }
        debtOf[account] = 0;
        totalDebt -= debt;
        collateralOf[account] = held - seized;
        cash.transferFrom(msg.sender, address(this), paid);
        collateral.transfer(msg.sender, seized);
        emit Liquidated(account, msg.sender, debt, seized, badDebt, price);
    }

    /// @return Whether `liquidate` would go through now.
    function isLiquidatable(address account) external view returns (bool) {
        (, uint64 timestamp, int256 price) = feed.latest(asset);
        if (price <= 0 || block.timestamp - timestamp > PRICE_AGE_MAX) return false;
        return debtOf[account] > _limit(collateralOf[account], uint256(price), LIQUIDATION_BPS);
    }

    function _checkHealth(address account, uint256 bps) private view {
        uint256 limit = _limit(collateralOf[account], _price(), bps);
        if (debtOf[account] > limit) revert Unhealthy(debtOf[account], limit);
    }

    function _limit(uint256 held, uint256 price, uint256 bps) private pure returns (uint256) {
        return (held * price * bps) / (1e18 * BPS);
    }

    function _price() private view returns (uint256) {
        (, uint64 timestamp, int256 price) = feed.latest(asset);
        uint256 age = block.timestamp - timestamp;
        if (price <= 0 || age > PRICE_AGE_MAX) revert StalePrice(age, PRICE_AGE_MAX);
        return uint256(price);
    }
}
