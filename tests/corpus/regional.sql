-- The regional table national.civil.people: filters on the region, pushed filters, partial aggregates, limits, joins.

-- name: everything
SELECT * FROM national.civil.people

-- name: one_region
SELECT id, name FROM national.civil.people WHERE region = 'south'

-- name: two_regions
SELECT region, count(*) AS n FROM national.civil.people WHERE region IN ('north', 'east') GROUP BY region

-- name: all_but_one_region
SELECT count(*) AS n, sum(income) AS total FROM national.civil.people WHERE region <> 'north'

-- name: no_such_region
SELECT id FROM national.civil.people WHERE region = 'west'

-- name: region_by_pattern
SELECT count(*) AS n FROM national.civil.people WHERE region LIKE '%th' AND age > 40

-- name: region_or_another_column
SELECT id, region FROM national.civil.people WHERE region = 'east' OR income > 70000

-- name: count_without_columns
SELECT count(*) AS n FROM national.civil.people

-- name: global_aggregates
SELECT count(*) AS n, count(income) AS incomes, sum(income) AS total, avg(income) AS mean, min(born) AS oldest, max(age) AS age, count(DISTINCT name) AS names FROM national.civil.people

-- name: grouped_by_region ordered
SELECT region, count(*) AS n, sum(income) AS total, avg(age) AS mean FROM national.civil.people GROUP BY region ORDER BY region

-- name: grouped_by_age
SELECT age, count(*) AS n, max(income) AS top FROM national.civil.people WHERE age BETWEEN 30 AND 50 GROUP BY age

-- name: grouped_by_an_expression
SELECT age / 10 * 10 AS decade, region, sum(income) AS total FROM national.civil.people GROUP BY age / 10 * 10, region HAVING count(*) > 2

-- name: standard_deviation_over_regions
SELECT stddev(age) AS s, var_pop(age) AS v, avg(CAST(income AS DOUBLE)) AS m FROM national.civil.people

-- name: filtered_and_distinct_aggregates
SELECT count(*) FILTER (WHERE region = 'north') AS n, sum(DISTINCT age) AS ages, count(DISTINCT region) AS regions FROM national.civil.people

-- name: top_over_regions ordered
SELECT id, name, income, region FROM national.civil.people WHERE income IS NOT NULL ORDER BY income DESC, id, region LIMIT 10

-- name: top_with_offset_over_regions ordered
SELECT id, region FROM national.civil.people ORDER BY id DESC, region LIMIT 20 OFFSET 15

-- name: top_by_region_first ordered
SELECT region, id FROM national.civil.people ORDER BY region DESC, id LIMIT 6

-- name: top_by_region_last ordered
SELECT id, region, age FROM national.civil.people ORDER BY age DESC NULLS LAST, region, id LIMIT 12 OFFSET 2

-- name: limit_over_regions rows only
SELECT id FROM national.civil.people LIMIT 90

-- name: limit_with_offset_over_regions rows only
SELECT id FROM national.civil.people LIMIT 10 OFFSET 200

-- name: distinct_over_regions
SELECT DISTINCT name FROM national.civil.people

-- name: persons_in_two_regions
SELECT a.id, a.region, b.region AS other FROM national.civil.people a JOIN national.civil.people b ON a.id = b.id AND a.region < b.region

-- name: region_joined_with_its_own_site
SELECT p.id, p.region, c.city FROM national.civil.people p JOIN south.ledger.customers c ON p.id = c.id WHERE p.age > 30

-- name: regional_table_on_the_right_of_a_left_join
SELECT c.id, p.name, p.region FROM south.ledger.customers c LEFT JOIN national.civil.people p ON p.id = c.id AND p.region = 'north' AND p.income > 20000

-- name: regional_table_in_not_in
SELECT id FROM south.ledger.customers WHERE id NOT IN (SELECT age FROM national.civil.people WHERE age IS NOT NULL AND region = 'south')

-- name: regional_table_in_exists
SELECT o.id FROM north.trade.orders o WHERE EXISTS (SELECT 1 FROM national.civil.people p WHERE p.id = o.customer_id AND p.age > 60)

-- name: window_over_regions
SELECT id, region, rank() OVER (PARTITION BY region ORDER BY income DESC NULLS LAST) AS place FROM national.civil.people

-- name: regional_table_in_a_cte_used_twice
WITH adults AS (SELECT id, region, income FROM national.civil.people WHERE age >= 40) SELECT a.region, count(*) AS n FROM adults a WHERE a.income > (SELECT avg(income) FROM adults) GROUP BY a.region

-- name: union_with_a_regional_table
SELECT id, region FROM national.civil.people WHERE age = 40 UNION ALL SELECT id, city FROM south.ledger.customers WHERE id < 10

-- name: grouping_sets_over_regions
SELECT region, age, count(*) AS n FROM national.civil.people WHERE age > 60 GROUP BY GROUPING SETS ((region, age), (region), ())

-- name: region_in_an_expression
SELECT upper(region) || '-' || CAST(id AS VARCHAR) AS code FROM national.civil.people WHERE id < 5 OR region = 'east'

-- name: one_region_as_a_site_table
SELECT p.id, q.region FROM east.civil.people p JOIN national.civil.people q ON p.id = q.id

-- name: constant_is_null_beside_a_regional_table
SELECT t.mark, p.id FROM (SELECT 'a' AS mark, CAST(customer_id AS BIGINT) AS customer FROM north.trade.orders GROUP BY GROUPING SETS ((customer_id), ())) t RIGHT JOIN national.civil.people p ON t.customer = p.id WHERE t.mark IS NULL
