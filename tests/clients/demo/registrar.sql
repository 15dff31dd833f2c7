-- What the registrar sees: everything in the clear.
-- tables: bts.ontime.flights, bts.ontime.airlines, faa.registry.airports, faa.registry.planes, noaa.observations.weather
-- tables: sales.tpch.customer, sales.tpch.orders, logistics.tpch.lineitem, supply.tpch.part, supply.tpch.partsupp, supply.tpch.supplier, supply.tpch.nation, supply.tpch.region

-- name: all_stations ordered
SELECT origin, count(*) AS flights, count(DISTINCT tailnum) AS aircraft, min(tailnum) AS first_number
FROM bts.ontime.flights
GROUP BY origin
ORDER BY origin
-- expected
origin,flights,aircraft,first_number
EWR,120835,3040,N0EGMQ
JFK,111279,1957,D942DN
LGA,104662,2944,D942DN

-- name: all_engines ordered
SELECT engine, count(*) AS aircraft, sum(seats) AS seats, min(model) AS model, max(speed) AS speed
FROM faa.registry.planes
GROUP BY engine
ORDER BY engine
-- expected
engine,aircraft,seats,model,speed
4 Cycle,2,6,172M,108
Reciprocating,28,218,150,232
Turbo-fan,2750,412536,550,\N
Turbo-jet,535,99817,737-317,432
Turbo-prop,2,19,65-A90,202
Turbo-shaft,5,43,206B,112

-- name: one_aircraft
SELECT tailnum, model, seats, speed FROM faa.registry.planes WHERE tailnum = 'N381AA'
-- expected
tailnum,model,seats,speed
N381AA,DC-7BF,102,232

-- name: no_column_is_marked by-hand
SELECT column_name FROM system.information_schema.columns WHERE form IS NOT NULL
-- expected
column_name

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
