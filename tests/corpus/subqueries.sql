-- Subqueries: IN, NOT IN with NULLs, EXISTS, scalar, correlated or not, in every clause; CTEs used once, twice and nested.

-- name: in_across_sites
SELECT id, name FROM south.ledger.customers WHERE id IN (SELECT customer_id FROM north.trade.orders WHERE price > 500)

-- name: in_with_filters_on_both_inputs
SELECT id, price FROM north.trade.orders WHERE status = 'paid' AND customer_id IN (SELECT id FROM south.ledger.customers WHERE active AND credit > 1000)

-- name: in_one_site
SELECT id FROM north.trade.items WHERE id IN (SELECT item_id FROM north.trade.orders WHERE quantity = 8)

-- name: not_in_where_the_list_has_nulls
SELECT id FROM south.ledger.customers WHERE id NOT IN (SELECT customer_id FROM north.trade.orders)

-- name: not_in_where_the_list_has_no_nulls
SELECT id FROM south.ledger.customers WHERE id NOT IN (SELECT customer_id FROM north.trade.orders WHERE customer_id IS NOT NULL AND quantity > 5)

-- name: not_in_where_the_left_has_nulls
SELECT id, customer_id FROM north.trade.orders WHERE customer_id NOT IN (SELECT id FROM south.ledger.customers WHERE id > 20)

-- name: not_in_an_empty_list
SELECT id, customer_id FROM north.trade.orders WHERE customer_id NOT IN (SELECT id FROM south.ledger.nothing)

-- name: not_in_one_site_with_nulls
SELECT id FROM south.ledger.customers WHERE parent_id NOT IN (SELECT id FROM south.ledger.customers WHERE city = 'Oslo')

-- name: not_in_with_filters_on_both_inputs
SELECT id FROM north.trade.orders WHERE status IS NOT NULL AND item_id NOT IN (SELECT id FROM north.trade.items WHERE category = 'tools')

-- name: not_in_all_nulls
SELECT id FROM north.trade.items WHERE id NOT IN (SELECT a FROM east.store.all_null)

-- name: not_in_correlated
SELECT c.id FROM south.ledger.customers c WHERE c.id NOT IN (SELECT p.order_id FROM south.ledger.payments p WHERE p.method = 'card' AND p.amount > c.credit)

-- name: in_or_something_else
SELECT id FROM north.trade.orders WHERE customer_id IN (SELECT id FROM south.ledger.customers WHERE city = 'Oslo') OR quantity = 8

-- name: not_in_or_something_else
-- duckdb differs: under OR, DataFusion 55 takes the IN of a NULL as false where it is unknown, so its NOT IN keeps those rows
SELECT id FROM north.trade.orders WHERE customer_id NOT IN (SELECT id FROM south.ledger.customers WHERE city = 'Oslo') OR quantity IS NULL

-- name: in_under_not
-- duckdb differs: under NOT, DataFusion 55 takes the IN of a NULL as false where it is unknown, and keeps that row
SELECT id FROM north.trade.orders WHERE NOT (customer_id IN (SELECT id FROM south.ledger.customers WHERE NOT active) AND price < 400)

-- name: in_of_a_computed_key
SELECT id FROM north.trade.orders WHERE quantity * 2 IN (SELECT id - 1 FROM south.ledger.customers WHERE id < 12)

-- name: exists_across_sites
SELECT c.id FROM south.ledger.customers c WHERE EXISTS (SELECT 1 FROM north.trade.orders o WHERE o.customer_id = c.id AND o.quantity > 7)

-- name: exists_with_filters_on_both_inputs
SELECT c.id, c.city FROM south.ledger.customers c WHERE c.active AND EXISTS (SELECT * FROM north.trade.orders o WHERE o.customer_id = c.id AND o.price > c.credit)

-- name: not_exists_with_filters_on_both_inputs
SELECT c.id, c.city FROM south.ledger.customers c WHERE c.city <> 'Oslo' AND NOT EXISTS (SELECT * FROM north.trade.orders o WHERE o.customer_id = c.id AND o.status = 'open')

-- name: exists_one_site
SELECT i.id FROM north.trade.items i WHERE EXISTS (SELECT 1 FROM north.trade.orders o WHERE o.item_id = i.id AND o.price > i.price * 5)

-- name: exists_not_correlated
SELECT id FROM north.trade.items WHERE EXISTS (SELECT 1 FROM south.ledger.customers WHERE credit > 13000) AND id < 5

-- name: not_exists_of_an_empty_table
SELECT id FROM north.trade.items WHERE NOT EXISTS (SELECT 1 FROM south.ledger.nothing) AND id < 5

-- name: exists_or_exists
SELECT c.id FROM south.ledger.customers c WHERE EXISTS (SELECT 1 FROM north.trade.orders o WHERE o.customer_id = c.id AND o.status = 'open') OR EXISTS (SELECT 1 FROM south.ledger.payments p WHERE p.order_id = c.id AND p.method = 'wire')

-- name: exists_in_exists
SELECT c.id FROM south.ledger.customers c WHERE EXISTS (SELECT 1 FROM north.trade.orders o WHERE o.customer_id = c.id AND NOT EXISTS (SELECT 1 FROM south.ledger.payments p WHERE p.order_id = o.id))

-- name: scalar_not_correlated
SELECT id, price FROM north.trade.orders WHERE price > (SELECT avg(credit) / 10 FROM south.ledger.customers)

-- name: scalar_in_the_select_list
SELECT id, (SELECT max(amount) FROM south.ledger.payments) AS largest FROM north.trade.items WHERE id < 4

-- name: scalar_correlated_across_sites
SELECT c.id, (SELECT sum(o.price) FROM north.trade.orders o WHERE o.customer_id = c.id) AS total FROM south.ledger.customers c

-- name: scalar_correlated_count_is_never_null
SELECT c.id, (SELECT count(*) FROM north.trade.orders o WHERE o.customer_id = c.id AND o.quantity > 6) AS n FROM south.ledger.customers c

-- name: scalar_correlated_in_where
SELECT o.id, o.price FROM north.trade.orders o WHERE o.price > (SELECT avg(p.price) FROM north.trade.orders p WHERE p.customer_id = o.customer_id)

-- name: scalar_correlated_in_having
SELECT o.customer_id, sum(o.price) AS total FROM north.trade.orders o GROUP BY o.customer_id HAVING sum(o.price) > (SELECT min(c.credit) FROM south.ledger.customers c WHERE c.id = o.customer_id)

-- name: scalar_over_an_empty_table
SELECT id, (SELECT sum(amount) FROM north.trade.nothing) AS nothing, (SELECT count(*) FROM south.ledger.nothing) AS none FROM north.trade.items WHERE id = 1

-- name: scalar_in_case
SELECT c.id, CASE WHEN c.credit > (SELECT avg(credit) FROM south.ledger.customers) THEN 'high' ELSE 'low' END AS class FROM south.ledger.customers c

-- name: subquery_in_from_of_a_subquery
SELECT t.city, t.n FROM (SELECT city, count(*) AS n FROM (SELECT * FROM south.ledger.customers WHERE active) a GROUP BY city) t WHERE t.n > 1

-- name: cte_used_once
WITH rich AS (SELECT id, name FROM south.ledger.customers WHERE credit > 5000) SELECT o.id, r.name FROM north.trade.orders o JOIN rich r ON r.id = o.customer_id

-- name: cte_used_twice
WITH totals AS (SELECT customer_id, sum(price) AS total FROM north.trade.orders GROUP BY customer_id) SELECT a.customer_id, a.total FROM totals a WHERE a.total > (SELECT avg(total) FROM totals)

-- name: cte_used_twice_in_a_join
WITH t AS (SELECT customer_id, quantity, count(*) AS n FROM north.trade.orders GROUP BY customer_id, quantity) SELECT a.customer_id, a.n, b.n AS m FROM t a JOIN t b ON a.customer_id = b.customer_id AND a.quantity = 1 AND b.quantity = 2

-- name: cte_of_two_sites_used_twice
WITH j AS (SELECT o.id, o.price, c.city, c.id AS customer FROM north.trade.orders o JOIN south.ledger.customers c ON o.customer_id = c.id) SELECT x.city, count(*) AS n, (SELECT count(*) FROM j) AS everything FROM j x JOIN j y ON x.customer = y.customer AND x.id < y.id GROUP BY x.city

-- name: cte_over_cte
WITH a AS (SELECT id, credit FROM south.ledger.customers WHERE credit IS NOT NULL), b AS (SELECT id, credit * 2 AS twice FROM a WHERE id < 30), c AS (SELECT b.id, b.twice, a.credit FROM a JOIN b ON a.id = b.id) SELECT * FROM c WHERE twice > 3000

-- name: cte_that_hides_a_name
WITH orders AS (SELECT 1 AS id), items AS (SELECT id FROM north.trade.items WHERE id < 3) SELECT o.id, i.id AS item FROM orders o, items i

-- name: equal_to_any
-- duckdb differs: DataFusion 55 keeps the rows whose own value is NULL, for which = ANY is unknown
SELECT id FROM north.trade.items WHERE price = ANY (SELECT price FROM north.trade.items WHERE id > 30)

-- name: in_of_two_columns_by_exists
SELECT a.id FROM north.trade.items a WHERE EXISTS (SELECT 1 FROM east.store.items b WHERE b.id = a.id AND b.stock = a.id % 14)

-- name: limit_inside_a_subquery
SELECT count(*) AS n, sum(id) AS total FROM (SELECT id FROM north.trade.orders ORDER BY id DESC LIMIT 7) t

-- name: top_per_group_by_a_window
SELECT customer_id, id, price FROM (SELECT customer_id, id, price, row_number() OVER (PARTITION BY customer_id ORDER BY price DESC, id) AS place FROM north.trade.orders) t WHERE place = 1
