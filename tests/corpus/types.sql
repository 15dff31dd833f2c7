-- Types and expressions: decimals, time and zones, floats that are not numbers, booleans, bytes, lists, text, CASE, casts.

-- name: decimals_add_and_subtract
SELECT id, price + discount AS a, price - discount AS b, -price AS c, price + 1 AS d FROM north.trade.orders

-- name: decimals_multiply
SELECT id, price * discount AS a, price * quantity AS b, price * 1.5 AS c FROM north.trade.orders

-- name: decimals_divide
SELECT id, price / 3 AS a, price / nullif(discount, 0) AS b FROM north.trade.orders

-- name: decimals_compare
SELECT id FROM north.trade.orders WHERE price > 99.99 AND price <= 500.005 AND discount <> 0.0125 AND price <> 379

-- name: decimals_round
SELECT id, round(price, 1) AS a, ceil(price) AS b, floor(price) AS c, abs(price - 300) AS d FROM north.trade.orders WHERE id < 30

-- name: decimals_across_sites
SELECT o.id, o.price * (1 - coalesce(o.discount, 0)) - p.amount AS due FROM north.trade.orders o JOIN south.ledger.payments p ON p.order_id = o.id WHERE o.price > p.amount

-- name: decimals_sum_of_products
SELECT sum(o.price * o.discount) AS a, sum(o.price * c.credit) AS b, avg(c.credit) AS m FROM north.trade.orders o JOIN south.ledger.customers c ON c.id = o.customer_id

-- name: decimals_cast
SELECT id, CAST(price AS BIGINT) AS a, CAST(price AS DOUBLE) AS b, CAST(price AS DECIMAL(8, 1)) AS c, CAST(quantity AS DECIMAL(7, 3)) AS d FROM north.trade.orders WHERE id < 50
-- duckdb: SELECT id, CAST(trunc(price) AS BIGINT) AS a, CAST(price AS DOUBLE) AS b, CAST(price AS DECIMAL(8, 1)) AS c, CAST(quantity AS DECIMAL(7, 3)) AS d FROM north.trade.orders WHERE id < 50

-- name: integers_arithmetic
SELECT id, id / 7 AS a, id % 7 AS b, -id AS c, id * id - 3 AS d, quantity / 2 AS e FROM north.trade.orders

-- name: integers_of_every_width
-- duckdb: SELECT id, small + tiny AS a, middle::BIGINT * 2 AS b, port + stock AS c, tiny - small AS d FROM east.store.items WHERE stock IS NOT NULL
SELECT id, small + tiny AS a, middle * 2 AS b, port + stock AS c, tiny - small AS d FROM east.store.items WHERE stock IS NOT NULL

-- name: integers_bits
SELECT id, id & 5 AS a, id | 8 AS b, id ^ 3 AS c, id << 2 AS d, id >> 1 AS e FROM north.trade.items
-- duckdb: SELECT id, id & 5 AS a, id | 8 AS b, xor(id, 3) AS c, id << 2 AS d, id >> 1 AS e FROM north.trade.items

-- name: floats_that_are_not_numbers
SELECT id, reading, coarse, reading + 1 AS more, -reading AS less FROM south.ledger.measures

-- name: floats_compare_with_nan
SELECT id FROM south.ledger.measures WHERE reading > 1e299

-- name: floats_equal_nan
SELECT id, reading = arrow_cast('NaN', 'Float64') AS is_nan FROM south.ledger.measures
-- duckdb: SELECT id, reading = 'NaN'::DOUBLE AS is_nan FROM south.ledger.measures

-- name: floats_join_on_nan_and_infinity
SELECT a.id, b.id AS other FROM south.ledger.measures a JOIN south.ledger.measures b ON a.reading = b.reading AND a.id < b.id WHERE a.reading <> 0 AND b.reading <> 0

-- name: floats_group_by_nan
SELECT reading, count(*) AS n FROM south.ledger.measures WHERE reading IS NULL OR abs(reading) > 1 GROUP BY reading

-- name: floats_minus_zero_compare
SELECT count(*) AS n FROM south.ledger.measures WHERE reading = 0.0

-- name: floats_minus_zero_grouped
SELECT count(*) AS n_groups FROM (SELECT reading FROM south.ledger.measures WHERE id % 10 IN (3, 4) GROUP BY reading) t

-- name: floats_aggregates_with_nan
SELECT kind, sum(coarse) AS s, count(coarse) AS n, min(coarse) FILTER (WHERE NOT isnan(coarse)) AS lo, max(coarse) FILTER (WHERE isnan(coarse)) AS nan FROM south.ledger.measures GROUP BY kind

-- name: floats_order_with_nan ordered
SELECT id, reading FROM south.ledger.measures WHERE reading IS NULL OR reading <> 0 ORDER BY reading DESC, id

-- name: floats_classified
SELECT id, isnan(reading) AS nan, CASE WHEN reading < 0 THEN 'minus' WHEN reading > 0 THEN 'plus' END AS sign FROM south.ledger.measures WHERE id % 10 NOT IN (3, 4)

-- name: floats_of_two_widths
SELECT id, ratio * 3 AS a, ratio > 2.5 AS b, CAST(ratio AS DOUBLE) / 3 AS c FROM east.store.items

-- name: dates_arithmetic
SELECT id, since + INTERVAL '1' MONTH AS a, since - INTERVAL '10' DAY AS b FROM south.ledger.customers

-- name: dates_parts
SELECT extract(YEAR FROM since) AS y, extract(MONTH FROM since) AS m, count(*) AS n FROM south.ledger.customers GROUP BY extract(YEAR FROM since), extract(MONTH FROM since)

-- name: dates_compare_with_text_and_timestamps
SELECT id FROM south.ledger.customers WHERE since BETWEEN DATE '1998-01-01' AND '2001-06-30' AND since < TIMESTAMP '2001-01-01 12:00:00'

-- name: dates_truncated
SELECT date_trunc('quarter', since) AS q, count(*) AS n FROM south.ledger.customers GROUP BY date_trunc('quarter', since)

-- name: dates_of_two_sites
SELECT c.id, e.id AS event FROM south.ledger.payments c JOIN east.store.events e ON c.paid + INTERVAL '173' DAY = e.on_day

-- name: timestamps_compare
SELECT id FROM north.trade.orders WHERE placed >= TIMESTAMP '2023-11-15 00:00:00' AND placed < TIMESTAMP '2023-11-20 06:30:00.5'

-- name: timestamps_arithmetic
SELECT id, placed + INTERVAL '90' MINUTE AS a, date_trunc('hour', placed) AS b, extract(DOW FROM placed) AS c FROM north.trade.orders

-- name: timestamps_with_zone_compare
SELECT id FROM north.trade.orders WHERE shipped > TIMESTAMP '2023-11-14 22:13:21' AND shipped <= TIMESTAMPTZ '2023-11-14 22:13:23Z'

-- name: timestamps_of_several_zones
SELECT id, at_utc, at_shanghai, at_new_york, at_plain FROM east.store.events

-- name: timestamps_of_several_zones_compare
SELECT id FROM east.store.events WHERE at_utc = at_new_york AND at_shanghai < at_utc

-- name: timestamps_zone_moved
SELECT id, at_utc AT TIME ZONE 'America/New_York' AS there FROM east.store.events
-- duckdb differs: AT TIME ZONE of a timestamp with zone gives DataFusion the same instant in another zone, and DuckDB the local time without zone

-- name: timestamps_day_across_a_change_of_the_clock
SELECT date_trunc('day', at_new_york) AS day, count(*) AS n FROM east.store.events GROUP BY date_trunc('day', at_new_york)
-- duckdb differs: DataFusion cuts the day in the column's own zone, DuckDB keeps no zone with a value and cuts it in the session's, which is UTC here

-- name: timestamps_of_nanoseconds
SELECT id, at_plain FROM east.store.events WHERE at_plain > TIMESTAMP '2024-03-10 12:00:00.000000010'

-- name: timestamps_joined_across_zones
SELECT o.id, e.id AS event FROM north.trade.orders o JOIN east.store.events e ON date_trunc('day', o.placed) = date_trunc('day', e.at_plain)

-- name: times_of_day
SELECT id, opens FROM east.store.items WHERE CAST(opens AS TIME) > TIME '00:15:00' AND CAST(opens AS TIME) <= TIME '00:20:00'

-- name: intervals_between
SELECT max(placed) - min(placed) AS span, count(*) AS n FROM north.trade.orders
-- duckdb differs: DataFusion answers with a duration in microseconds, DuckDB with an interval of days and time

-- name: booleans
SELECT id, active, NOT active AS a, active IS TRUE AS b, active IS NOT FALSE AS c, active IS UNKNOWN AS d, active AND id > 10 AS e, active OR id > 10 AS f FROM south.ledger.customers
-- duckdb: SELECT id, active, NOT active AS a, active IS TRUE AS b, active IS NOT FALSE AS c, active IS NULL AS d, active AND id > 10 AS e, active OR id > 10 AS f FROM south.ledger.customers

-- name: bytes
SELECT id, code FROM east.store.items WHERE code = X'62696e33' OR code > X'62696e35'
-- duckdb: SELECT id, code FROM east.store.items WHERE code = '\x62\x69\x6e\x33'::BLOB OR code > '\x62\x69\x6e\x35'::BLOB

-- name: bytes_grouped
SELECT code, count(*) AS n FROM east.store.items GROUP BY code

-- name: lists
SELECT id, tags, array_length(tags) AS n, tags[1] AS first FROM north.trade.items
-- duckdb: SELECT id, tags, len(tags) AS n, tags[1] AS first FROM north.trade.items

-- name: lists_filtered
SELECT id FROM north.trade.items WHERE array_has(tags, 't1')
-- duckdb: SELECT id FROM north.trade.items WHERE list_contains(tags, 't1')

-- name: lists_unnested_and_counted
SELECT tag, count(*) AS n FROM (SELECT unnest(tags) AS tag FROM north.trade.items) t GROUP BY tag

-- name: structs
SELECT id, spot, spot['x'] AS x, spot['y'] AS y FROM east.store.items WHERE spot['x'] < 20

-- name: dictionaries
SELECT place, count(*) AS n, sum(stock) AS stock FROM east.store.items WHERE place <> 'yard' OR place IS NULL GROUP BY place

-- name: dictionaries_in_a_join
SELECT a.id, b.id AS other FROM east.store.items a JOIN east.store.items b ON a.place = b.place AND a.stock = b.stock AND a.id < b.id

-- name: text_functions
SELECT id, upper(note) AS u, length(note) AS n, substr(note, 3, 4) AS s, trim(note) AS t, replace(note, 'note', 'N') AS r, note || '!' AS x, concat(note, NULL, '?') AS y FROM north.trade.orders

-- name: text_like
SELECT id FROM north.trade.orders WHERE note LIKE 'note 1_' AND note NOT LIKE '%5' AND status ILIKE 'PA%'

-- name: text_with_quotes_and_escapes
SELECT id, city FROM south.ledger.customers WHERE city = 'O''Brien' OR city LIKE '%''%' OR city LIKE 'S_o P%'

-- name: text_like_with_escape
SELECT id FROM south.ledger.customers WHERE name LIKE 'customer\_1%' ESCAPE '\' OR name LIKE 'customer \%1' ESCAPE '\' OR name LIKE 'customer 2_'

-- name: text_regular_expressions
SELECT id FROM north.trade.orders WHERE regexp_like(note, '^note 1[0-3]$')
-- duckdb: SELECT id FROM north.trade.orders WHERE regexp_matches(note, '^note 1[0-3]$')

-- name: text_compare_is_binary
SELECT id, city FROM south.ledger.customers WHERE city > 'a' OR city < 'P'

-- name: text_of_two_layouts
SELECT a.id, b.id AS other FROM east.store.items a JOIN (SELECT id, concat('wide ', CAST(id % 6 AS VARCHAR)) AS remark FROM north.trade.items) b ON a.remark = b.remark AND a.id = b.id

-- name: case_searched_and_simple
SELECT id, CASE WHEN price > 500 THEN 'high' WHEN price > 200 THEN 'middle' END AS a, CASE quantity WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE status END AS b FROM north.trade.orders

-- name: case_that_guards_a_division
SELECT id, CASE WHEN quantity - 3 <> 0 THEN id / (quantity - 3) ELSE 0 END AS x FROM north.trade.orders

-- name: coalesce_nullif_greatest
SELECT id, coalesce(note, status, 'none') AS a, nullif(quantity, 3) AS b, greatest(quantity, 4) AS c, least(price, 100) AS d FROM north.trade.orders

-- name: in_lists_with_null
SELECT id FROM north.trade.orders WHERE status IN ('paid', NULL) OR quantity NOT IN (1, 2, NULL)

-- name: in_lists_long
SELECT id FROM north.trade.orders WHERE id IN (3, 1, 4, 15, 9, 2, 6, 53, 58, 97, 93, 23, 84, 62, 64, 33, 83, 27, 95, 28) AND note NOT IN ('note 3', 'note 9')

-- name: between_and_not
SELECT id FROM north.trade.orders WHERE quantity BETWEEN 2 AND 4 AND price NOT BETWEEN 100 AND 300 AND NOT (id BETWEEN 50 AND 120)

-- name: casts_between_types
SELECT id, CAST(id AS VARCHAR) AS a, CAST(quantity AS DOUBLE) AS b, CAST(placed AS DATE) AS c, CAST('42' AS INT) AS d, CAST(price AS VARCHAR) AS e FROM north.trade.orders WHERE id < 20

-- name: casts_that_may_fail
SELECT id, try_cast(note AS INT) AS a, try_cast(substr(note, 6) AS INT) AS b FROM north.trade.orders

-- name: casts_of_booleans
SELECT id, CAST(active AS INT) AS a, CAST(id % 2 AS BOOLEAN) AS b FROM south.ledger.customers

-- name: literals_of_every_type
SELECT id, 1 AS a, -1 AS b, 1.50 AS c, 1e3 AS d, 'it''s' AS e, TRUE AS f, NULL AS g, DATE '2024-02-29' AS h, TIMESTAMP '2024-02-29 23:59:59.999' AS i FROM north.trade.items WHERE id = 1

-- name: mathematical_functions
SELECT id, sqrt(id) AS a, power(id, 2) AS b, ln(id) AS c, exp(id / 100.0) AS d, sin(id) AS e, signum(quantity - 4) AS f FROM north.trade.orders
-- duckdb: SELECT id, sqrt(id) AS a, power(id, 2) AS b, ln(id) AS c, exp(id / 100.0) AS d, sin(id) AS e, sign(quantity - 4) AS f FROM north.trade.orders

-- name: arithmetic_is_grouped_as_written
SELECT id, id - (10 - (3 - id)) AS a, (id + 2) * 3 - -id AS b, id - 5 - 3 AS c, 100 / (id * 2) AS d, 100 / id * 2 AS e FROM north.trade.items

-- name: and_or_not_is_grouped_as_written
SELECT id FROM north.trade.orders WHERE (quantity = 1 OR quantity = 2) AND NOT (status = 'paid' OR status = 'open') OR (note IS NULL) = (status IS NULL)

-- name: distinct_from
SELECT id FROM north.trade.orders WHERE (note IS DISTINCT FROM 'note 1') AND (status IS NOT DISTINCT FROM NULL)
