// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {ClearingHouse} from "./ClearingHouse.sol";
import {BPS, FixedPoint} from "./FixedPoint.sol";
import {Risk} from "./Margin.sol";
import {Params} from "./Params.sol";
import {Portfolios} from "./Portfolios.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {Order, RestingOrders} from "./RestingOrders.sol";
import {isFuture, Kind, Series, SeriesExpired} from "./Series.sol";

/// @notice What somebody wants to trade.
struct Request {
    uint256 seriesId;
    /// 1e18 underlying, a multiple of the market's lot; > 0 buys.
    int256 size;
    /// Worst price, 1e18 quote per 1 underlying, a multiple of the market's tick; 0 of a market order.
    int256 price;
    /// See `OrderBook.Mode`.
    uint8 mode;
    /// Last timestamp, in seconds, at which it may be matched.
    uint64 deadline;
}

/// @title A limit-order book per series, by price and then by age
/// @notice Orders reserve no margin: it is checked at each fill, by the rule of every trade. So an open order never stands
/// in the way of a liquidation, a withdrawal or a settlement; one whose maker cannot afford it any more is removed when
/// it is its turn.
contract OrderBook is Ownable, RestingOrders {
    error TickOrLotIsZero(uint256 tick, uint256 lot);
    error MarketExists(uint256 seriesId);
    /// @notice The book is of the cross pool.
    error IsolatedSeries(uint256 seriesId, uint32 pool);
    error NoMarket(uint256 seriesId);
    error UnknownMode(uint8 mode);
    error OrderExpired(uint64 deadline, uint64 blockTimestamp);
    /// @notice A size is a non-zero multiple of the lot below `MAGNITUDE_MAX`.
    error SizeOffLot(int256 size, uint256 lot);
    /// @notice A price is a multiple of the tick below `MAGNITUDE_MAX`, not negative for an option and 0 for a market order.
    error PriceOffTick(int256 price, uint256 tick);
    /// @notice A bid above, or an ask below, the worst price at which a trade is allowed now.
    error PriceBeyondBand(int256 price, int256 worst);
    /// @notice A post-only order would take.
    error WouldCross(int256 price, int256 best);
    error NotYourOrder(uint256 orderId, address account);

    event MarketOpened(uint256 indexed seriesId, uint256 tick, uint256 lot);
    event OrderPlaced(
        uint256 indexed orderId,
        address indexed account,
        uint256 indexed seriesId,
        int256 size,
        int256 price,
        uint8 mode,
        uint64 deadline
    );
    /// @param orderId the resting order, the maker's
    /// @param takerOrderId the order that came and took
    /// @param size 1e18 underlying, from the taker's side
    event OrderFilled(uint256 indexed orderId, uint256 indexed takerOrderId, int256 size, int256 price);

    /// @dev How an order takes and whether it stays.
    enum Mode {
        Limit,
        PostOnly,
        ImmediateOrCancel,
        Market
    }

    /// @dev Granularity of a series' prices and sizes.
    struct Market {
        /// 1e18 quote per 1 underlying.
        uint128 tick;
        /// 1e18 underlying.
        uint128 lot;
    }

    /// @dev An order on its way through the book.
    struct Taker {
        uint256 orderId;
        address account;
        uint256 seriesId;
        Mode mode;
        /// 1e18 underlying, signed; what is still wanted.
        int256 rest;
        int256 limit;
        /// The best price it may not go beyond, of both sides: a bid's and an ask's.
        int256 highest;
        int256 lowest;
        /// Whether it ran into `STEPS_MAX`.
        bool isOutOfSteps;
        /// Post-only and about to take, at this price.
        bool wouldCross;
        int256 crossed;
    }

    /// @notice Fills and removals one order may cause: bounds its gas.
    uint256 public constant STEPS_MAX = 24;

    /// @dev Fills are told apart from signed quotes by their nonce.
    uint256 private constant FILL_NONCE = 1 << 255;

    ClearingHouse public immutable clearingHouse;
    PriceFeed public immutable feed;
    uint256 public immutable bandBps;

    /// @notice Number of the newest order, over all series.
    uint256 public lastOrderId;
    /// @notice Fills so far, over all series.
    uint256 public fills;
    mapping(uint256 seriesId => Market) public market;

    constructor(Params memory params, address owner_, ClearingHouse clearingHouse_, PriceFeed feed_) Ownable(owner_) {
        bandBps = params.bandBps;
        clearingHouse = clearingHouse_;
        feed = feed_;
    }

    /// @notice Opens the book of a series.
    /// @param tick what its prices are multiples of, 1e18 quote per 1 underlying
    /// @param lot what its sizes are multiples of, 1e18 underlying
    function openMarket(uint256 seriesId, uint128 tick, uint128 lot) external onlyOwner {
        if (tick == 0 || lot == 0) revert TickOrLotIsZero(tick, lot);
        if (market[seriesId].lot != 0) revert MarketExists(seriesId);
        clearingHouse.series(seriesId);
        uint32 pool = clearingHouse.terms(seriesId).pool;
        if (pool != 0) revert IsolatedSeries(seriesId, pool);
        market[seriesId] = Market(tick, lot);
        emit MarketOpened(seriesId, tick, lot);
    }

    /// @notice Takes what the order may take and, if it is a limit order, leaves the rest in the book.
    /// @param mode 0 limit, 1 post-only, 2 immediate-or-cancel, 3 market
    /// @return orderId its number, whether or not anything of it rests
    /// @return filled what it traded, 1e18 underlying, signed as `size`
    function place(uint256 seriesId, int256 size, int256 price, uint8 mode, uint64 deadline)
        external
        returns (uint256 orderId, int256 filled)
    {
        Taker memory taker = _place(Request(seriesId, size, price, mode, deadline));
        if (taker.wouldCross) revert WouldCross(price, taker.crossed);
        return (taker.orderId, size - taker.rest);
    }

    /// @notice A maker's turn: cancels what it still has of `cancels` and places `requests`; a post-only one that would
    /// take is dropped instead of spoiling the rest.
    function update(uint256[] calldata cancels, Request[] calldata requests) external {
        for (uint256 i; i < cancels.length; ++i) {
            if (_orders[cancels[i]].account == msg.sender) _remove(cancels[i], Reason.Cancelled);
        }
        for (uint256 i; i < requests.length; ++i) {
            Taker memory taker = _place(requests[i]);
            if (taker.wouldCross) emit OrderRemoved(taker.orderId, Reason.Dropped, taker.rest);
        }
    }

    /// @notice Takes an open order back; always possible.
    function cancel(uint256 orderId) external {
        address account = _orders[orderId].account;
        if (account == address(0)) revert NoOrder(orderId);
        if (account != msg.sender) revert NotYourOrder(orderId, account);
        _remove(orderId, Reason.Cancelled);
    }

    function _place(Request memory request) private returns (Taker memory taker) {
        Series memory series = _check(request);
        (int256 index,) = feed.freshPrice(series.asset);
        taker = _worstPrices(series, index);
        Risk memory risk = clearingHouse.risk(msg.sender);

        bool isBid = request.size > 0;
        int256 worst = isBid ? taker.highest : taker.lowest;
        taker.mode = Mode(request.mode);
        taker.limit = taker.mode == Mode.Market ? worst : request.price;
        if (isBid ? taker.limit > worst : taker.limit < worst) revert PriceBeyondBand(taker.limit, worst);
        taker.account = msg.sender;
        taker.seriesId = request.seriesId;
        taker.rest = request.size;
        taker.orderId = ++lastOrderId;
        emit OrderPlaced(
            taker.orderId, msg.sender, request.seriesId, request.size, request.price, request.mode, request.deadline
        );

        _match(taker, isBid);
        if (taker.rest == 0 || taker.wouldCross) return taker;
        if (taker.rest != request.size) risk = clearingHouse.risk(msg.sender);
        if (taker.mode == Mode.ImmediateOrCancel || taker.mode == Mode.Market) {
            emit OrderRemoved(taker.orderId, Reason.Dropped, taker.rest);
        } else if (taker.isOutOfSteps) {
            emit OrderRemoved(taker.orderId, Reason.Steps, taker.rest);
        } else if (risk.equity <= 0 || risk.equity < int256(risk.initialMargin)) {
            // Whoever could not open anything may reduce, but not fill the book with what nobody could take.
            emit OrderRemoved(taker.orderId, Reason.Margin, taker.rest);
        } else {
            _rest(taker.orderId, msg.sender, request.seriesId, taker.rest, request.price, request.deadline);
        }
    }

    /// @dev Walks the other side from its best price. Every step fills or removes the best order, so it ends.
    function _match(Taker memory taker, bool isBid) private {
        for (uint256 step; taker.rest != 0; ++step) {
            uint256 id = _best(taker.seriesId, !isBid);
            if (id == 0) return;
            Order memory order = _orders[id];
            if (isBid ? order.price > taker.limit : order.price < taker.limit) return;
            if (step == STEPS_MAX) {
                taker.isOutOfSteps = true;
                return;
            }
            if (block.timestamp > order.deadline) {
                _remove(id, Reason.Expired);
            } else if (order.account == taker.account) {
                _remove(id, Reason.SelfTrade);
            } else if (isBid ? order.price < taker.lowest : order.price > taker.highest) {
                _remove(id, Reason.Band);
            } else if (taker.mode == Mode.PostOnly) {
                (taker.wouldCross, taker.crossed) = (true, order.price);
                return;
            } else {
                _trade(taker, id, order);
            }
        }
    }

    /// @dev Trades with a resting order, or removes it when its maker cannot. The clearing house calls only the venue's own
    /// contracts, which call nothing back.
    function _trade(Taker memory taker, uint256 id, Order memory order) private {
        int256 wanted = -int256(order.rest);
        int256 size = SignedMath.abs(wanted) < SignedMath.abs(taker.rest) ? wanted : taker.rest;
        try clearingHouse.tradeFromBook(
            taker.account, order.account, taker.seriesId, size, order.price, FILL_NONCE + fills + 1
        ) {
            ++fills;
            taker.rest -= size;
            _reduce(id, -size);
            emit OrderFilled(id, taker.orderId, size, order.price);
        } catch (bytes memory reason) {
            if (!_isMakers(reason, order.account)) {
                assembly ("memory-safe") {
                    revert(add(reason, 0x20), mload(reason))
                }
            }
            _remove(id, Reason.Margin);
        }
    }

    /// @dev Whether a trade failed for its maker. These three errors are all that can: everything the taker holds, and the
    /// series' asset, were seen fresh before, so what is stale is the maker's; its margin rule has an error of its own for
    /// fills; a series too many names whose it is. Of the others, prices out of band and expiry were looked at before,
    /// halts, pauses and margin are the taker's, a cap on open interest is the series' (who wants to stay below it may
    /// take less), and casts overflow only beyond positions that all collateral there is could not margin. Running out of
    /// gas names nobody. All of those let everything revert.
    function _isMakers(bytes memory reason, address maker) private pure returns (bool) {
        if (reason.length < 36) return false;
        bytes4 selector = bytes4(reason);
        if (selector == ClearingHouse.MakerBelowMargin.selector || selector == PriceFeed.StalePrice.selector) return true;
        address named;
        assembly ("memory-safe") {
            named := mload(add(reason, 0x24))
        }
        return selector == Portfolios.TooManyPositions.selector && named == maker;
    }

    /// @dev Everything about a request that needs no price.
    function _check(Request memory request) private view returns (Series memory series) {
        Market memory market_ = market[request.seriesId];
        if (market_.lot == 0) revert NoMarket(request.seriesId);
        if (request.mode > uint8(type(Mode).max)) revert UnknownMode(request.mode);
        series = clearingHouse.series(request.seriesId);
        if (block.timestamp >= series.expiry) revert SeriesExpired(request.seriesId, series.expiry);
        if (block.timestamp > request.deadline) revert OrderExpired(request.deadline, uint64(block.timestamp));
        uint256 size = SignedMath.abs(request.size);
        if (size == 0 || size >= MAGNITUDE_MAX || size % market_.lot != 0) revert SizeOffLot(request.size, market_.lot);
        uint256 price = SignedMath.abs(request.price);
        bool isNegative = request.price < 0 && !isFuture(series.kind);
        bool isSpare = request.price != 0 && Mode(request.mode) == Mode.Market;
        if (price >= MAGNITUDE_MAX || price % market_.tick != 0 || isNegative || isSpare) {
            revert PriceOffTick(request.price, market_.tick);
        }
    }

    /// @dev The highest price a buyer and the lowest a seller may trade at now: what `ClearingHouse.trade` allows.
    function _worstPrices(Series memory series, int256 index) private view returns (Taker memory taker) {
        if (isFuture(series.kind)) {
            if (series.kind == Kind.Perpetual && index <= 0) {
                revert ClearingHouse.IndexNotPositive(series.asset, index);
            }
            int256 width = int256(bandBps * SignedMath.abs(index));
            taker.highest = FixedPoint.divFloor(index * int256(BPS) + width, BPS);
            taker.lowest = -FixedPoint.divFloor(width - index * int256(BPS), BPS);
        } else {
            taker.highest = series.kind == Kind.Call ? index : int256(series.strike);
        }
    }
}
