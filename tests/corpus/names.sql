-- Names: duplicate, quoted, with dots, quotes, spaces, words of SQL, Chinese, differing in case alone.

-- name: every_odd_name
SELECT * FROM east.store."Odd ""Names"""

-- name: odd_names_in_every_clause ordered
SELECT "a""b", "Group By", sum("select") AS "order" FROM east.store."Odd ""Names""" WHERE "x.y" < 2 GROUP BY "a""b", "Group By" HAVING count(*) > 0 ORDER BY "a""b", "Group By"

-- name: odd_names_in_a_join
SELECT l."select", r."select", r."a""b" FROM east.store."Odd ""Names""" l JOIN east.store."Odd ""Names""" r ON l."select" = r."x.y"

-- name: odd_names_across_sites
SELECT o."count(*)", count(*) AS "count(*)2", i.name FROM east.store."Odd ""Names""" o JOIN north.trade.items i ON i.id = o."select" GROUP BY o."count(*)", i.name

-- name: a_name_like_our_own_columns
SELECT "c0_0", "c0_0" + 1 AS "c0_1", n0.id AS "n0" FROM east.store."Odd ""Names""" JOIN north.trade.items AS n0 ON n0.id = "c0_0"

-- name: a_name_with_a_tab_and_a_comment
SELECT max("tab	name; --") AS top FROM east.store."Odd ""Names""" WHERE "tab	name; --" > 3

-- name: names_that_differ_in_case_alone
SELECT "id", "ID", "Id" FROM east.store."Case" WHERE "ID" > 20 AND "Id" < 900
-- duckdb: SELECT id, ID_1, Id_2 FROM east.store."Case" WHERE ID_1 > 20 AND Id_2 < 900

-- name: names_that_differ_in_case_alone_grouped
SELECT "Id" % 3 AS k, sum("id") AS a, sum("ID") AS b FROM east.store."Case" GROUP BY "Id" % 3
-- duckdb: SELECT Id_2 % 3 AS k, sum(id) AS a, sum(ID_1) AS b FROM east.store."Case" GROUP BY Id_2 % 3

-- name: chinese_names
SELECT "城市", count(*) AS "人数", sum("收入") AS "总收入" FROM south.ledger."户口" WHERE "姓名" LIKE '王%' OR "收入" > 3000 GROUP BY "城市"

-- name: chinese_values
SELECT "编号", "姓名" || '·' || coalesce("城市", '无') AS "全名", length("姓名") AS n FROM south.ledger."户口" WHERE "城市" IN ('上海', '北京', '')

-- name: chinese_names_across_sites
SELECT h."姓名", o.price AS "价格" FROM south.ledger."户口" h JOIN north.trade.orders o ON o.id = h."编号"

-- name: the_same_column_twice
SELECT id, id AS id2, id + 0 AS "id + 0" FROM north.trade.items WHERE id < 4

-- name: the_same_name_from_two_tables
SELECT a.id, b.id, a.name, b.name FROM north.trade.items a JOIN south.ledger.customers b ON a.id = b.id

-- name: the_same_name_from_three_sites
SELECT a.id, b.id, c.id FROM north.trade.items a JOIN south.ledger.customers b ON a.id = b.id JOIN east.store.items c ON c.id = b.id WHERE c.flag

-- name: the_same_table_name_at_two_sites
SELECT n.id, n.category, e.stock, e.place FROM north.trade.items n JOIN east.store.items e ON n.id = e.id WHERE n.price > 20 AND e.stock > 1

-- name: all_columns_of_a_join
SELECT * FROM north.trade.items a JOIN south.ledger.customers b ON a.id = b.id WHERE a.id < 8

-- name: all_columns_of_one_side
SELECT b.* FROM north.trade.orders a JOIN south.ledger.customers b ON a.customer_id = b.id WHERE a.id < 8

-- name: alias_that_hides_a_column ordered
SELECT price AS id, id AS price FROM north.trade.items WHERE id < 9 ORDER BY price

-- name: alias_with_case_and_space ordered
SELECT id AS "Item Id", name AS "NAME" FROM north.trade.items ORDER BY "Item Id" LIMIT 5

-- name: table_alias_like_a_site ordered
SELECT south.id FROM north.trade.items AS south WHERE south.id < 5 ORDER BY south.id

-- name: columns_named_by_a_cte
WITH t (a, b) AS (SELECT id, name FROM north.trade.items WHERE id < 6) SELECT b, a FROM t

-- name: subquery_columns_with_equal_names_apart
SELECT x.n, y.n FROM (SELECT count(*) AS n FROM north.trade.orders) x CROSS JOIN (SELECT count(*) AS n FROM south.ledger.customers) y
