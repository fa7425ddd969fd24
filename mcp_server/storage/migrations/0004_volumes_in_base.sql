-- Earlier versions kept the volume of swaps and futures as the exchange counts it, which may be contracts. Where that
-- is not known to be base, the volume of what was fetched is unknown from now on (NaN). Imported series stay as they are.
UPDATE candles SET volume = 'NaN' WHERE series_id IN (
    SELECT id FROM series
    WHERE contains(symbol, ':') AND coalesce(revision, 0) = 0
    AND exchange NOT IN (
        'aster', 'binance', 'binanceusdm', 'binancecoinm', 'bitfinex', 'bitget', 'blofin', 'bybit', 'bybiteu', 'bybitid',
        'coinbaseinternational', 'cryptocom', 'deribit', 'dydx', 'htx', 'hyperliquid', 'myokx', 'okx', 'okxus',
        'whitebit', 'woo'
    )
    AND NOT (
        exchange IN ('bingx', 'krakenfutures', 'phemex')
        AND regexp_extract(symbol, '/([^:]+):', 1) = regexp_extract(symbol, ':([^-]+)', 1)
    )
);
