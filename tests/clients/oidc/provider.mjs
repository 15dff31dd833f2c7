// An OpenID Connect issuer on this machine: discovery, keys, and JWT access tokens of the client-credentials grant. It stands
// beside the packages of package.json; tests/all puts it there.
//
//   node provider.mjs PORT      prints `ready`; at SIGHUP it has other keys, the old ones are gone, and it prints `rotated`
//
// A client asks with the resource that its token is for; with the scope `rsa` the signature is RS256, else ES256.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;

// The claims of each client's tokens, under names as issuers have them that serve many applications.
const purposes = { 'https://login.example/purposes': ['care'], 'https://login.example/purpose': 'care' };
const claims = {
  ana: { realm_access: { roles: ['grp-17', 'admin'] }, ...purposes, tenant: 'health', area: ['sent'] },
  eve: { realm_access: { roles: ['grp-17'] }, ...purposes, tenant: 'elsewhere', area: ['sent'] },
};

function keys() {
  const pairs = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('rsa', { modulusLength: 2048 })];
  return pairs.map(({ privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' }));
}

function provider() {
  return new Provider(issuer, {
    jwks: { keys: keys() },
    scopes: ['rsa'],
    clients: Object.keys(claims).map((client_id) => ({
      client_id,
      client_secret: 'secret',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    })),
    extraTokenClaims: (context, token) => claims[token.clientId],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (context, resource) => ({
          scope: 'rsa',
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: context.oidc.params.scope === 'rsa' ? 'RS256' : 'ES256' } },
        }),
      },
    },
  });
}

let current = provider().callback();
process.on('SIGHUP', () => {
  current = provider().callback();
  console.log('rotated');
});
createServer((request, response) => current(request, response)).listen(port, '127.0.0.1', () => console.log('ready'));
