-- Joins of every kind, with filters on either side, in ON and in WHERE, at one site and across sites.

-- name: inner_one_site ordered
SELECT o.id, i.name, o.price FROM north.trade.orders o JOIN north.trade.items i ON o.item_id = i.id WHERE i.category = 'toys' ORDER BY o.id

-- name: inner_across_sites ordered
SELECT o.id, c.name, c.city FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id WHERE c.active AND o.quantity > 3 ORDER BY o.id

-- name: left_with_filter_on_the_right_in_on ordered
SELECT o.id, o.customer_id, c.name FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id AND c.city = 'Oslo' ORDER BY o.id

-- name: left_with_filter_on_the_left_in_on ordered
SELECT o.id, c.name FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id AND o.status = 'paid' ORDER BY o.id

-- name: left_with_filter_on_the_right_in_where
SELECT o.id, c.name FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id WHERE c.city = 'Oslo'

-- name: left_that_keeps_what_has_no_partner
SELECT o.id, o.customer_id FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id WHERE c.id IS NULL

-- name: left_one_site_with_filters_on_both_sides ordered
SELECT o.id, i.name FROM north.trade.orders o LEFT JOIN north.trade.items i ON o.item_id = i.id AND i.weight > 0.5 AND o.quantity < 5 WHERE o.price > 100 ORDER BY o.id

-- name: right_with_filter_on_the_left_in_on ordered
SELECT o.id, c.id, c.name FROM north.trade.orders o RIGHT JOIN south.ledger.customers c ON o.customer_id = c.id AND o.quantity = 2 ORDER BY c.id, o.id

-- name: right_with_filter_on_the_right_in_on
SELECT o.id, i.id AS item FROM north.trade.orders o RIGHT JOIN north.trade.items i ON o.item_id = i.id AND i.category = 'books'

-- name: full_across_sites
SELECT o.id, c.id AS customer FROM north.trade.orders o FULL JOIN south.ledger.customers c ON o.customer_id = c.id

-- name: full_with_filters_in_on
SELECT o.id, c.id AS customer FROM north.trade.orders o FULL JOIN south.ledger.customers c ON o.customer_id = c.id AND c.active AND o.status = 'open'

-- name: full_with_filter_in_where
SELECT o.id, p.id AS payment, p.amount FROM north.trade.orders o FULL JOIN south.ledger.payments p ON o.id = p.order_id WHERE coalesce(p.method, 'none') <> 'card' AND coalesce(o.quantity, 0) < 4

-- name: full_one_site
SELECT a.id, b.id AS other, a.name FROM south.ledger.customers a FULL JOIN south.ledger.payments b ON a.id = b.id AND b.method = 'wire'

-- name: full_using
-- duckdb differs: the column of a FULL JOIN USING is the first side's that is not NULL, but DataFusion 55 takes the left side's
SELECT id, a.name, b.stock FROM north.trade.items a FULL JOIN east.store.items b USING (id)

-- name: natural_of_two_sites
SELECT * FROM (SELECT id, stock FROM east.store.items) a NATURAL JOIN (SELECT id, category FROM north.trade.items) b

-- name: cross_of_small_sides
SELECT a.id, b.id AS other FROM (SELECT id FROM north.trade.items WHERE id < 5) a CROSS JOIN (SELECT id FROM south.ledger.customers WHERE id > 50) b

-- name: cross_with_a_filter_over_both
SELECT a.id, b.id AS other FROM north.trade.items a, east.store.items b WHERE a.id + b.id = 50 AND b.stock > 5

-- name: inequality_join_across_sites
SELECT i.id, c.id AS customer FROM north.trade.items i JOIN south.ledger.customers c ON i.price > c.credit WHERE c.credit > 100

-- name: inequality_left_join
SELECT i.id, e.id AS other FROM north.trade.items i LEFT JOIN east.store.items e ON i.id > e.id AND e.stock < 2

-- name: band_join_on_dates
SELECT c.id, p.id AS payment FROM south.ledger.customers c JOIN south.ledger.payments p ON p.paid BETWEEN c.since AND c.since + INTERVAL '9000' DAY AND c.id = p.id

-- name: join_on_an_expression
SELECT o.id, c.id AS customer FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id + 1 = c.id * 2

-- name: join_of_different_integer_types
SELECT p.id, c.name, i.stock FROM south.ledger.payments p JOIN south.ledger.customers c ON p.id = c.id JOIN east.store.items i ON i.tiny = p.id

-- name: join_on_decimals_of_different_scales
SELECT i.id, j.id AS other FROM north.trade.items i JOIN (SELECT id, arrow_cast(price, 'Decimal128(15, 5)') AS price FROM north.trade.items) j ON i.price = j.price AND i.id < j.id
-- duckdb: SELECT i.id, j.id AS other FROM north.trade.items i JOIN (SELECT id, CAST(price AS DECIMAL(15, 5)) AS price FROM north.trade.items) j ON i.price = j.price AND i.id < j.id

-- name: join_on_text_that_is_not_ascii
SELECT c.id, h."编号" FROM south.ledger.customers c JOIN south.ledger."户口" h ON c.city = h."城市"

-- name: join_on_booleans
SELECT c.id, i.id AS item FROM south.ledger.customers c JOIN east.store.items i ON c.active = i.flag AND c.id = i.id

-- name: join_that_treats_nulls_as_equal
SELECT o.id, c.id AS customer FROM north.trade.orders o JOIN south.ledger.customers c ON (o.note IS NOT DISTINCT FROM c.name) AND o.id = c.id

-- name: left_join_that_treats_nulls_as_equal
SELECT a.id, b.id AS other FROM south.ledger.customers a LEFT JOIN south.ledger.customers b ON (a.parent_id IS NOT DISTINCT FROM b.parent_id) AND (a.active IS NOT DISTINCT FROM b.active)

-- name: null_keys_never_meet
SELECT count(*) AS pairs FROM north.trade.orders a JOIN north.trade.orders b ON a.customer_id = b.customer_id

-- name: self_join_one_site
SELECT c.id, p.name AS parent FROM south.ledger.customers c JOIN south.ledger.customers p ON c.parent_id = p.id

-- name: self_join_three_generations
SELECT a.id, b.id AS parent, c.id AS grandparent FROM south.ledger.customers a LEFT JOIN south.ledger.customers b ON a.parent_id = b.id LEFT JOIN south.ledger.customers c ON b.parent_id = c.id

-- name: self_join_with_an_outsider_between
SELECT a.id, i.name, b.id AS other FROM north.trade.orders a JOIN south.ledger.customers c ON a.customer_id = c.id JOIN north.trade.orders b ON b.customer_id = c.id AND a.id < b.id JOIN north.trade.items i ON i.id = a.item_id WHERE a.quantity = b.quantity

-- name: self_join_with_inequality
SELECT a.id, b.id AS other FROM north.trade.orders a JOIN north.trade.orders b ON a.customer_id = b.customer_id AND a.id < b.id AND a.status <> b.status

-- name: three_sites_in_a_row
SELECT c.city, i.category, e.place, count(*) AS n FROM south.ledger.customers c JOIN north.trade.orders o ON o.customer_id = c.id JOIN north.trade.items i ON o.item_id = i.id LEFT JOIN east.store.items e ON e.id = i.id GROUP BY c.city, i.category, e.place

-- name: outer_join_of_outer_joins
SELECT o.id, c.id AS customer, e.id AS item FROM (north.trade.orders o LEFT JOIN south.ledger.customers c ON o.customer_id = c.id) FULL JOIN east.store.items e ON e.id = c.id AND e.flag

-- name: inner_above_a_left_of_two_sites
SELECT o.id, p.amount FROM north.trade.orders o LEFT JOIN south.ledger.customers c ON c.id = o.customer_id JOIN south.ledger.payments p ON p.order_id = o.id AND (p.amount > c.credit OR c.id IS NULL)

-- name: both_sides_aggregated_first ordered
SELECT a.customer_id, a.total, b.paid FROM (SELECT customer_id, sum(price) AS total FROM north.trade.orders GROUP BY customer_id) a LEFT JOIN (SELECT o.customer_id, sum(p.amount) AS paid FROM south.ledger.payments p JOIN north.trade.orders o ON p.order_id = o.id GROUP BY o.customer_id) b ON a.customer_id = b.customer_id ORDER BY a.customer_id

-- name: join_with_an_empty_table
SELECT o.id, n.label FROM north.trade.orders o JOIN north.trade.nothing n ON o.id = n.id

-- name: left_join_with_an_empty_table_of_another_site
SELECT i.id, n.label, n.flag FROM north.trade.items i LEFT JOIN south.ledger.nothing n ON i.id = n.id

-- name: full_join_of_empty_tables
SELECT a.id, b.flag FROM north.trade.nothing a FULL JOIN south.ledger.nothing b ON a.id = b.id

-- name: join_with_rows_without_values
SELECT i.id, a.b FROM east.store.items i LEFT JOIN east.store.all_null a ON i.id = a.id WHERE i.id < 10

-- name: join_with_inline_values
SELECT o.id, v.word FROM north.trade.orders o JOIN (VALUES (1, 'one'), (2, 'two'), (3, NULL)) AS v(n, word) ON o.quantity = v.n

-- name: left_semi_join_with_filters_on_both_inputs
SELECT o.id, o.status FROM north.trade.orders o LEFT SEMI JOIN south.ledger.customers c ON o.customer_id = c.id AND c.credit > 2000 WHERE o.quantity > 2
-- duckdb: SELECT o.id, o.status FROM north.trade.orders o SEMI JOIN south.ledger.customers c ON o.customer_id = c.id AND c.credit > 2000 WHERE o.quantity > 2

-- name: left_anti_join_with_filters_on_both_inputs
SELECT o.id, o.status FROM north.trade.orders o LEFT ANTI JOIN south.ledger.customers c ON o.customer_id = c.id AND c.credit > 2000 WHERE o.quantity > 2
-- duckdb: SELECT o.id, o.status FROM north.trade.orders o ANTI JOIN south.ledger.customers c ON o.customer_id = c.id AND c.credit > 2000 WHERE o.quantity > 2

-- name: right_semi_join
SELECT c.id FROM north.trade.orders o RIGHT SEMI JOIN south.ledger.customers c ON o.customer_id = c.id AND o.price > 500
-- duckdb: SELECT c.id FROM south.ledger.customers c SEMI JOIN north.trade.orders o ON o.customer_id = c.id AND o.price > 500

-- name: right_anti_join
SELECT c.id FROM north.trade.orders o RIGHT ANTI JOIN south.ledger.customers c ON o.customer_id = c.id AND o.price > 500
-- duckdb: SELECT c.id FROM south.ledger.customers c ANTI JOIN north.trade.orders o ON o.customer_id = c.id AND o.price > 500

-- name: lateral_unnest_of_lists
SELECT id, tag FROM (SELECT id, unnest(tags) AS tag FROM north.trade.items) t WHERE tag IS NOT NULL
