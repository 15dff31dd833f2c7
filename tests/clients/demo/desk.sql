-- What the desk of one station sees: its own flights, of models the beginning, of seats what larger groups have.
-- tables: bts.ontime.flights, bts.ontime.airlines, faa.registry.airports, faa.registry.planes, noaa.observations.weather

-- name: own_station ordered
SELECT origin, count(*) AS flights, count(DISTINCT tailnum) AS aircraft, min(tailnum) AS first_number
FROM bts.ontime.flights
GROUP BY origin
ORDER BY origin
-- expected
origin,flights,aircraft,first_number
JFK,111279,1957,D942DN

-- name: the_rest_is_clear ordered
SELECT a.name AS carrier, w.origin, count(*) AS flights, max(p.speed) AS speed
FROM bts.ontime.flights f
JOIN bts.ontime.airlines a ON a.carrier = f.carrier
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
JOIN faa.registry.airports d ON d.faa = f.dest
JOIN noaa.observations.weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE w.wind_speed > 30
GROUP BY a.name, w.origin
ORDER BY flights DESC, carrier
LIMIT 5
-- expected
carrier,origin,flights,speed
JetBlue Airways,JFK,172,\N
Delta Air Lines Inc.,JFK,84,\N
Endeavor Air Inc.,JFK,55,\N
American Airlines Inc.,JFK,24,\N
United Air Lines Inc.,JFK,21,\N

-- name: beginnings_of_models ordered
SELECT model, count(*) AS aircraft
FROM faa.registry.planes
GROUP BY model
ORDER BY aircraft DESC, model
LIMIT 10
-- expected
model,aircraft
737,1037
A32,509
CL-,377
757,308
EMB,219
A31,208
767,170
MD-,158
DC-,90
717,88

-- name: seats_of_larger_groups ordered by-hand
SELECT engine, count(*) AS aircraft, sum(seats) AS seats
FROM faa.registry.planes
GROUP BY engine
ORDER BY engine
-- expected
engine,aircraft,seats
Reciprocating,28,218
Turbo-fan,2750,412536
Turbo-jet,535,99817
Turbo-shaft,5,43

-- name: no_single_seat refused
SELECT seats FROM faa.registry.planes
-- expected
AGGREGATE: …

-- name: no_seats_by_aircraft refused
SELECT tailnum, sum(seats) FROM faa.registry.planes GROUP BY tailnum
-- expected
AGGREGATE: …

-- name: a_policy_is_written_at_its_site refused
GRANT SELECT ON TABLE ontime.flights TO ROLE desk FOR PURPOSE station_planning
-- expected
STATEMENT: a policy statement is said at the door of the site that owns the table, not at a coordinator: bts at grpc+tls://127.0.0.1:32011

-- name: masked_columns_are_marked by-hand ordered
SELECT table_catalog, table_name, column_name, form FROM system.information_schema.columns WHERE form IS NOT NULL
ORDER BY 1, 2, 3
-- expected
table_catalog,table_name,column_name,form
faa,planes,model,show_first(3)
faa,planes,seats,aggregate only

-- name: no_tpch refused
SELECT count(*) FROM sales.tpch.orders
-- expected
NOT_FOUND: there is no table `sales.tpch.orders`; tables are named site.source.table (list them with \dt or GetTables)
