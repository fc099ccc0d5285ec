// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {RedBlackTreeLib} from "solady/src/utils/RedBlackTreeLib.sol";

/// @notice A resting order as the views show it.
struct OrderState {
    uint256 orderId;
    address account;
    /// What is left, 1e18 underlying; > 0 for a bid.
    int256 rest;
    /// 1e18 quote per 1 underlying.
    int256 price;
    /// Last timestamp, in seconds, at which it may be matched.
    uint64 deadline;
}

/// @dev A resting order; three slots.
struct Order {
    address account;
    uint64 deadline;
    uint32 seriesId;
    /// 0 when there is no such open order.
    int128 rest;
    int128 price;
    /// Neighbours in the queue at its price; 0 at the ends.
    uint64 previous;
    uint64 next;
}

/// @dev The queue at one price: first come, first served; one slot.
struct Level {
    uint64 first;
    uint64 last;
    /// Σ |rest|, 1e18 underlying.
    uint128 total;
}

/// @title The orders that rest in the books, by price and then by age
/// @notice Prices of a side are kept in a red-black tree, orders of one price in a linked queue: whatever the depth, an
/// order is put in, found best or taken out in O(log prices).
abstract contract RestingOrders {
    using RedBlackTreeLib for RedBlackTreeLib.Tree;
    using RedBlackTreeLib for bytes32;
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @notice No such order is open.
    error NoOrder(uint256 orderId);
    error TooManyOrders(address account, uint256 max);

    /// @notice Why an order left without having been filled.
    enum Reason {
        Cancelled,
        Expired,
        SelfTrade,
        Band,
        Margin,
        Dropped,
        Steps
    }

    /// @param rest what was left of it, signed as the order
    event OrderRemoved(uint256 indexed orderId, Reason reason, int256 rest);

    /// @notice Orders an account may have open, over all series.
    uint256 public constant ORDERS_MAX = 64;

    /// @notice Prices and sizes lie below this in magnitude, so that no sum over an account's or a level's orders overflows.
    uint256 public constant MAGNITUDE_MAX = 1 << 96;

    /// @dev Makes a key of a price: positive, in the prices' order.
    int256 private constant KEY_OFFSET = 1 << 96;

    /// @notice Open orders of an account.
    mapping(address account => uint256) public openOrders;

    mapping(uint256 orderId => Order) internal _orders;
    mapping(uint256 seriesId => mapping(bool isBid => RedBlackTreeLib.Tree)) private _prices;
    mapping(uint256 seriesId => mapping(bool isBid => mapping(int256 price => Level))) private _levels;

    /// @notice Every resting order of a series, bids best first and then asks best first; those past their deadline too.
    function orders(uint256 seriesId) external view returns (OrderState[] memory found) {
        uint256 bids = _count(seriesId, true);
        found = new OrderState[](bids + _count(seriesId, false));
        _fill(found, 0, seriesId, true);
        _fill(found, bids, seriesId, false);
    }

    /// @notice The best prices and what rests there; sizes 1e18 underlying, < 0 for the ask, 0 where a side is empty.
    function best(uint256 seriesId)
        external
        view
        returns (int256 bid, int256 bidSize, int256 ask, int256 askSize)
    {
        uint256 id = _best(seriesId, true);
        if (id != 0) {
            bid = _orders[id].price;
            bidSize = int256(uint256(_levels[seriesId][true][bid].total));
        }
        id = _best(seriesId, false);
        if (id != 0) {
            ask = _orders[id].price;
            askSize = -int256(uint256(_levels[seriesId][false][ask].total));
        }
    }

    /// @dev The first order at the highest bid or the lowest ask; 0 when the side is empty.
    function _best(uint256 seriesId, bool isBid) internal view returns (uint256 orderId) {
        RedBlackTreeLib.Tree storage tree = _prices[seriesId][isBid];
        bytes32 node = isBid ? tree.last() : tree.first();
        if (!node.isEmpty()) return _levels[seriesId][isBid][_priceOf(node)].first;
    }

    /// @dev Puts a new order last at its price.
    function _rest(uint256 orderId, address account, uint256 seriesId, int256 size, int256 price, uint64 deadline)
        internal
    {
        if (openOrders[account] == ORDERS_MAX) revert TooManyOrders(account, ORDERS_MAX);
        openOrders[account] += 1;
        bool isBid = size > 0;
        Level storage level = _levels[seriesId][isBid][price];
        uint64 last = level.last;
        uint64 id = orderId.toUint64();
        if (last == 0) {
            _prices[seriesId][isBid].insert(uint256(price + KEY_OFFSET));
            level.first = id;
        } else {
            _orders[last].next = id;
        }
        level.last = id;
        level.total += SignedMath.abs(size).toUint128();
        _orders[id] = Order(account, deadline, uint32(seriesId), size.toInt128(), price.toInt128(), last, 0);
    }

    /// @dev Takes a part of an order, or all of it, in which case it leaves.
    /// @param size of the order's sign, at most its rest
    function _reduce(uint256 orderId, int256 size) internal {
        Order storage order = _orders[orderId];
        int256 left = order.rest - size;
        if (left == 0) {
            _unlink(orderId);
        } else {
            order.rest = int128(left);
            _levels[order.seriesId][size > 0][order.price].total -= SignedMath.abs(size).toUint128();
        }
    }

    /// @dev Takes an order out and says why.
    function _remove(uint256 orderId, Reason reason) internal {
        int256 rest = _orders[orderId].rest;
        _unlink(orderId);
        emit OrderRemoved(orderId, reason, rest);
    }

    function _unlink(uint256 orderId) private {
        Order memory order = _orders[orderId];
        bool isBid = order.rest > 0;
        mapping(int256 => Level) storage levels = _levels[order.seriesId][isBid];
        if (order.previous == 0 && order.next == 0) {
            delete levels[order.price];
            _prices[order.seriesId][isBid].remove(uint256(int256(order.price) + KEY_OFFSET));
        } else {
            Level storage level = levels[order.price];
            if (order.previous == 0) level.first = order.next;
            else _orders[order.previous].next = order.next;
            if (order.next == 0) level.last = order.previous;
            else _orders[order.next].previous = order.previous;
            level.total -= SignedMath.abs(order.rest).toUint128();
        }
        openOrders[order.account] -= 1;
        delete _orders[orderId];
    }

    function _count(uint256 seriesId, bool isBid) private view returns (uint256 count) {
        bytes32 node = _prices[seriesId][isBid].first();
        for (; !node.isEmpty(); node = node.next()) {
            uint256 id = _levels[seriesId][isBid][_priceOf(node)].first;
            for (; id != 0; id = _orders[id].next) ++count;
        }
    }

    function _fill(OrderState[] memory found, uint256 position, uint256 seriesId, bool isBid) private view {
        RedBlackTreeLib.Tree storage tree = _prices[seriesId][isBid];
        bytes32 node = isBid ? tree.last() : tree.first();
        for (; !node.isEmpty(); node = isBid ? node.prev() : node.next()) {
            uint256 id = _levels[seriesId][isBid][_priceOf(node)].first;
            for (; id != 0; id = _orders[id].next) {
                Order memory order = _orders[id];
                found[position++] = OrderState(id, order.account, order.rest, order.price, order.deadline);
            }
        }
    }

    function _priceOf(bytes32 node) private view returns (int256) {
        return int256(node.value()) - KEY_OFFSET;
    }
}
