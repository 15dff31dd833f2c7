-- What a visitor sees: nothing, and of a table that is there what is said of one that is not.
-- tables:

-- name: no_flights refused
SELECT count(*) FROM bts.ontime.flights
-- expected
PURPOSE: …

-- name: no_weather refused
SELECT * FROM noaa.observations.weather LIMIT 1
-- expected
PURPOSE: …

-- name: a_purpose_is_not_for_the_asking refused
SET purpose = 'registration'
-- expected
PURPOSE: …

-- name: no_columns by-hand
SELECT DISTINCT table_catalog FROM system.information_schema.columns
-- expected
table_catalog
system
