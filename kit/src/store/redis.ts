/**
 * The store in Redis or Valkey. A value is a string that holds JSON, a list is a list; what takes more than one command is a
 * script, which Redis runs as one.
 */
import { createHash } from "node:crypto"
import type { OpenRedis } from "../db/redis.ts"
import { endNow } from "../db/redis.ts"
import { type Backend, holdsList, holdsNoNumber, holdsValue, largest, passesLargest } from "./backend.ts"

interface Script {
  lua: string
  /** The name under which Redis keeps a script that it has seen. */
  sha: string
}

const script = (lua: string): Script => ({ lua, sha: createHash("sha1").update(lua).digest("hex") })

// Commands for the other kind fail with WRONGTYPE by themselves; SET would overwrite a list, so STRLEN asks first.
const setScript = script(`
  redis.call("strlen", KEYS[1])
  if ARGV[2] == "" then redis.call("set", KEYS[1], ARGV[1])
  else redis.call("set", KEYS[1], ARGV[1], "px", ARGV[2]) end`)

const swapScript = script(`
  local former = redis.call("get", KEYS[1])
  if ARGV[2] == "" then redis.call("set", KEYS[1], ARGV[1])
  else redis.call("set", KEYS[1], ARGV[1], "px", ARGV[2]) end
  return former`)

const incrementScript = script(`
  local value = redis.call("get", KEYS[1])
  if value then
    if not string.match(value, "^-?%d+$") then return redis.error_reply("NONUMBER") end
    if math.abs(tonumber(value) + tonumber(ARGV[1])) > ${largest} then return redis.error_reply("TOOLARGE") end
  end
  local result = redis.call("incrby", KEYS[1], ARGV[1])
  if not value and ARGV[2] ~= "" then redis.call("pexpire", KEYS[1], ARGV[2]) end
  -- as a text, since ioredis reads the largest number wrongly
  return string.format("%.0f", result)`)

// Whoever waits is told only when a list gets its first item: then all look, and nobody waits while there are more.
const appendScript = script(`
  local length = redis.call("rpush", KEYS[1], ARGV[1])
  local max = tonumber(ARGV[2])
  if max and length > max then
    redis.call("ltrim", KEYS[1], -max, -1)
    length = max
  end
  if ARGV[3] ~= "" then redis.call("pexpire", KEYS[1], ARGV[3]) end
  if length == 1 then redis.call("publish", ARGV[4], ARGV[5]) end
  return length`)

const putBackScript = script(`
  redis.call("lpush", KEYS[1], ARGV[1])
  redis.call("publish", ARGV[2], ARGV[3])`)

export function redisBackend({ client, prefix }: OpenRedis): Backend {
  const at = (key: string) => `${prefix}kv:${key}`
  const channel = `${prefix}kv-appended`

  /** Runs a script, by its name where Redis has seen it. */
  async function run<T>({ lua, sha }: Script, key: string, values: (string | number | undefined)[]): Promise<T> {
    const given = values.map((value) => value ?? "")
    try {
      return (await client.evalsha(sha, 1, at(key), ...given)) as T
    } catch (error) {
      if (!(error as Error).message.startsWith("NOSCRIPT")) throw error
      return (await client.eval(lua, 1, at(key), ...given)) as T
    }
  }

  /** `wrongKind` says what it means that the key holds the other kind. */
  async function told<T>(key: string, wrongKind: (key: string) => Error, answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      const { message } = error as Error
      if (message.includes("WRONGTYPE")) throw wrongKind(key)
      if (message.includes("NONUMBER")) throw holdsNoNumber(key)
      if (message.includes("TOOLARGE")) throw passesLargest(key)
      throw error
    }
  }

  return {
    async get(key) {
      return (await told(key, holdsList, client.get(at(key)))) ?? undefined
    },
    async set(key, text, lifetime) {
      await told(key, holdsList, run(setScript, key, [text, lifetime]))
    },
    async delete(key) {
      return (await client.unlink(at(key))) === 1
    },
    async increment(key, by, lifetime) {
      return Number(await told(key, holdsList, run<string>(incrementScript, key, [by, lifetime])))
    },
    async swap(key, text, lifetime) {
      return (await told(key, holdsList, run<string | null>(swapScript, key, [text, lifetime]))) ?? undefined
    },
    append: (list, text, max, lifetime) =>
      told(list, holdsValue, run<number>(appendScript, list, [text, max, lifetime, channel, list])),
    async pop(list) {
      return (await told(list, holdsValue, client.lpop(at(list)))) ?? undefined
    },
    async putBack(list, text) {
      await told(list, holdsValue, run(putBackScript, list, [text, channel, list]))
    },
    items: (list, limit) => told(list, holdsValue, client.lrange(at(list), 0, limit ? limit - 1 : -1)),
    length: (list) => told(list, holdsValue, client.llen(at(list))),
    listen(heard) {
      // A connection that subscribes can do nothing else.
      const subscriber = client.duplicate({ lazyConnect: false, autoResubscribe: false })
      subscriber.on("error", () => {})
      subscriber.on("message", (_channel, list) => heard(list))
      // Also after each time that the connection was lost.
      subscriber.on("ready", () => {
        subscriber.subscribe(channel).then(
          () => heard(),
          () => {},
        )
      })
      return () => endNow(subscriber)
    },
    close() {},
  }
}
