-- Set operations, at one site and across sites, with NULLs, duplicates and differing types.

-- name: union_all_across_sites
SELECT id, name FROM north.trade.items UNION ALL SELECT id, name FROM south.ledger.customers

-- name: union_all_one_site
SELECT id, status AS word FROM north.trade.orders WHERE quantity = 1 UNION ALL SELECT id, category FROM north.trade.items

-- name: union_distinct_across_sites
SELECT city FROM south.ledger.customers UNION SELECT "城市" FROM south.ledger."户口" UNION SELECT category FROM north.trade.items

-- name: union_of_different_types
SELECT id, price AS amount FROM north.trade.items UNION ALL SELECT id, amount FROM south.ledger.payments WHERE id < 20 UNION ALL SELECT stock, middle FROM east.store.items WHERE id < 5

-- name: union_all_sorted_and_cut ordered
SELECT id, 'o' AS kind FROM north.trade.orders UNION ALL SELECT id, 'i' FROM north.trade.items ORDER BY id DESC, kind LIMIT 20 OFFSET 150

-- name: union_all_aggregated
SELECT kind, count(*) AS n, sum(price) AS total FROM (SELECT 'order' AS kind, price FROM north.trade.orders UNION ALL SELECT 'item', price FROM north.trade.items UNION ALL SELECT 'payment', amount FROM south.ledger.payments) t GROUP BY kind

-- name: union_all_filtered_from_outside
SELECT id, price FROM (SELECT id, price FROM north.trade.orders UNION ALL SELECT id, price FROM north.trade.items) t WHERE id < 10 AND price > 50

-- name: union_with_constants_and_an_empty_arm
SELECT id, 'a' AS arm FROM north.trade.nothing UNION ALL SELECT id, 'b' FROM south.ledger.nothing UNION ALL SELECT 1, 'c'

-- name: intersect_across_sites
SELECT id FROM north.trade.items INTERSECT SELECT id FROM south.ledger.customers

-- name: intersect_all
SELECT quantity FROM north.trade.orders INTERSECT ALL SELECT quantity + 1 FROM north.trade.orders WHERE id < 50
-- duckdb differs: DataFusion 55 answers INTERSECT ALL with a semi join, which keeps the multiplicity of the left side instead of the smaller one

-- name: except_across_sites
SELECT customer_id FROM north.trade.orders EXCEPT SELECT id FROM south.ledger.customers WHERE active

-- name: except_one_site
SELECT id FROM north.trade.items EXCEPT SELECT item_id FROM north.trade.orders WHERE status = 'open'

-- name: except_all
SELECT quantity FROM north.trade.orders EXCEPT ALL SELECT quantity FROM north.trade.orders WHERE id < 50
-- duckdb differs: DataFusion 55 answers EXCEPT ALL with an anti join, which drops every row with a partner instead of one for each

-- name: set_operations_treat_nulls_as_equal
SELECT status, note FROM north.trade.orders WHERE id < 100 INTERSECT SELECT status, note FROM north.trade.orders WHERE id >= 100

-- name: except_of_rows_without_values
SELECT a, b FROM east.store.all_null EXCEPT SELECT CAST(NULL AS INT), NULL

-- name: set_operation_in_a_subquery
SELECT id, name FROM south.ledger.customers WHERE id IN (SELECT customer_id FROM north.trade.orders WHERE quantity = 2 EXCEPT SELECT customer_id FROM north.trade.orders WHERE quantity = 3)

-- name: nested_set_operations
(SELECT id FROM north.trade.items UNION SELECT id FROM east.store.items) EXCEPT (SELECT id FROM south.ledger.customers INTERSECT SELECT item_id FROM north.trade.orders)

-- name: union_by_join_of_unions
SELECT a.id, b.city FROM (SELECT id FROM north.trade.items UNION ALL SELECT id FROM east.store.items) a JOIN (SELECT id, city FROM south.ledger.customers UNION ALL SELECT "编号", "城市" FROM south.ledger."户口") b ON a.id = b.id
