-- What the analyst sees beside the answers of ../demo.sql: numbers that nobody sees match, and speed is not there.
-- tables: bts.ontime.flights, bts.ontime.airlines, faa.registry.airports, faa.registry.planes, noaa.observations.weather
-- tables: sales.tpch.customer, sales.tpch.orders, logistics.tpch.lineitem, supply.tpch.part, supply.tpch.partsupp, supply.tpch.supplier, supply.tpch.nation, supply.tpch.region

-- name: no_speed ordered
SELECT engine, count(*) AS aircraft, count(speed) AS speeds, max(speed) AS speed
FROM faa.registry.planes
GROUP BY engine
ORDER BY engine
-- expected
engine,aircraft,speeds,speed
4 Cycle,2,0,\N
Reciprocating,28,0,\N
Turbo-fan,2750,0,\N
Turbo-jet,535,0,\N
Turbo-prop,2,0,\N
Turbo-shaft,5,0,\N

-- name: numbers_are_pseudonyms by-hand
SELECT count(*) AS aircraft, min(length(tailnum)) AS least, max(length(tailnum)) AS most,
       count(*) FILTER (WHERE tailnum LIKE 'N%' AND length(tailnum) < 8) AS numbers
FROM faa.registry.planes
-- expected
aircraft,least,most,numbers
3322,26,26,0

-- name: a_number_finds_nothing by-hand
SELECT count(*) AS flights FROM bts.ontime.flights WHERE tailnum = 'N0EGMQ'
-- expected
flights
0

-- name: masked_columns_are_marked by-hand ordered
SELECT table_catalog, table_name, column_name, form FROM system.information_schema.columns WHERE form IS NOT NULL
ORDER BY 1, 2, 3
-- expected
table_catalog,table_name,column_name,form
bts,flights,tailnum,pseudonym('aircraft')
faa,planes,speed,replace_with_null
faa,planes,tailnum,pseudonym('aircraft')

-- name: tpch_is_clear by-hand
SELECT count(*) AS lines, count(o.o_clerk) AS clerks, min(r.r_name) AS region
FROM logistics.tpch.lineitem l
JOIN sales.tpch.orders o ON o.o_orderkey = l.l_orderkey
JOIN supply.tpch.supplier s ON s.s_suppkey = l.l_suppkey
JOIN supply.tpch.nation n ON n.n_nationkey = s.s_nationkey
JOIN supply.tpch.region r ON r.r_regionkey = n.n_regionkey
-- expected
lines,clerks,region
60175,60175,AFRICA
