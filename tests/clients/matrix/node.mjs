// The Node client of Flight SQL against a running federation: statements, listings, errors. It trusts only the authorities that
// it was built with, so that it comes to a door of the coordinator without TLS, on loopback.
//
// usage: node node.mjs HOST:PORT OUT      OUT: what each type of north.lab.types is shown as

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// Packages lie beside the build, in the directory where this is run.
const require = createRequire(pathToFileURL(process.cwd() + '/'));
const { createFlightSqlClient } = require('@lakehouse-rs/flight-sql-client');
const { tableFromIPC } = require('apache-arrow');

const [address, out] = process.argv.slice(2);
const [host, port] = address.split(':');
let failed = false;

async function check(name, body) {
  try {
    await body();
    console.log(`node: ${name}: ok`);
  } catch (error) {
    failed = true;
    console.log(`node: ${name}: FAILED: ${error.stack ?? error}`);
  }
}

function equal(expected, actual) {
  const [one, other] = [JSON.stringify(expected), JSON.stringify(actual)];
  if (one !== other) throw new Error(`expected ${one}, and it is ${other}`);
}

async function connect(user, password = user) {
  return createFlightSqlClient({ username: user, password, tls: false, host, port: Number(port), headers: [] });
}

function shown(value) {
  if (value === null || value === undefined) return 'NULL';
  if (value instanceof Uint8Array) return '0x' + Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (typeof value === 'object' && typeof value.toArray === 'function' && typeof value.toJSON === 'function') {
    return `[${[...value].map(shown).join(', ')}]`;
  }
  return String(value).replaceAll('\n', '\\n');
}

function cell(column, row) {
  try {
    return shown(column.get(row));
  } catch (error) {
    return `error: ${error.message}`;
  }
}

const client = await connect('analyst');
const ask = async (sql, of = client) => tableFromIPC(await of.query(sql));
const column = (table, name) => [...table.getChild(name)].map(shown);

await check('every type', async () => {
  const made = readFileSync(new URL('made_types.sql', import.meta.url), 'utf8');
  const lines = [];
  for (const sql of ['SELECT * FROM north.lab.types ORDER BY id', made]) {
    const table = await ask(sql);
    table.schema.fields.forEach((field, index) => {
      if (field.name === 'id' && lines.length > 0) return;
      const values = [0, 1, 2].map((row) => cell(table.getChildAt(index), row));
      lines.push([field.name, String(field.type), ...values].join('\t'));
    });
  }
  writeFileSync(out, lines.join('\n') + '\n');
});

await check('policy is in force', async () => {
  const table = await ask('SELECT phone, region FROM north.civil.people WHERE id_no = 1');
  equal([['01'], ['north']], [column(table, 'phone'), column(table, 'region')]);
});

await check('listings', async () => {
  const tables = tableFromIPC(await client.getTables({ tableNameFilterPattern: 'peo%', includeSchema: true }));
  equal(['north', 'south'], column(tables, 'catalog_name'));
  const schemas = tableFromIPC(await client.getDbSchemas({ catalog: 'north' }));
  equal(['civil', 'lab'], column(schemas, 'db_schema_name'));
});

await check('errors', async () => {
  for (const sql of ['SELECT * FROM north.civil.persons', 'DELETE FROM north.civil.people']) {
    const told = await ask(sql).then(() => null, (error) => error);
    if (!told) throw new Error(`${sql} is answered`);
  }
});

process.exit(failed ? 1 : 0);
