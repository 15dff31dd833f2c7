-- What a Python client asks the running demo as the analyst. The expected rows are DuckDB's over the data as they are, without any
-- policy: expect_demo.py writes them.
-- tables: bts.ontime.flights, bts.ontime.airlines, faa.registry.airports, faa.registry.planes, noaa.observations.weather
-- tables: sales.tpch.customer, sales.tpch.orders, logistics.tpch.lineitem, supply.tpch.part, supply.tpch.partsupp, supply.tpch.supplier, supply.tpch.nation, supply.tpch.region

-- name: one_site ordered
SELECT carrier, count(*) AS flights, sum(distance) AS miles
FROM bts.ontime.flights
GROUP BY carrier
ORDER BY carrier
-- expected
carrier,flights,miles
9E,18460,9788152
AA,32729,43864584
AS,714,1715028
B6,54635,58384137
DL,48110,59507317
EV,54173,30498951
F9,685,1109700
FL,3260,2167344
HA,342,1704186
MQ,26397,15033955
OO,32,16026
UA,58665,89705524
US,20536,11365778
VX,5162,12902327
WN,12275,12229203
YV,601,225395

-- name: poor_visibility ordered
SELECT a.name AS carrier, count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay_min
FROM bts.ontime.flights f
JOIN bts.ontime.airlines a ON a.carrier = f.carrier
JOIN noaa.observations.weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE w.visib < 2
GROUP BY a.name
HAVING count(*) >= 100
ORDER BY mean_delay_min DESC, carrier
-- expected
carrier,flights,mean_delay_min
Endeavor Air Inc.,483,58.7
ExpressJet Airlines Inc.,1084,50.7
Southwest Airlines Co.,230,34.3
Envoy Air,514,30.5
JetBlue Airways,1510,30.5
American Airlines Inc.,748,23.8
Virgin America,133,23.7
Delta Air Lines Inc.,1102,23.6
United Air Lines Inc.,1180,19.0
US Airways Inc.,416,13.6

-- name: manufacturers ordered
SELECT p.manufacturer, count(DISTINCT p.tailnum) AS aircraft, count(*) AS flights, sum(f.air_time) AS minutes
FROM bts.ontime.flights f
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
GROUP BY p.manufacturer
ORDER BY flights DESC, p.manufacturer
LIMIT 8
-- expected
manufacturer,aircraft,flights,minutes
BOEING,1630,82912,17767056
EMBRAER,299,66068,5392697
AIRBUS,336,47302,9239577
AIRBUS INDUSTRIE,400,40891,5786495
BOMBARDIER INC,368,28272,2341640
MCDONNELL DOUGLAS AIRCRAFT CO,103,8932,1172515
MCDONNELL DOUGLAS,120,3998,552134
CANADAIR,9,1594,72125

-- name: an_hour_late ordered
SELECT ap.name AS destination, count(*) AS flights, count(*) FILTER (WHERE f.arr_delay > 60) AS late
FROM bts.ontime.flights f
JOIN faa.registry.airports ap ON ap.faa = f.dest
WHERE f.arr_delay IS NOT NULL
GROUP BY ap.name
HAVING count(*) > 1000
ORDER BY late DESC, destination
LIMIT 10
-- expected
destination,flights,late
Chicago Ohare Intl,16566,1537
Hartsfield Jackson Atlanta Intl,16837,1433
General Edward Lawrence Logan Intl,15022,1051
San Francisco Intl,13173,1037
Orlando Intl,13967,1008
Fort Lauderdale Hollywood Intl,11897,989
Charlotte Douglas Intl,13674,979
Los Angeles Intl,16026,961
Ronald Reagan Washington Natl,9111,809
Raleigh Durham Intl,7770,739

-- name: old_aircraft_in_strong_wind ordered
SELECT CASE WHEN p.year < 1995 THEN 'built before 1995' ELSE 'built since 1995' END AS aircraft,
       CASE WHEN w.wind_speed > 20 THEN 'strong wind' ELSE 'calm' END AS weather,
       count(*) AS flights, avg(f.dep_delay) AS mean_delay_min
FROM bts.ontime.flights f
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
JOIN noaa.observations.weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE p.year IS NOT NULL AND w.wind_speed IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2
-- expected
aircraft,weather,flights,mean_delay_min
built before 1995,calm,37526,10.788760783681367
built before 1995,strong wind,2538,13.557856272838002
built since 1995,calm,222989,13.251029387008566
built since 1995,strong wind,14427,18.26251701167538

-- name: not_in_the_registry ordered
SELECT a.name AS carrier, count(*) AS flights, count(DISTINCT f.tailnum) AS aircraft
FROM bts.ontime.flights f
JOIN bts.ontime.airlines a ON a.carrier = f.carrier
WHERE f.tailnum IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM faa.registry.planes p WHERE p.tailnum = f.tailnum)
GROUP BY a.name
ORDER BY flights DESC, carrier
-- expected
carrier,flights,aircraft
Envoy Air,25395,233
American Airlines Inc.,22474,429
United Air Lines Inc.,1007,22
JetBlue Airways,830,3
AirTran Airways Corporation,187,12
Delta Air Lines Inc.,110,10
Frontier Airlines Inc.,47,2
US Airways Inc.,36,8
Southwest Airlines Co.,8,2

-- name: airlines_without_a_flight_to_seattle
SELECT a.carrier, a.name
FROM bts.ontime.airlines a
WHERE a.carrier NOT IN (SELECT carrier FROM bts.ontime.flights WHERE dest = 'SEA')
-- expected
carrier,name
9E,Endeavor Air Inc.
EV,ExpressJet Airlines Inc.
F9,Frontier Airlines Inc.
FL,AirTran Airways Corporation
HA,Hawaiian Airlines Inc.
MQ,Envoy Air
OO,SkyWest Airlines Inc.
US,US Airways Inc.
VX,Virgin America
WN,Southwest Airlines Co.
YV,Mesa Airlines Inc.

-- name: nobody
SELECT f.flight, p.model
FROM bts.ontime.flights f
JOIN faa.registry.planes p ON p.tailnum = f.tailnum
WHERE f.distance < 0
-- expected
flight,model
