// The peer: oidc-provider in a cluster of two on Redis. `node server.mjs PLAN.json` prints one line of JSON when it serves.
// PLAN: {"port", "issuer", "redis_socket", "client", "accounts": [{"username", "password", "totp_secret", ...claims}]}
import cluster from 'node:cluster';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { hash } from '@node-rs/argon2';
import { Redis } from 'ioredis';

import { redisAdapter } from './adapter.mjs';
import { CLASSES, earlierConsent, interactionPages } from './pages.mjs';

const WORKERS = 2;
const PASSWORD_COST = { memoryCost: 19456, timeCost: 2, parallelism: 1 }; // argon2id is the binding's default
const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const connect = () => new Redis({ path: plan.redis_socket, enableAutoPipelining: true });

function makeSecrets() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = privateKey.export({ format: 'jwk' });
  return {
    jwks: { keys: [{ ...jwk, kid: 'bench-1', use: 'sig', alg: 'ES256' }] },
    cookieKeys: [randomBytes(32).toString('base64url')],
  };
}

async function importAccounts() {
  const redis = connect();
  for (const { password, ...account } of plan.accounts) {
    account.password_hash = await hash(password, PASSWORD_COST);
    await redis.set(`account:${account.username}`, JSON.stringify(account));
  }
  await redis.quit();
}

async function lead() {
  await importAccounts();
  const secrets = makeSecrets();
  const serving = Array.from({ length: WORKERS }, () => new Promise((resolve, reject) => {
    const worker = cluster.fork();
    worker.on('online', () => worker.send(secrets));
    worker.on('listening', resolve);
    worker.on('exit', (code) => reject(new Error(`a worker of the cluster ended with ${code}`)));
  }));
  await Promise.all(serving);
  process.stdout.write(`${JSON.stringify({ issuer: plan.issuer, workers: WORKERS })}\n`);
}

function configuration(redis, { jwks, cookieKeys }) {
  return {
    adapter: redisAdapter(redis),
    clients: [plan.client],
    jwks,
    cookies: { keys: cookieKeys },
    async findAccount(ctx, username) {
      const document = await redis.get(`account:${username}`);
      if (!document) return undefined;
      const account = JSON.parse(document);
      return {
        accountId: username,
        claims: () => {
          const { username: name, password_hash: hashed, totp_secret: secret, ...claims } = account;
          return claims;
        },
      };
    },
    loadExistingGrant: earlierConsent(redis),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    acrValues: CLASSES,
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      profile: plan.profile_claims,
      email: ['email', 'email_verified'],
      phone: ['phone_number', 'phone_number_verified'],
    },
    scopes: ['openid', 'offline_access'],
    responseTypes: ['code'],
    pkce: { required: () => true },
    rotateRefreshToken: () => true,
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['client_secret_basic'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    ttl: {
      AccessToken: 3600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 86400 * 14,
      IdToken: 3600, Interaction: 600, RefreshToken: 86400 * 14, Session: 86400,
    },
  };
}

async function serve(secrets) {
  const { Provider } = await import('oidc-provider');
  const redis = connect();
  const provider = new Provider(plan.issuer, configuration(redis, secrets));
  provider.on('server_error', (ctx, error) => { process.stderr.write(`${error.stack}\n`); });
  const protocol = provider.callback();
  const pages = interactionPages(provider, redis);
  const server = createServer((request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      protocol(request, response);
      return;
    }
    pages(request, response).catch((error) => {
      process.stderr.write(`${error.stack}\n`);
      response.writeHead(500, { 'content-length': 0 });
      response.end();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(plan.port, '127.0.0.1');
}

if (cluster.isPrimary) {
  lead().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
} else {
  process.once('message', serve);
}
