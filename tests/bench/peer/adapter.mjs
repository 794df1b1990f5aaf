// Keeps oidc-provider's models in Redis: JSON documents, hashes for what is consumed once, a set for each grant.
const CONSUMED_ONCE = new Set(['AuthorizationCode', 'RefreshToken', 'DeviceCode', 'PushedAuthorizationRequest']);
const DIES_WITH_GRANT = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode']);

const seconds = () => Math.floor(Date.now() / 1000);

/** A factory of adapters on one Redis connection; commands of one tick travel together (auto-pipelining). */
export function redisAdapter(redis) {
  return class RedisAdapter {
    constructor(model) {
      this.prefix = `${model}:`;
      this.once = CONSUMED_ONCE.has(model);
      this.grantable = DIES_WITH_GRANT.has(model);
      this.session = model === 'Session';
    }

    async upsert(id, payload, expiresIn) {
      const key = this.prefix + id;
      const document = JSON.stringify(payload);
      const step = redis.multi();
      if (this.once) {
        step.hset(key, 'payload', document);
        if (expiresIn) step.expire(key, expiresIn);
      } else if (expiresIn) {
        step.set(key, document, 'EX', expiresIn);
      } else {
        step.set(key, document);
      }
      if (this.grantable && payload.grantId) {
        const members = `grant-members:${payload.grantId}`;
        step.sadd(members, key);
        if (expiresIn) {
          // A set lives as long as its longest member: first an age where it has none, then only a longer one.
          step.expire(members, expiresIn, 'NX');
          step.expire(members, expiresIn, 'GT');
        }
      }
      if (this.session) {
        step.set(`session-uid:${payload.uid}`, id, 'EX', expiresIn);
      }
      await step.exec();
    }

    async find(id) {
      const key = this.prefix + id;
      if (!this.once) {
        const document = await redis.get(key);
        return document ? JSON.parse(document) : undefined;
      }
      const [document, consumed] = await redis.hmget(key, 'payload', 'consumed');
      if (!document) return undefined;
      const payload = JSON.parse(document);
      if (consumed) payload.consumed = Number(consumed);
      return payload;
    }

    async findByUid(uid) {
      const id = await redis.get(`session-uid:${uid}`);
      return id ? this.find(id) : undefined;
    }

    async consume(id) {
      await redis.hset(this.prefix + id, 'consumed', seconds());
    }

    async destroy(id) {
      await redis.del(this.prefix + id);
    }

    async revokeByGrantId(grantId) {
      const members = `grant-members:${grantId}`;
      await redis.del(members, ...(await redis.smembers(members)));
    }
  };
}
