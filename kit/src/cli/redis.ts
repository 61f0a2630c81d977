/** The Redis of a project. */
import type { App } from "../app.ts"
import type { Config } from "../core/config/index.ts"
import type { Log } from "../core/log.ts"
import { type OpenRedis, openRedis } from "../db/redis.ts"

/** Connects to the Redis that the settings name; undefined when they name none. */
export async function redisOf(app: App, { redis }: Config, log: Log): Promise<OpenRedis | undefined> {
  const { url, prefix = `${app.name ?? "app"}:` } = redis
  return url ? openRedis(url, prefix, log) : undefined
}
