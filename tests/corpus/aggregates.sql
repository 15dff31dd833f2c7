-- Aggregates: grouped and not, FILTER, DISTINCT, ORDER BY inside, grouping sets, HAVING, over joins, over nothing.

-- name: count_star
SELECT count(*) AS n FROM north.trade.orders

-- name: count_of_a_join
SELECT count(*) AS n FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id

-- name: counts_of_values_and_of_rows
SELECT count(*) AS rows_, count(customer_id) AS customers, count(DISTINCT customer_id) AS different, count(note) AS notes, count(DISTINCT note) AS different_notes FROM north.trade.orders

-- name: all_simple_aggregates
SELECT sum(price) AS s, avg(price) AS a, min(price) AS lo, max(price) AS hi, sum(quantity) AS q, avg(quantity) AS aq, min(note) AS first_note, max(placed) AS last_placed FROM north.trade.orders

-- name: group_by_with_null_key ordered
SELECT status, count(*) AS n, sum(price) AS total FROM north.trade.orders GROUP BY status ORDER BY status NULLS FIRST

-- name: group_by_two_keys
SELECT status, quantity, count(*) AS n FROM north.trade.orders GROUP BY status, quantity

-- name: group_by_an_expression
SELECT quantity % 3 AS rest, upper(status) AS word, sum(price) AS total FROM north.trade.orders GROUP BY quantity % 3, upper(status)

-- name: group_by_ordinal_and_order_by_alias ordered
SELECT date_trunc('month', placed) AS month, count(*) AS n FROM north.trade.orders GROUP BY 1 ORDER BY month

-- name: group_by_across_sites
SELECT c.city, sum(o.price) AS total, count(*) AS n FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id GROUP BY c.city

-- name: group_by_a_key_of_each_site
SELECT c.city, i.category, avg(o.quantity) AS mean FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id JOIN north.trade.items i ON i.id = o.item_id GROUP BY c.city, i.category

-- name: filter_clauses
SELECT customer_id, count(*) FILTER (WHERE status = 'paid') AS paid, sum(price) FILTER (WHERE quantity > 4) AS big, avg(price) FILTER (WHERE FALSE) AS never FROM north.trade.orders GROUP BY customer_id

-- name: filter_clauses_across_sites
SELECT count(*) FILTER (WHERE c.active) AS active, count(*) FILTER (WHERE c.active IS NULL) AS unknown, max(o.price) FILTER (WHERE c.city = 'Oslo') AS oslo FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id

-- name: distinct_inside
SELECT status, sum(DISTINCT quantity) AS s, count(DISTINCT item_id) AS items, avg(DISTINCT quantity) AS mean FROM north.trade.orders GROUP BY status

-- name: distinct_with_filter
SELECT count(DISTINCT customer_id) FILTER (WHERE price > 300) AS n, count(DISTINCT status) FILTER (WHERE quantity IS NULL) AS m FROM north.trade.orders

-- name: distinct_rows
SELECT DISTINCT status, quantity FROM north.trade.orders

-- name: distinct_across_sites
SELECT DISTINCT c.city, o.status FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id

-- name: distinct_on ordered
SELECT DISTINCT ON (status) status, id, price FROM north.trade.orders ORDER BY status, price DESC, id

-- name: having
SELECT customer_id, count(*) AS n FROM north.trade.orders GROUP BY customer_id HAVING count(*) > 3 AND min(price) < 200

-- name: having_without_group
SELECT sum(price) AS total FROM north.trade.orders HAVING count(*) > 1000

-- name: ordered_array_agg
SELECT customer_id, array_agg(id ORDER BY price DESC, id) AS ids FROM north.trade.orders GROUP BY customer_id

-- name: ordered_array_agg_across_sites
SELECT c.city, array_agg(o.id ORDER BY o.price DESC, o.id) AS ids FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id WHERE o.quantity = 3 GROUP BY c.city

-- name: ordered_string_agg
SELECT quantity, string_agg(note, '|' ORDER BY id DESC) AS notes FROM north.trade.orders GROUP BY quantity

-- name: ordered_string_agg_one_group
SELECT string_agg(name, ', ' ORDER BY name, id) AS names FROM south.ledger.customers WHERE id < 20

-- name: first_and_last_value
SELECT status, first_value(id ORDER BY price, id) AS cheapest, last_value(id ORDER BY price, id) AS dearest FROM north.trade.orders GROUP BY status
-- duckdb: SELECT status, arg_min(id, (price, id)) AS cheapest, arg_max(id, (price, id)) AS dearest FROM north.trade.orders GROUP BY status

-- name: nth_value_ordered
SELECT status, nth_value(id, 2 ORDER BY id) AS second FROM north.trade.orders GROUP BY status
-- duckdb: SELECT status, list(id ORDER BY id)[2] AS second FROM north.trade.orders GROUP BY status

-- name: array_agg_distinct_ordered
SELECT status, array_agg(DISTINCT quantity ORDER BY quantity) AS quantities FROM north.trade.orders WHERE quantity IS NOT NULL GROUP BY status

-- name: median_and_percentile
SELECT median(price) AS middle, approx_distinct(status) AS about FROM north.trade.orders WHERE id <= 99
-- duckdb: SELECT median(price) AS middle, approx_count_distinct(status) AS about FROM north.trade.orders WHERE id <= 99

-- name: variance_and_correlation
SELECT status, stddev(price) AS s, var_pop(quantity) AS v, corr(quantity, price) AS c, covar_samp(quantity, price) AS cs FROM north.trade.orders GROUP BY status

-- name: boolean_and_bit_aggregates
SELECT city, bool_and(active) AS every_one, bool_or(active) AS any_one, bit_and(id) AS a, bit_or(id) AS o, bit_xor(id) AS x FROM south.ledger.customers GROUP BY city

-- name: grouping_sets
SELECT status, quantity, count(*) AS n, sum(price) AS total FROM north.trade.orders GROUP BY GROUPING SETS ((status, quantity), (status), ())

-- name: rollup_with_grouping
SELECT status, quantity, grouping(status) AS gs, grouping(quantity) AS gq, count(*) AS n FROM north.trade.orders GROUP BY ROLLUP (status, quantity)

-- name: cube
SELECT status, quantity, max(price) AS top FROM north.trade.orders WHERE id < 60 GROUP BY CUBE (status, quantity)

-- name: rollup_across_sites
SELECT c.city, o.status, count(*) AS n FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id GROUP BY ROLLUP (c.city, o.status)

-- name: cube_with_having_on_grouping
SELECT city, active, count(*) AS n FROM south.ledger.customers GROUP BY CUBE (city, active) HAVING grouping(city) = 1

-- name: aggregate_of_an_aggregate
SELECT max(n) AS most, min(n) AS least, avg(total) AS mean FROM (SELECT customer_id, count(*) AS n, sum(price) AS total FROM north.trade.orders GROUP BY customer_id) t

-- name: aggregates_over_an_empty_table
SELECT count(*) AS n, sum(amount) AS s, min(label) AS lo, avg(amount) AS a, max(day) AS d FROM north.trade.nothing

-- name: groups_of_an_empty_table
SELECT label, count(*) AS n FROM south.ledger.nothing GROUP BY label

-- name: aggregates_over_nulls
SELECT count(*) AS n, count(a) AS na, sum(a) AS sa, min(b) AS lo, avg(c) AS mean, max(d) AS day, sum(e) AS se, bool_or(f) AS f FROM east.store.all_null

-- name: group_by_nulls
SELECT b, f, count(*) AS n, sum(c) AS s FROM east.store.all_null GROUP BY b, f

-- name: arithmetic_over_aggregates
SELECT status, sum(price) / count(*) AS mean, sum(price * (1 - coalesce(discount, 0))) AS net, 100 * count(*) AS percent FROM north.trade.orders GROUP BY status
-- duckdb: SELECT status, sum(price) / count(*) AS mean, sum(price * (1 - coalesce(discount, 0))) AS net, 100 * count(*) AS percent FROM north.trade.orders GROUP BY status

-- name: constant_keys_and_no_aggregate
SELECT status FROM north.trade.orders GROUP BY status, 1 + 1

-- name: sums_of_unsigned_and_small_types
SELECT sum(stock) AS a, sum(small) AS b, sum(tiny) AS c, sum(middle) AS d, sum(port) AS e, sum(ratio) AS f, avg(small) AS g FROM east.store.items

-- name: min_and_max_of_every_type
SELECT min(place) AS a, max(place) AS b, min(flag) AS c, max(code) AS d, min(remark) AS e, max(opens) AS f, min(ratio) AS g, max(port) AS h FROM east.store.items

-- name: distinct_rows_with_a_column_twice
SELECT DISTINCT status AS a, status AS b, customer_id AS c FROM north.trade.orders
