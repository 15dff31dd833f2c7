-- What the administrator of the agencies sees at the coordinator: no data, and where policy is written.
-- tables:

-- name: no_planes refused
SELECT count(*) FROM faa.registry.planes
-- expected
PURPOSE: …

-- name: policy_of_planes refused
CREATE POLICY more ON TABLE faa.registry.planes COLUMN MASK hide COLUMNS (model) TO ALL
-- expected
STATEMENT: a policy statement is said at the door of the site that owns the table, not at a coordinator: faa at grpc+tls://127.0.0.1:32012

-- name: policies_of_all refused
SHOW POLICIES
-- expected
STATEMENT: a policy statement is said at the door of the site that owns the table, not at a coordinator: bts at grpc+tls://127.0.0.1:32011, faa at grpc+tls://127.0.0.1:32012, noaa at grpc+tls://127.0.0.1:32013, sales at grpc+tls://127.0.0.1:32014, logistics at grpc+tls://127.0.0.1:32015, supply at grpc+tls://127.0.0.1:32016
