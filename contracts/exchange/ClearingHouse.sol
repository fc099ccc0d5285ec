// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {FactorRules, Factors} from "./Factors.sol";
import {BPS} from "./FixedPoint.sol";
import {Margin, Risk} from "./Margin.sol";
import {Moves} from "./Moves.sol";
import {Opening} from "./Opening.sol";
import {Params} from "./Params.sol";
import {Pauses} from "./Pauses.sol";
import {Perpetuals} from "./Perpetuals.sol";
import {Portfolios} from "./Portfolios.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {Quote, Quotes} from "./Quotes.sol";
import {OptionMargin} from "./OptionMargin.sol";
import {InsufficientMargin, isFuture, Kind, NEVER, Position, Series, SeriesExpired} from "./Series.sol";
import {TermRules, Terms} from "./Terms.sol";
import {NotTimelock} from "./Timelock.sol";
import {Vault} from "./Vault.sol";
import {Worths} from "./Worth.sol";

/// @title Series, trades and the margin they need
/// @notice Trades are a taker presenting a maker's signed quote. The liquidator moves positions through here and the
/// settlement clears them.
contract ClearingHouse is Ownable, Opening, Quotes, Moves {
    using SafeCast for int256;

    error UnknownKind(uint8 kind);
    /// @notice A future has strike 0, of whatever kind; an option's lies in [1, int128.max].
    error StrikeOutOfRange(uint8 kind, uint256 strike);
    error ExpiryNotInFuture(uint64 expiry, uint64 blockTimestamp);
    /// @notice A perpetual's expiry must be `NEVER`, 2^64 − 1.
    error PerpetualExpires(uint64 expiry);
    error NotPerpetual(uint256 id);
    /// @notice A perpetual's premium is measured against an index above zero, and an inverse future divides by its price.
    error IndexNotPositive(bytes32 asset, int256 index);
    error TooManySeries(uint256 max);
    error QuoteExpired(uint64 deadline, uint64 blockTimestamp);
    error SelfTrade(address account);
    /// @notice The size must have the quote's sign and 0 < |size| ≤ |quoted|.
    error SizeOutOfRange(int256 size, int256 quoted);
    /// @notice A future's price is further from the index than `bandBps` of it.
    error PriceOutOfBand(int256 price, int256 index, uint256 bandBps);
    /// @notice An option's price must lie in [0, max].
    error OptionPriceOutOfRange(int256 price, int256 max);
    /// @notice A resting order's maker could not trade; the order book then removes the order.
    error MakerBelowMargin(address maker, int256 equity, uint256 required);
    /// @notice Nonces from 2^255 on are those of the order book's fills.
    error NonceReserved(uint256 nonce);
    error NotOrderBook(address caller);
    error NotLiquidator(address caller);
    error NotSettlement(address caller);
    error NotVault(address caller);

    event SeriesListed(uint256 indexed id, uint8 kind, bytes32 indexed asset, uint256 strike, uint64 expiry);
    /// @notice Follows the listing of a series that has other than the default terms; limits in whole quote.
    event TermsSet(
        uint256 indexed seriesId, uint8 optionMargin, uint32 pool, uint64 oiLower, uint64 oiCap, uint64 profitCap
    );
    /// @notice All margins are of these from now on; 1/10 000.
    event FactorsChanged(
        uint16 imBps, uint16 mmBps, uint16 optionImBps, uint16 optionMinImBps, uint16 optionMmBps
    );
    event Traded(
        uint256 indexed seriesId,
        address indexed taker,
        address indexed maker,
        int256 size,
        int256 price,
        uint256 nonce,
        uint256 fee
    );

    /// @dev One agreed trade.
    struct Fill {
        address taker;
        address maker;
        uint256 id;
        int256 size;
        int256 price;
        uint256 nonce;
    }

    /// @dev First nonce of the order book's fills.
    uint256 private constant FILL_NONCE = 1 << 255;

    address public immutable liquidator;
    address public immutable settlement;
    address public immutable orderBook;
    address public immutable timelock;
    uint256 public immutable penaltyBps;
    uint256 public immutable bandBps;
    uint256 public immutable takerFeeBps;
    uint64 public immutable settlementWindow;

    constructor(
        Params memory params,
        address owner_,
        Vault vault_,
        PriceFeed feed_,
        Perpetuals perpetuals_,
        address liquidator_,
        address settlement_,
        address orderBook_,
        Pauses pauses_,
        address timelock_
    ) Ownable(owner_) Portfolios(params, vault_, feed_, perpetuals_) Opening(pauses_) {
        liquidator = liquidator_;
        settlement = settlement_;
        orderBook = orderBook_;
        timelock = timelock_;
        penaltyBps = params.penaltyBps;
        bandBps = params.bandBps;
        takerFeeBps = params.takerFeeBps;
        settlementWindow = params.settlementWindow;
    }

    /// @notice Lists an instrument without limits, options margined in the standard way.
    /// @param kind 0 future, 1 call, 2 put, 3 perpetual, 4 inverse
    /// @param asset the underlying's name in the price feed
    /// @param strike 1e18 quote per 1 underlying; 0 for futures
    /// @param expiry seconds; the first second of the settled side; `NEVER` for perpetuals
    /// @return id of the series, counted from 1
    function listSeries(uint8 kind, bytes32 asset, uint256 strike, uint64 expiry)
        external
        onlyOwner
        returns (uint256 id)
    {
        Terms memory none;
        return _list(kind, asset, strike, expiry, none);
    }

    /// @notice Lists an instrument on terms that never change.
    function listSeriesWith(uint8 kind, bytes32 asset, uint256 strike, uint64 expiry, Terms calldata terms_)
        external
        onlyOwner
        returns (uint256 id)
    {
        return _list(kind, asset, strike, expiry, terms_);
    }

    function _list(uint8 kind, bytes32 asset, uint256 strike, uint64 expiry, Terms memory terms_)
        internal
        returns (uint256 id)
    {
        if (kind > uint8(type(Kind).max)) revert UnknownKind(kind);
        bool isPerpetual = Kind(kind) == Kind.Perpetual;
        if (isFuture(Kind(kind)) != (strike == 0) || strike > uint128(type(int128).max)) revert StrikeOutOfRange(kind, strike);
        if (isPerpetual && expiry != NEVER) revert PerpetualExpires(expiry);
        if (expiry <= block.timestamp) revert ExpiryNotInFuture(expiry, uint64(block.timestamp));
        if (seriesCount == SERIES_MAX) revert TooManySeries(SERIES_MAX);
        TermRules.check(terms_, isFuture(Kind(kind)) ? 0 : OptionMargin.NAKED);
        if (terms_.pool > 0 || Kind(kind) == Kind.Inverse) vault.admitPool(terms_.pool, Kind(kind), asset);
        id = ++seriesCount;
        Series storage series_ = _series[id];
        series_.asset = asset;
        series_.strike = strike;
        series_.expiry = expiry;
        series_.kind = Kind(kind);
        emit SeriesListed(id, kind, asset, strike, expiry);
        _setTerms(id, terms_);
        if (isPerpetual) {
            perpetuals.list(id, asset);
            return id;
        }
        feed.keepInstant(asset, expiry > settlementWindow ? expiry - settlementWindow : 0);
        feed.keepInstant(asset, expiry);
    }

    /// @notice Takes a maker's quote.
    /// @param quote what the maker offers
    /// @param makerSignature its EIP-712 signature
    /// @param size 1e18 underlying, signed from the caller's side; at most the quoted size and of its sign
    function trade(Quote calldata quote, bytes calldata makerSignature, int256 size) external {
        Series memory series_ = _knownSeries(quote.seriesId);
        if (block.timestamp > quote.deadline) revert QuoteExpired(quote.deadline, uint64(block.timestamp));
        if (block.timestamp >= series_.expiry) revert SeriesExpired(quote.seriesId, series_.expiry);
        if (quote.maker == msg.sender) revert SelfTrade(msg.sender);
        if (
            size == 0 || (size < 0) != (quote.size < 0) || SignedMath.abs(size) > SignedMath.abs(quote.size)
        ) revert SizeOutOfRange(size, quote.size);
        if (quote.nonce >= FILL_NONCE) revert NonceReserved(quote.nonce);
        _useQuote(quote, makerSignature);
        (address taker, address maker) = (msg.sender, quote.maker);
        uint32 pool = _terms[quote.seriesId].pool;
        if (pool != 0) (taker, maker) = (vault.accountIn(taker, pool), vault.accountIn(maker, pool));
        _fill(series_, Fill(taker, maker, quote.seriesId, size, quote.price, quote.nonce));
    }

    /// @notice Trades an order with one that rests, as `trade` does; order book only.
    /// @param size 1e18 underlying, from the taker's side
    /// @param nonce from 2^255 on, the fill's number
    function tradeFromBook(address taker, address maker, uint256 id, int256 size, int256 price, uint256 nonce) external {
        if (msg.sender != orderBook) revert NotOrderBook(msg.sender);
        Series memory series_ = _knownSeries(id);
        if (block.timestamp >= series_.expiry) revert SeriesExpired(id, series_.expiry);
        _fill(series_, Fill(taker, maker, id, size, price, nonce));
    }

    /// @notice Moves a position, or a part of it, to another account at a price, by the leg rules; liquidator only.
    /// @param size what is moved, 1e18 underlying, of the position's sign
    /// @param price 1e18 quote per 1 underlying (futures, perpetuals) or per option
    function transferPosition(address from, address to, uint256 id, int256 size, int256 price) external {
        if (msg.sender != liquidator) revert NotLiquidator(msg.sender);
        _exchange(from, to, id, -size, price);
    }

    /// @notice Settles what an account owes or is owed of a perpetual's funding so far; anyone may, for anyone.
    function settleFunding(address account, uint256 id) external {
        if (_knownSeries(id).kind != Kind.Perpetual) revert NotPerpetual(id);
        perpetuals.accrue(id);
        int256 cashDelta = perpetuals.settle(account, id, _positions[account][id].size);
        if (cashDelta != 0) vault.addCash(account, cashDelta);
    }

    /// @notice Fixes a series' settlement price; settlement only, which calls it once.
    /// @param price S_T, 1e18 quote per 1 underlying
    function recordFinal(uint256 id, int256 price) external {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        _series[id].settlementPrice = price;
        _series[id].isFinal = true;
    }

    /// @notice Clears a position without a trade; settlement only, which pays for it.
    /// @return held what the account had
    /// @return isLast whether nobody holds the series any more
    function clearPosition(address account, uint256 id) external returns (Position memory held, bool isLast) {
        if (msg.sender != settlement) revert NotSettlement(msg.sender);
        held = _positions[account][id];
        _setPosition(account, id, held.size, Position(0, 0));
        isLast = _series[id].openPositions == 0;
    }

    /// @notice Changes the margin factors of every account at once; timelock only, so everybody saw it coming.
    function setFactors(Factors calldata factors_) external {
        if (msg.sender != timelock) revert NotTimelock(msg.sender);
        FactorRules.check(factors_, penaltyBps);
        _factors = factors_;
        emit FactorsChanged(
            factors_.imBps, factors_.mmBps, factors_.optionImBps, factors_.optionMinImBps, factors_.optionMmBps
        );
    }

    /// @notice Lets an account take collateral away if its equity without unrealised profit still covers its initial margin at
    /// fresh prices, and reverts otherwise; vault only, after the effect.
    function admitWithdrawal(address account) external {
        if (msg.sender != address(vault)) revert NotVault(msg.sender);
        Risk memory after_ = risk(account);
        if (after_.equityWithoutProfit < int256(after_.initialMargin)) {
            revert InsufficientMargin(after_.equityWithoutProfit, after_.initialMargin);
        }
        _recordMove(account);
    }

    /// @notice Lets a keeper keep the positions it took if its equity covers its initial margin at fresh prices, whatever is
    /// open, since a liquidation opens nothing; reverts otherwise. Liquidator only, after the effect.
    function admitKeeper(address keeper) external {
        if (msg.sender != liquidator) revert NotLiquidator(msg.sender);
        Risk memory after_ = risk(keeper);
        if (after_.creditedEquity < int256(after_.baseMargin)) {
            revert InsufficientMargin(after_.creditedEquity, after_.baseMargin);
        }
        _recordMove(keeper);
    }

    /// @dev One trade at a price, whoever agreed on it how.
    function _fill(Series memory series_, Fill memory fill) private {
        (int256 index,) = feed.freshPrice(series_.asset);
        _requireMayOpen(fill.taker, fill.id, series_, fill.size);
        _checkPrice(series_, fill.price, index);
        Risk memory takerBefore = risk(fill.taker);
        Risk memory makerBefore = risk(fill.maker);
        uint256 openBefore = series_.openInterest;

        _exchange(fill.taker, fill.maker, fill.id, fill.size, fill.price);
        if (series_.kind == Kind.Perpetual) perpetuals.recordTrade(fill.id, fill.size, fill.price, index);
        uint256 fee = Margin.partOfNotional(fill.size, Worths.ofUnit(series_.kind, index), takerFeeBps);
        vault.takeFee(fill.taker, fee);
        emit Traded(fill.id, fill.taker, fill.maker, fill.size, fill.price, fill.nonce, fee);

        uint256 inQuote = Worths.inQuote(series_.kind, index);
        TermRules.requireWithinCap(_terms[fill.id], fill.id, openBefore, _series[fill.id].openInterest, inQuote);
        // After the effects: the rule compares before and after. The contracts called are the venue's own.
        Risk memory after_ = risk(fill.taker);
        if (!_admitTrade(fill.taker, takerBefore, after_)) revert InsufficientMargin(after_.creditedEquity, after_.initialMargin);
        after_ = risk(fill.maker);
        if (_admitTrade(fill.maker, makerBefore, after_)) return;
        if (fill.nonce >= FILL_NONCE) revert MakerBelowMargin(fill.maker, after_.creditedEquity, after_.initialMargin);
        revert InsufficientMargin(after_.creditedEquity, after_.initialMargin);
    }

    function _setTerms(uint256 id, Terms memory terms_) private {
        if (TermRules.isDefault(terms_)) return;
        _terms[id] = terms_;
        emit TermsSet(id, terms_.optionMargin, terms_.pool, terms_.oiLower, terms_.oiCap, terms_.profitCap);
    }

    function _checkPrice(Series memory series_, int256 price, int256 index) internal view {
        if (isFuture(series_.kind)) {
            if (series_.kind == Kind.Perpetual && index <= 0) revert IndexNotPositive(series_.asset, index);
            // An inverse future's index is positive by the bounds of its asset; a quote is whatever its maker signed.
            if (series_.kind == Kind.Inverse && price <= 0) revert IndexNotPositive(series_.asset, price);
            if (SignedMath.abs(price - index) * BPS > bandBps * SignedMath.abs(index)) {
                revert PriceOutOfBand(price, index, bandBps);
            }
        } else {
            int256 max = series_.kind == Kind.Call ? index : int256(series_.strike);
            if (price < 0 || price > max) revert OptionPriceOutOfRange(price, max);
        }
    }
}
