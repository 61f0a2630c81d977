/**
 * Sessions in Redis, for many machines. Each key expires with its session:
 * `session:ID` is the session, `token:HASH` leads to its id, `session-data:ID` holds its data, and `sessions:USER` the ids of
 * an account's sessions, among which ended ones may stand until somebody looks.
 */
import type { Redis } from "ioredis"
import { unauthorized } from "../core/errors.ts"
import { formerTokenMs, type Session, type Sessions } from "./sessions.ts"

/** Sets a field of the data as long as the session lives; the data gets its time to live. */
const writeScript = `
  local left = redis.call("pttl", KEYS[1])
  if left <= 0 then return 0 end
  redis.call("hset", KEYS[2], ARGV[1], ARGV[2])
  redis.call("pexpire", KEYS[2], left)
  return 1`

/** Puts another token in the place of the one that the session has, if it still has that. */
const rotateScript = `
  if redis.call("hget", KEYS[1], "hash") ~= ARGV[1] then return 0 end
  local left = redis.call("pttl", KEYS[1])
  redis.call("hset", KEYS[1], "hash", ARGV[2], "rights", ARGV[3], "authenticated", ARGV[4])
  redis.call("set", KEYS[3], ARGV[5], "px", left)
  if tonumber(ARGV[6]) > 0 then redis.call("pexpire", KEYS[2], math.min(left, tonumber(ARGV[6])))
  else redis.call("del", KEYS[2]) end
  return 1`

/** Prolongs a session with the token that it has now, and nothing that was ended or replaced meanwhile. */
const renewScript = `
  local hash = redis.call("hget", KEYS[1], "hash")
  if not hash then return 0 end
  redis.call("hset", KEYS[1], "renewed", ARGV[1], "expires", ARGV[2])
  for _, key in ipairs({ KEYS[1], KEYS[2], ARGV[4] .. hash }) do redis.call("pexpireat", key, ARGV[3]) end
  return 1`

/** @param prefix stands before every key, so that applications can share a Redis */
export function redisSessions(redis: Redis, prefix: string): Sessions {
  const at = (kind: "session" | "token" | "session-data" | "sessions", name: string) => `${prefix}${kind}:${name}`
  const text = (hash: Buffer) => hash.toString("base64url")

  async function byId(id: string): Promise<Session | undefined> {
    const fields = await redis.hgetall(at("session", id))
    return fields.userId === undefined ? undefined : sessionOf(id, fields as Record<string, string>)
  }

  async function end(userId: string, id: string): Promise<boolean> {
    const [owner, hash] = await redis.hmget(at("session", id), "userId", "hash")
    if (owner === null) await redis.srem(at("sessions", userId), id)
    if (owner !== userId) return false
    const ended = await redis.del(at("session", id))
    await Promise.all([redis.del(at("token", hash!), at("session-data", id)), redis.srem(at("sessions", userId), id)])
    return ended === 1
  }

  async function list(userId: string): Promise<Session[]> {
    const ids = await redis.smembers(at("sessions", userId))
    const found = await Promise.all(ids.map(byId))
    const gone = ids.filter((_, i) => found[i] === undefined)
    if (gone.length > 0) await redis.srem(at("sessions", userId), ...gone)
    return found
      .filter((session) => session !== undefined)
      .sort((a, b) => b.created.localeCompare(a.created) || a.id.localeCompare(b.id))
  }

  return {
    async add({ id, ...session }, hash) {
      const left = Date.parse(session.expires) - Date.now()
      const { remember, rights, ...texts } = session
      await redis
        .multi()
        .hset(at("session", id), { ...texts, remember: String(remember), rights: String(rights), hash: text(hash) })
        .pexpire(at("session", id), left)
        .set(at("token", text(hash)), id, "PX", left)
        .sadd(at("sessions", session.userId), id)
        .exec()
    },
    async find(hash) {
      const id = await redis.get(at("token", text(hash)))
      const fields = id === null ? {} : await redis.hgetall(at("session", id))
      if (id === null || fields.userId === undefined) return undefined
      return { session: sessionOf(id, fields as Record<string, string>), isFormer: fields.hash !== text(hash) }
    },
    list,
    async renew({ id }, renewed, expires) {
      const keys = [at("session", id), at("session-data", id)]
      const moments = [renewed.toISOString(), expires.toISOString(), expires.getTime()]
      await redis.eval(renewScript, keys.length, ...keys, ...moments, at("token", ""))
    },
    async rotate({ id }, { from, to, rights, authenticated, keepsFormer }) {
      const [oldHash, newHash] = [text(from), text(to)]
      const keys = [at("session", id), at("token", oldHash), at("token", newHash)]
      const done = await redis.eval(
        rotateScript,
        keys.length,
        ...keys,
        oldHash,
        newHash,
        String(rights),
        authenticated,
        id,
        keepsFormer ? formerTokenMs : 0,
      )
      return done === 1
    },
    end,
    async endAll(userId, exceptId) {
      const ids = await redis.smembers(at("sessions", userId))
      await Promise.all(ids.filter((id) => id !== exceptId).map((id) => end(userId, id)))
    },
    async keep(userId, atMost) {
      // Ended ones may stand among them, so there can be fewer, and never more.
      if ((await redis.scard(at("sessions", userId))) <= atMost) return []
      const byUse = (a: Session, b: Session) =>
        b.renewed.localeCompare(a.renewed) || b.created.localeCompare(a.created) || a.id.localeCompare(b.id)
      const old = (await list(userId)).sort(byUse).slice(atMost)
      await Promise.all(old.map(({ id }) => end(userId, id)))
      return old.map(({ id }) => id)
    },
    async read(id, key) {
      const json = await redis.hget(at("session-data", id), key)
      return json === null ? undefined : JSON.parse(json)
    },
    async write(id, key, value) {
      const keys = [at("session", id), at("session-data", id)]
      const done = await redis.eval(writeScript, keys.length, ...keys, key, JSON.stringify(value))
      if (done !== 1) throw unauthorized()
    },
    async remove(id, key) {
      await redis.hdel(at("session-data", id), key)
    },
    // Redis removes what has expired by itself.
    async sweep() {},
  }
}

function sessionOf(id: string, fields: Record<string, string>): Session {
  const { userId, kind, created, authenticated, renewed, expires, address, agent } = fields as unknown as Session
  const { remember, rights } = fields
  return {
    id,
    userId,
    kind,
    remember: remember === "true",
    rights: Number(rights),
    created,
    authenticated,
    renewed,
    expires,
    address,
    agent,
  }
}
