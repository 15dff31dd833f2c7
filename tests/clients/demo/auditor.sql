-- What the auditor sees: what left, to whom and in which form, once the others have asked; and no data.
-- tables:

-- name: no_flights refused
SELECT count(*) FROM bts.ontime.flights
-- expected
PURPOSE: …

-- name: who_saw_what by-hand ordered
SELECT DISTINCT subject, purpose, site, "table", "column", form
FROM system.audit.disclosures
WHERE form <> 'clear'
ORDER BY 1, 2, 3, 4, 5, 6
-- expected
subject,purpose,site,table,column,form
analyst,safety_analysis,bts,ontime.flights,tailnum,pseudonym('aircraft')
analyst,safety_analysis,faa,registry.planes,speed,replace_with_null
analyst,safety_analysis,faa,registry.planes,tailnum,pseudonym('aircraft')
desk,station_planning,faa,registry.planes,model,show_first(3)
desk,station_planning,faa,registry.planes,seats,aggregate only

-- name: nobody_else by-hand ordered
SELECT DISTINCT subject, destination
FROM system.audit.disclosures
ORDER BY 1, 2
-- expected
subject,destination
analyst,analyst through coordinator
desk,desk through coordinator
registrar,registrar through coordinator
