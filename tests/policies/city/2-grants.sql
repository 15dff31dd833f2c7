-- Who may ask for what, and for which purpose. Nothing else is granted.
GRANT SELECT ON SCHEMA civil TO ROLE analyst FOR PURPOSE epidemiology
  VALID FROM '2026-01-01' TO '2026-12-31' LIMIT ROWS 1000000 PER DAY
  WITH (id = 'civil-analysts', decision_ref = 'no. 17 of 2026');
GRANT SELECT ON TABLE civil.residents TO ORGANISATION health_office FOR PURPOSE research WITH (id = 'civil-health');
GRANT SELECT ON TABLE civil.residents TO ROLE clerk FOR PURPOSE payroll WITH (id = 'civil-clerks');
GRANT SELECT ON SCHEMA civil TO ROLE registrar FOR PURPOSE registration WITH (id = 'civil-registrars');
GRANT SELECT ON SCHEMA hr TO ROLE clerk, USER kim FOR PURPOSE payroll WITH (id = 'hr-payroll');
GRANT SELECT ON TABLE hr.salaries TO ROLE analyst FOR PURPOSE research WITH (id = 'hr-analysts');
GRANT SELECT ON TABLE land.parcels TO USER kim FOR PURPOSE research WITH (id = 'land-kim');
GRANT SELECT ON TABLE land.parcels TO ROLE broker FOR PURPOSE registration MODE OPERATED WITH (id = 'land-brokers');
GRANT SELECT ON SCHEMA open TO ALL MODE OPEN WITH (id = 'open-data');
