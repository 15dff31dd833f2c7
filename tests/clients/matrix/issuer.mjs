// An issuer of tokens that never runs: its keys, a token for `ana`, and one that only looks like it.
//
// usage: node issuer.mjs DIRECTORY      writes issuer.jwks.json, ana.jwt and forged.jwt there

import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const [directory] = process.argv.slice(2);
const [own, strangers] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(key) {
  const claims = {
    iss: "https://login.example",
    sub: "ana",
    aud: "chancery",
    exp: Math.floor(Date.now() / 1000) + 3600,
    roles: ["analyst"],
    purposes: ["research"],
    default_purpose: "research",
    attributes: { regions: ["north"] },
  };
  const signed = `${encoded({ alg: "EdDSA", typ: "JWT", kid: "one" })}.${encoded(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
}

const jwk = { ...own.publicKey.export({ format: "jwk" }), kid: "one" };
writeFileSync(join(directory, "issuer.jwks.json"), JSON.stringify({ keys: [jwk] }));
writeFileSync(join(directory, "ana.jwt"), token(own.privateKey));
writeFileSync(join(directory, "forged.jwt"), token(strangers.privateKey));
