-- NULLs everywhere and tables without rows.

-- name: three_valued_logic
SELECT id FROM north.trade.orders WHERE NOT (quantity > 3) OR NOT (status = 'paid')

-- name: null_comparisons
SELECT id FROM north.trade.orders WHERE quantity = NULL OR quantity <> NULL

-- name: is_null_in_every_place
SELECT note IS NULL AS no_note, quantity IS NULL AS no_quantity, count(*) AS n FROM north.trade.orders WHERE status IS NOT NULL GROUP BY note IS NULL, quantity IS NULL

-- name: rows_without_values
SELECT * FROM east.store.all_null

-- name: rows_without_values_filtered
SELECT count(*) AS n FROM east.store.all_null WHERE a > 1 OR a <= 1 OR b = '' OR NOT f

-- name: rows_without_values_kept
SELECT count(*) AS n FROM east.store.all_null WHERE a IS NULL AND b IS NULL AND c IS NULL AND (f IS NULL OR f)

-- name: rows_without_values_sorted ordered
SELECT a, b FROM east.store.all_null ORDER BY a DESC, b LIMIT 3

-- name: empty_table
SELECT * FROM north.trade.nothing

-- name: empty_table_with_expressions
SELECT id + 1 AS a, upper(label) AS b, amount * 2 AS c, day + INTERVAL '1' DAY AS d FROM north.trade.nothing WHERE amount > 0

-- name: filter_that_is_never_true
SELECT id, name FROM south.ledger.customers WHERE 1 = 2

-- name: filter_that_is_always_true
SELECT count(*) AS n FROM south.ledger.customers WHERE 1 = 1 OR name = 'x'

-- name: filter_that_finds_nothing
SELECT o.id, c.name FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id WHERE o.price < 0

-- name: outer_join_made_of_nulls
SELECT a.id, n.label, e.b FROM north.trade.items a LEFT JOIN north.trade.nothing n ON a.id = n.id LEFT JOIN east.store.all_null e ON e.id = a.id

-- name: coalesce_after_an_outer_join
SELECT i.id, coalesce(o.n, 0) AS n FROM north.trade.items i LEFT JOIN (SELECT item_id, count(*) AS n FROM north.trade.orders WHERE quantity = 8 GROUP BY item_id) o ON o.item_id = i.id

-- name: constant_after_an_outer_join
SELECT c.id, t.mark FROM south.ledger.customers c LEFT JOIN (SELECT customer_id, 'yes' AS mark FROM north.trade.orders WHERE price > 800) t ON t.customer_id = c.id

-- name: null_literal_columns
SELECT id, NULL AS nothing, CAST(NULL AS INT) AS no_integer FROM north.trade.items WHERE id < 3

-- name: no_table_at_all
SELECT 1 + 1 AS two, 'a' || 'b' AS ab

-- name: values_alone
VALUES (1, 'a'), (2, NULL)

-- name: constant_is_null_after_an_outer_join
SELECT c.id, t.mark FROM south.ledger.customers c LEFT JOIN (SELECT customer_id, 'yes' AS mark FROM north.trade.orders WHERE price > 800) t ON t.customer_id = c.id WHERE t.mark IS NULL

-- name: constant_is_null_after_an_outer_join_of_one_site
SELECT i.id, t.mark FROM north.trade.items i LEFT JOIN (SELECT item_id, 'yes' AS mark FROM north.trade.orders GROUP BY item_id HAVING count(*) > 4) t ON t.item_id = i.id WHERE t.mark IS NULL
