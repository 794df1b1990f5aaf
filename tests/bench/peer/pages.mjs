// The pages of an interaction: password, one-time code where the request asks for it, consent.
import { verify } from '@node-rs/argon2';
import { Secret, TOTP } from 'otpauth';

const CLASS_PASSWORD = 'urn:motcua:acr:ial1.aal1';
const CLASS_TOTP = 'urn:motcua:acr:ial1.aal2';
const STEP_SECONDS = 30;
const INTERACTION_SECONDS = 600;

export const CLASSES = [CLASS_PASSWORD, CLASS_TOTP];

function page(response, status, title, body) {
  const document = `<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>${title}</title>`
    + `<meta name="viewport" content="width=device-width, initial-scale=1"></head><body><main><h1>${title}</h1>${body}</main></body></html>`;
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': Buffer.byteLength(document),
    'cache-control': 'no-store',
  });
  response.end(document);
}

const form = (fields) => `<form method="post" autocomplete="on">${fields}</form>`;
const PASSWORD_FORM = form('<label>Số định danh <input name="username" autocomplete="username"></label>'
  + '<label>Mật khẩu <input name="password" type="password" autocomplete="current-password"></label>'
  + '<button type="submit">Đăng nhập</button>');
const CODE_FORM = form('<label>Mã <input name="code" autocomplete="one-time-code" inputmode="numeric"></label>'
  + '<button type="submit">Tiếp tục</button>');
const CONSENT_FORM = form('<button type="submit" name="decision" value="allow">Đồng ý</button>'
  + '<button type="submit" name="decision" value="deny">Từ chối</button>');

async function readForm(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 8192) throw new Error('form too long');
  }
  return new URLSearchParams(text);
}

/** Handles `/interaction/:uid`, GET and POST, for one provider and one Redis connection. */
export function interactionPages(provider, redis) {
  const findAccount = async (username) => {
    const document = await redis.get(`account:${username}`);
    return document ? JSON.parse(document) : undefined;
  };

  /** The matched step is taken with SET NX, so that a code works once. */
  async function takeCode(account, code) {
    const totp = new TOTP({ secret: Secret.fromBase32(account.totp_secret), period: STEP_SECONDS });
    const delta = totp.validate({ token: code, window: 1 });
    if (delta === null) return false;
    const step = Math.floor(Date.now() / 1000 / STEP_SECONDS) + delta;
    return (await redis.set(`totp-step:${account.sub}:${step}`, '1', 'EX', 120, 'NX')) === 'OK';
  }

  async function signIn(request, response, interaction) {
    const waiting = `password-proved:${interaction.uid}`;
    const wanted = String(interaction.params.acr_values ?? '').split(' ').includes(CLASS_TOTP);
    const proved = wanted ? await redis.get(waiting) : null;
    if (request.method === 'GET') {
      page(response, 200, proved ? 'Nhập mã' : 'Đăng nhập', proved ? CODE_FORM : PASSWORD_FORM);
      return;
    }
    const fields = await readForm(request);
    if (proved) {
      const account = await findAccount(proved);
      if (!(await takeCode(account, fields.get('code') ?? ''))) {
        page(response, 400, 'Mã không đúng', CODE_FORM);
        return;
      }
      await redis.del(waiting);
      const login = { accountId: account.username, acr: CLASS_TOTP, amr: ['pwd', 'otp', 'mfa'] };
      await provider.interactionFinished(request, response, { login });
      return;
    }
    const account = await findAccount(fields.get('username') ?? '');
    if (!account || !(await verify(account.password_hash, fields.get('password') ?? ''))) {
      page(response, 400, 'Sai số định danh hoặc mật khẩu', PASSWORD_FORM);
      return;
    }
    if (wanted) {
      await redis.set(waiting, account.username, 'EX', INTERACTION_SECONDS);
      response.writeHead(303, { location: request.url, 'content-length': 0 });
      response.end();
      return;
    }
    const login = { accountId: account.username, acr: CLASS_PASSWORD, amr: ['pwd'] };
    await provider.interactionFinished(request, response, { login });
  }

  async function consent(request, response, interaction) {
    if (request.method === 'GET') {
      page(response, 200, 'Đồng ý chia sẻ', CONSENT_FORM);
      return;
    }
    const fields = await readForm(request);
    if (fields.get('decision') !== 'allow') {
      await provider.interactionFinished(request, response, { error: 'access_denied' });
      return;
    }
    const { accountId } = interaction.session;
    const clientId = interaction.params.client_id;
    const grant = interaction.grantId
      ? await provider.Grant.find(interaction.grantId)
      : new provider.Grant({ accountId, clientId });
    const { missingOIDCScope, missingOIDCClaims } = interaction.prompt.details;
    if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
    if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
    const grantId = await grant.save();
    await redis.set(`consent:${accountId}:${clientId}`, grantId);
    const merge = { mergeWithLastSubmission: true };
    await provider.interactionFinished(request, response, { consent: { grantId } }, merge);
  }

  return async (request, response) => {
    const interaction = await provider.interactionDetails(request, response);
    if (interaction.prompt.name === 'login') {
      await signIn(request, response, interaction);
    } else {
      await consent(request, response, interaction);
    }
  };
}

/** What was agreed to earlier is agreed to in a new session too. */
export function earlierConsent(redis) {
  return async (ctx) => {
    const { oidc } = ctx;
    const known = oidc.result?.consent?.grantId || oidc.session.grantIdFor(oidc.client.clientId)
      || (await redis.get(`consent:${oidc.session.accountId}:${oidc.client.clientId}`));
    return known ? oidc.provider.Grant.find(known) : undefined;
  };
}
