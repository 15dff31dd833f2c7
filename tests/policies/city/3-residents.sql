-- Residents: identifiers as pseudonyms to all who do not keep the register, everybody's own regions, and nobody's religion.
CREATE POLICY persons ON SCHEMA civil COLUMN MASK pseudonym('resident')
  MATCH COLUMNS has_tag('classification', 'personal') TO ALL EXCEPT ROLE registrar;
CREATE POLICY initials ON TABLE civil.residents COLUMN MASK show_first(1) COLUMNS (name)
  TO ALL EXCEPT ROLE registrar, USER kim;
CREATE POLICY name_ends ON TABLE civil.residents COLUMN MASK show_last(2) COLUMNS (name) TO USER kim;
CREATE POLICY birth_year ON TABLE civil.residents COLUMN MASK truncate_to_year COLUMNS (birth_date)
  TO ALL FOR PURPOSE research;
CREATE POLICY faith ON TABLE civil.residents COLUMN MASK hide COLUMNS (religion) TO ALL EXCEPT ROLE registrar;
CREATE POLICY phones ON TABLE civil.residents COLUMN MASK replace_with_null COLUMNS (phone) TO ROLE analyst;
CREATE POLICY notes ON TABLE civil.residents COLUMN MASK fixed('withheld') COLUMNS (note) TO ALL EXCEPT ROLE registrar;
CREATE POLICY districts ON TABLE civil.residents
  COLUMN MASK generalise('north' => 'upper town', 'east' => 'upper town', ELSE 'lower town') COLUMNS (region)
  TO ORGANISATION health_office;
CREATE POLICY incomes ON TABLE civil.residents
  AGGREGATE ONLY (MIN GROUP 10 ENTITY id_no BOUNDS income 0 TO 200000 GROUP BY (region)) COLUMNS (income)
  TO ALL EXCEPT ROLE registrar;
CREATE POLICY own_regions ON TABLE civil.residents ROW FILTER (region IN attribute('regions'))
  TO ROLE analyst EXCEPT ROLE registrar, ORGANISATION health_office;
CREATE POLICY the_living ON TABLE civil.residents ROW FILTER (deceased = FALSE) TO ALL EXCEPT ROLE registrar;
CREATE POLICY own_households ON TABLE civil.households ROW FILTER (region IN attribute('regions')) TO ROLE analyst;
ALTER TABLE civil.residents ACCEPT COLUMN email;
