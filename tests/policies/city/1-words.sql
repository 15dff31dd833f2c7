-- What the city's policies speak of: purposes, tags, and how long all of it holds.
CREATE PURPOSE research COMMENT 'studies whose results are published';
CREATE PURPOSE epidemiology UNDER research COMMENT 'the course of diseases';
CREATE PURPOSE outbreak UNDER epidemiology COMMENT 'a disease that spreads now';
CREATE PURPOSE registration COMMENT 'keeping the registers';
CREATE PURPOSE payroll COMMENT 'paying those who work for the city';

CREATE TAG classification VALUES ('public', 'internal', 'personal');
ALTER TABLE civil.residents ALTER COLUMN id_no SET TAG classification = 'personal';
ALTER TABLE civil.residents ALTER COLUMN phone SET TAG classification = 'personal';
ALTER TABLE civil.residents ALTER COLUMN email SET TAG classification = 'internal';
ALTER TABLE hr.salaries SET TAG classification = 'internal';
ALTER TABLE hr.salaries ALTER COLUMN id_no SET TAG classification = 'personal';
ALTER TABLE land.parcels ALTER COLUMN owner_id_no SET TAG classification = 'personal';
ALTER TABLE land.parcels ALTER COLUMN value SET TAG classification = 'internal';

VALID UNTIL '2028-01-01';
