-- Windows: ranking, frames, navigation, named windows, over joins and aggregates, filtered from outside.

-- name: row_number ordered
SELECT id, row_number() OVER (PARTITION BY status ORDER BY price, id) AS place FROM north.trade.orders ORDER BY id

-- name: ranks
SELECT id, rank() OVER (ORDER BY quantity) AS r, dense_rank() OVER (ORDER BY quantity) AS d, percent_rank() OVER (ORDER BY quantity) AS p, cume_dist() OVER (ORDER BY quantity) AS c FROM north.trade.orders

-- name: ntile
SELECT id, ntile(4) OVER (ORDER BY price, id) AS quarter FROM north.trade.orders

-- name: running_sum
SELECT id, customer_id, sum(price) OVER (PARTITION BY customer_id ORDER BY id) AS running FROM north.trade.orders

-- name: frames_of_rows
SELECT id, sum(quantity) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS around, count(*) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before, max(price) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS rest FROM north.trade.orders

-- name: frames_of_ranges
SELECT id, sum(price) OVER (ORDER BY quantity RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS near, count(*) OVER (ORDER BY quantity RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS upto FROM north.trade.orders WHERE quantity IS NOT NULL

-- name: frames_of_groups
SELECT id, count(*) OVER (ORDER BY quantity GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS n FROM north.trade.orders

-- name: lag_and_lead
SELECT id, lag(price) OVER (ORDER BY id) AS before, lead(price, 2) OVER (ORDER BY id) AS later, lag(quantity, 1, -1) OVER (PARTITION BY status ORDER BY id) AS or_minus_one FROM north.trade.orders

-- name: first_last_and_nth
SELECT id, first_value(note) OVER w AS a, last_value(note) OVER w AS b, nth_value(note, 3) OVER w AS c FROM north.trade.orders WINDOW w AS (PARTITION BY quantity ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)

-- name: ignore_nulls
SELECT id, last_value(note) IGNORE NULLS OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS latest FROM north.trade.orders
-- duckdb: SELECT id, last_value(note IGNORE NULLS) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS latest FROM north.trade.orders

-- name: window_without_order
SELECT id, price - avg(price) OVER (PARTITION BY customer_id) AS difference, count(*) OVER () AS everything FROM north.trade.orders

-- name: window_with_filter
SELECT id, count(*) FILTER (WHERE price > 300) OVER (PARTITION BY status) AS big FROM north.trade.orders

-- name: window_over_a_join_of_sites
SELECT o.id, c.city, rank() OVER (PARTITION BY c.city ORDER BY o.price DESC) AS place FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id

-- name: window_over_an_aggregate
SELECT status, sum(price) AS total, rank() OVER (ORDER BY sum(price) DESC) AS place, sum(sum(price)) OVER () AS grand FROM north.trade.orders GROUP BY status

-- name: window_with_null_order
SELECT id, row_number() OVER (ORDER BY note NULLS FIRST, id) AS a, row_number() OVER (ORDER BY note DESC NULLS LAST, id) AS b FROM north.trade.orders

-- name: filter_on_a_window
SELECT * FROM (SELECT id, status, sum(quantity) OVER (PARTITION BY status ORDER BY id) AS running FROM north.trade.orders) t WHERE running > 40 AND status = 'sent'

-- name: filter_below_a_window_must_not_sink_through
SELECT * FROM (SELECT id, customer_id, count(*) OVER (PARTITION BY customer_id) AS n FROM north.trade.orders) t WHERE id < 30

-- name: two_windows_of_different_sort
SELECT id, sum(price) OVER (ORDER BY price, id) AS by_price, sum(price) OVER (ORDER BY id DESC) AS by_id FROM north.trade.orders

-- name: window_over_floats_with_nan
SELECT id, rank() OVER (ORDER BY reading) AS place FROM south.ledger.measures WHERE reading IS NULL OR reading <> 0

-- name: window_of_an_empty_table
SELECT id, row_number() OVER (ORDER BY id) AS n FROM north.trade.nothing
