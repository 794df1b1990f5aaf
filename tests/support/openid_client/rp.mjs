// An independent relying party: npm openid-client, driven by JSON lines.
//
// One request a line on stdin: {"id", "command", ...}; one answer a line on stdout:
// {"id", "result"} or {"id", "error": {"code", "description", "status", "where"}}.
// `where` says who refused: "authorization" (the provider's redirect), "endpoint" (a JSON error of an endpoint),
// "challenge" (WWW-Authenticate), "client" (openid-client itself did not accept what it got).

import { createInterface } from "node:readline";
import * as oidc from "openid-client";

let config; // what `discover` made
let known = {}; // how this client authenticates, as `discover` was told
let bent = {}; // what one command bends of it, for negative cases

const importKey = (jwk, alg) =>
  crypto.subtle.importKey(
    "jwk",
    jwk,
    alg === "ES256" ? { name: "ECDSA", namedCurve: "P-256" } : { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    false,
    ["sign"],
  );

async function authentication(asked) {
  switch (asked.method) {
    case "private_key_jwt": {
      const key = await importKey(asked.private_jwk, asked.alg ?? "ES256");
      const bend = {
        [oidc.modifyAssertion](header, claims) {
          // The issuer as the only audience: what openid-client sends by default, said here to be bendable.
          Object.assign(header, bent.assertion_header ?? {});
          Object.assign(claims, bent.assertion ?? {});
          for (const name of Object.keys(claims)) if (claims[name] === null) delete claims[name];
        },
      };
      return oidc.PrivateKeyJwt({ key, kid: asked.private_jwk.kid }, bend);
    }
    case "client_secret_basic":
      return oidc.ClientSecretBasic(asked.client_secret);
    case "client_secret_post":
      return oidc.ClientSecretPost(asked.client_secret);
    case "none":
      return oidc.None();
    default:
      throw new TypeError(`unknown method ${asked.method}`);
  }
}

const tokens = (got) => ({ ...got, claims: got.claims?.() ?? null });

const commands = {
  async discover({ issuer, client_id, metadata = {}, clock_skew = 0, ...how }) {
    known = how;
    const usual = await authentication(how);
    let active = usual;
    const chosen = (...given) => active(...given);
    config = await oidc.discovery(new URL(issuer), client_id, { ...metadata, [oidc.clockSkew]: clock_skew }, chosen, {
      execute: issuer.startsWith("http://") ? [oidc.allowInsecureRequests] : [],
    });
    config.choose = async (instead) => {
      active = instead ? await authentication({ ...known, ...instead }) : usual;
    };
    oidc.enableNonRepudiationChecks(config); // verify ID token signatures, TLS or not
    return config.serverMetadata();
  },

  async authorization_url({ redirect_uri, scope = "openid", parameters = {}, pkce = true }) {
    const made = { state: oidc.randomState(), nonce: oidc.randomNonce(), code_verifier: oidc.randomPKCECodeVerifier() };
    const asked = { redirect_uri, scope, state: made.state, nonce: made.nonce };
    if (pkce) {
      asked.code_challenge = await oidc.calculatePKCECodeChallenge(made.code_verifier);
      asked.code_challenge_method = "S256";
    }
    for (const [name, value] of Object.entries(parameters)) {
      if (value === null) delete asked[name];
      else asked[name] = value;
    }
    return { ...made, url: oidc.buildAuthorizationUrl(config, asked).href };
  },

  async exchange({ url, form, state, nonce, code_verifier, max_age, parameters = {} }) {
    const answer =
      form === undefined
        ? new URL(url)
        : new Request(url, {
            method: "POST",
            body: form,
            headers: { "content-type": "application/x-www-form-urlencoded" },
          });
    const checks = { expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    if (code_verifier) checks.pkceCodeVerifier = code_verifier;
    if (max_age !== undefined) checks.maxAge = max_age;
    return tokens(await oidc.authorizationCodeGrant(config, answer, checks, parameters));
  },

  async refresh({ refresh_token, parameters = {} }) {
    return tokens(await oidc.refreshTokenGrant(config, refresh_token, parameters));
  },

  async client_credentials({ parameters = {} }) {
    return tokens(await oidc.clientCredentialsGrant(config, parameters));
  },

  async userinfo({ access_token, sub }) {
    return oidc.fetchUserInfo(config, access_token, sub ?? oidc.skipSubjectCheck);
  },

  async introspect({ token, parameters = {} }) {
    return oidc.tokenIntrospection(config, token, parameters);
  },

  async revoke({ token, parameters = {} }) {
    await oidc.tokenRevocation(config, token, parameters);
    return {};
  },

  async end_session_url({ parameters = {} }) {
    return { url: oidc.buildEndSessionUrl(config, parameters).href };
  },
};

function told(error) {
  const causes = [];
  for (let cause = error; cause instanceof Error; cause = cause.cause) causes.push(cause);
  const description = causes.map((cause) => cause.message).join(": ");
  if (error instanceof oidc.AuthorizationResponseError)
    return { code: error.error, description: error.error_description ?? "", status: null, where: "authorization" };
  if (error instanceof oidc.ResponseBodyError)
    return { code: error.error, description: error.error_description ?? "", status: error.status, where: "endpoint" };
  if (error instanceof oidc.WWWAuthenticateChallengeError) {
    const { parameters = {} } = error.cause[0] ?? {};
    const { error: code = "", error_description = "" } = parameters;
    return { code, description: error_description, status: error.response.status, where: "challenge" };
  }
  const status = error.cause instanceof Response ? error.cause.status : null;
  return { code: error.code ?? error.name, description, status, where: "client" };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, instead, assertion, assertion_header, ...given } = JSON.parse(line);
  let answer;
  try {
    if (command !== "discover" && config === undefined) throw new TypeError("discover first");
    bent = { assertion, assertion_header };
    await config?.choose?.(instead);
    answer = { id, result: await commands[command](given) };
  } catch (error) {
    answer = { id, error: told(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
