-- Salaries and land.
CREATE POLICY payees ON SCHEMA hr COLUMN MASK pseudonym('resident')
  MATCH COLUMNS has_tag('classification', 'personal') TO ALL EXCEPT ROLE clerk;
CREATE POLICY months ON TABLE hr.salaries COLUMN MASK truncate_to_month COLUMNS (since) TO ALL;
CREATE POLICY accounts ON TABLE hr.salaries COLUMN MASK mask_alphanum COLUMNS (iban) TO ALL EXCEPT ROLE clerk;
CREATE POLICY pay ON TABLE hr.salaries
  AGGREGATE ONLY (MIN GROUP 5 ENTITY id_no BOUNDS salary 0 TO 200000, bonus 0 TO 50000 GROUP BY (region, grade))
  COLUMNS (salary, bonus) TO ALL EXCEPT ROLE clerk, USER kim;
CREATE POLICY coarse_pay ON TABLE hr.salaries COLUMN MASK bucket(1000) COLUMNS (salary) TO USER kim;
CREATE POLICY owners ON TABLE land.parcels COLUMN MASK pseudonym('resident') COLUMNS (owner_id_no) TO ALL;
CREATE POLICY values_for_clerks ON TABLE land.parcels COLUMN MASK bucket(50000) COLUMNS (value) TO ROLE clerk;
-- Meets the one above for kim in the role of a clerk: then the column is hidden.
CREATE POLICY values_for_research ON SCHEMA land COLUMN MASK bucket(10000)
  MATCH COLUMNS has_tag('classification', 'internal') TO USER kim;
