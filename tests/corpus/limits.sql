-- ORDER BY, LIMIT and OFFSET in all their places.

-- name: top_ten ordered
SELECT id, price FROM north.trade.orders ORDER BY price DESC, id LIMIT 10

-- name: top_with_offset ordered
SELECT id, price FROM north.trade.orders ORDER BY price DESC, id LIMIT 10 OFFSET 25

-- name: offset_alone ordered
SELECT id FROM north.trade.orders ORDER BY id OFFSET 190

-- name: offset_beyond_the_end
SELECT id FROM north.trade.orders ORDER BY id LIMIT 5 OFFSET 500

-- name: limit_zero
SELECT id, price FROM north.trade.orders LIMIT 0

-- name: limit_without_order rows only
SELECT id FROM north.trade.orders LIMIT 17

-- name: limit_with_offset_without_order rows only
SELECT id FROM north.trade.orders LIMIT 50 OFFSET 180

-- name: limit_with_filter_without_order rows only
SELECT id FROM north.trade.orders WHERE quantity = 3 LIMIT 5

-- name: limit_over_a_limit ordered
SELECT id FROM (SELECT id FROM north.trade.orders ORDER BY id LIMIT 50 OFFSET 10) t ORDER BY id LIMIT 20 OFFSET 35

-- name: limit_over_a_limit_of_the_other_direction ordered
SELECT id FROM (SELECT id FROM north.trade.orders ORDER BY id LIMIT 50) t ORDER BY id DESC LIMIT 5 OFFSET 3

-- name: order_by_nulls_first ordered
SELECT id, note FROM north.trade.orders ORDER BY note NULLS FIRST, id LIMIT 80

-- name: order_by_nulls_last_descending ordered
SELECT id, note FROM north.trade.orders ORDER BY note DESC NULLS LAST, id DESC

-- name: order_by_default_place_of_nulls ordered
SELECT id, status, quantity FROM north.trade.orders ORDER BY status, quantity DESC, id

-- name: order_by_an_expression_that_is_not_selected ordered
SELECT id FROM north.trade.orders ORDER BY price * coalesce(quantity, 1) DESC, id LIMIT 12

-- name: order_by_text_is_by_code_point ordered
SELECT id, city FROM south.ledger.customers ORDER BY city, id

-- name: order_by_chinese_text ordered
SELECT "编号", "姓名" FROM south.ledger."户口" ORDER BY "姓名" DESC, "编号"

-- name: top_of_a_join_of_sites ordered
SELECT o.id, c.name, o.price FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id ORDER BY o.price DESC, o.id LIMIT 10 OFFSET 5

-- name: top_of_groups ordered
SELECT customer_id, sum(price) AS total FROM north.trade.orders GROUP BY customer_id ORDER BY total DESC, customer_id LIMIT 5

-- name: top_of_groups_across_sites ordered
SELECT c.city, sum(o.price) AS total FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id GROUP BY c.city ORDER BY total DESC LIMIT 3 OFFSET 1

-- name: limit_below_a_join
SELECT t.id, c.name FROM (SELECT id, customer_id FROM north.trade.orders ORDER BY price DESC, id LIMIT 15) t LEFT JOIN south.ledger.customers c ON t.customer_id = c.id

-- name: limit_on_both_sides_of_a_join
-- DuckDB 1.5.5 now and then lets the join's filter through the LIMIT of b, and finds rows that are not among the 50; a materialized b stops it.
-- duckdb: WITH a AS MATERIALIZED (SELECT id FROM north.trade.items ORDER BY id LIMIT 10 OFFSET 5), b AS MATERIALIZED (SELECT id FROM east.store.items ORDER BY id DESC LIMIT 50) SELECT a.id, b.id AS other FROM a JOIN b ON a.id = b.id
SELECT a.id, b.id AS other FROM (SELECT id FROM north.trade.items ORDER BY id LIMIT 10 OFFSET 5) a JOIN (SELECT id FROM east.store.items ORDER BY id DESC LIMIT 50) b ON a.id = b.id

-- name: filter_above_a_limit
SELECT id FROM (SELECT id, quantity FROM north.trade.orders ORDER BY id LIMIT 30 OFFSET 3) t WHERE quantity > 4

-- name: aggregate_above_a_limit
SELECT sum(price) AS total, count(*) AS n FROM (SELECT price FROM north.trade.orders ORDER BY price, id LIMIT 40 OFFSET 40) t

-- name: distinct_with_limit ordered
SELECT DISTINCT quantity FROM north.trade.orders ORDER BY quantity LIMIT 4 OFFSET 1

-- name: limit_of_a_union ordered
SELECT * FROM ((SELECT id FROM north.trade.orders ORDER BY id LIMIT 5) UNION ALL (SELECT id FROM east.store.items ORDER BY id DESC LIMIT 5)) t ORDER BY id

-- name: order_by_with_window_and_limit ordered
SELECT id, sum(quantity) OVER (ORDER BY id) AS running FROM north.trade.orders ORDER BY id LIMIT 10 OFFSET 100

-- name: offset_before_limit ordered
SELECT id FROM north.trade.items ORDER BY id DESC OFFSET 2 LIMIT 5
