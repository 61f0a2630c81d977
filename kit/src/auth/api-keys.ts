/**
 * API keys: how machines call. A token is shown once; what is kept is its SHA-256, which is enough for 256 random bits
 * (a slow hash is for what people choose). Each key is a principal of its own: rows that it creates bear its id.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto"
import { sql } from "kysely"
import { BootError } from "../core/errors.ts"
import { grantableRoles, isRole, type Role, type User } from "../core/roles.ts"
import { didYouMean } from "../core/suggest.ts"
import { announce } from "../db/changes.ts"
import type { Db } from "../db/database.ts"
import { prepare } from "../db/prepare.ts"
import { type Known, KnownTokens } from "./known-tokens.ts"

/** A row of `trestle.api_keys`, without the hash. */
export interface ApiKey {
  id: string
  created: string
  name: string
  role: string
  expires: string | null
  revoked: string | null
  last_used: string | null
}

/** Tokens begin so, so that people and secret scanners know one when they see it. */
const prefix = "trk_"

/** The id of the environment's key: fixed, so that what it created stays its own when the token changes. */
export const environmentKeyId = "00000000-0000-8000-8000-000000000001"

/** `last_used` is written at most once in this time, in milliseconds: a write on every request would cost more than the rest. */
const lastUsedEveryMs = 60_000

export const hashToken = (token: string): Buffer => hash("sha256", token, "buffer")

/** Makes a key and returns it with its token, which is kept nowhere. */
export async function createApiKey(
  db: Db,
  options: { name: string; role: string; expires?: Date | undefined },
): Promise<{ key: ApiKey; token: string }> {
  const { name, role, expires } = options
  if (!isRole(role) || role === "visitor") {
    throw new BootError(
      `There is no role "${role}".${didYouMean(role, grantableRoles)} The roles are ${grantableRoles.join(", ")}.`,
    )
  }
  if (name.length === 0 || name.length > 100) throw new BootError("The name of a key has 1 to 100 characters.")
  if (expires && expires.getTime() <= Date.now())
    throw new BootError("The key would have expired already. Give a later time.")
  const token = prefix + randomBytes(32).toString("base64url")
  const { rows } = await sql<ApiKey>`
    insert into trestle.api_keys (name, role, hash, expires)
    values (${name}, ${role}, ${hashToken(token)}, ${expires?.toISOString() ?? null})
    returning ${columns}`.execute(db)
  return { key: rows[0]!, token }
}

const columns = sql`id, created, name, role, expires, revoked, last_used`

/** All keys, oldest first, the revoked ones too. */
export async function listApiKeys(db: Db): Promise<ApiKey[]> {
  const { rows } = await sql<ApiKey>`select ${columns} from trestle.api_keys order by created, id`.execute(db)
  return rows
}

/** Revokes the key with this id, or the only one with this name, and returns it. */
export async function revokeApiKey(db: Db, idOrName: string): Promise<ApiKey> {
  const found = (await listApiKeys(db)).filter((key) => !key.revoked && (key.id === idOrName || key.name === idOrName))
  if (found.length !== 1) {
    throw new BootError(
      found.length === 0
        ? `No key in force has the id or name "${idOrName}". See "trestle token list".`
        : `${found.length} keys have the name "${idOrName}". Give the id: ${found.map((key) => key.id).join(", ")}.`,
    )
  }
  const { id } = found[0]!
  await db.transaction().execute(async (tx) => {
    await sql`update trestle.api_keys set revoked = now() where id = ${id}`.execute(tx)
    await announce(tx, `key ${id}`)
  })
  return found[0]!
}

interface KeyTable {
  "trestle.api_keys": {
    id: string
    name: string
    role: Role
    hash: Buffer
    expires: string | null
    revoked: string | null
    last_used: string | null
  }
}

const keyByHash = prepare((db: import("kysely").Kysely<KeyTable>, { hash }: { hash: Buffer }) =>
  db
    .selectFrom("trestle.api_keys")
    .select(["id", "name", "role", "hash", "expires"])
    .where("hash", "=", hash)
    .where("revoked", "is", null)
    .where((eb) => eb.or([eb("expires", "is", null), eb("expires", ">", sql<string>`now()`)])),
)

/** Says who holds a token, undefined when nobody does; at once where the database need not be asked. */
export type IdentifyToken = (token: string) => User | undefined | Promise<User | undefined>

/** What the `api_keys` section of the configuration says. */
export interface ApiKeySettings {
  /** The hex SHA-256 of the environment's key, from API_TOKEN_HASH. */
  environmentHash: string | undefined
  environmentRole: Role
}

interface KnownKey extends Known {
  user: User
}

/** The API keys in force, as requests ask for them. */
export class ApiKeys {
  private readonly db: Db
  private readonly environment: { hash: Buffer; user: User } | undefined
  private readonly touched = new Map<string, number>()
  /** Told of changes by whoever listens for them. */
  readonly known: KnownTokens<KnownKey>

  constructor(db: Db, { environmentHash, environmentRole: role }: ApiKeySettings, isCurrent: () => boolean) {
    this.db = db
    this.known = new KnownTokens(isCurrent)
    this.environment = environmentHash
      ? {
          hash: Buffer.from(environmentHash, "hex"),
          user: { id: environmentKeyId, role, via: "api_key", name: "environment" },
        }
      : undefined
  }

  readonly identify: IdentifyToken = (token) => {
    const known = this.known.get(token)
    if (known) return this.used(known)
    const digest = hashToken(token)
    if (this.environment && timingSafeEqual(digest, this.environment.hash)) return this.environment.user
    return this.known.load(token, () => this.read(digest)).then((key) => key && this.used(key))
  }

  private async read(digest: Buffer): Promise<KnownKey | undefined> {
    const [key] = await keyByHash(this.db as never, { hash: digest })
    // The index found it by its hash, whose bytes an attacker cannot steer; the comparison that counts takes constant time.
    if (!key || !timingSafeEqual(digest, key.hash) || !isRole(key.role)) return undefined
    return {
      user: { id: key.id, role: key.role, via: "api_key", name: key.name },
      changedBy: [`key ${key.id}`],
      expires: key.expires ? Date.parse(key.expires) : Number.POSITIVE_INFINITY,
    }
  }

  private used({ user }: KnownKey): User {
    const now = Date.now()
    if (now - (this.touched.get(user.id) ?? 0) > lastUsedEveryMs) {
      this.touched.set(user.id, now)
      // Nobody waits for it, and nobody is refused when it fails: on a read-only database keys still work.
      sql`update trestle.api_keys set last_used = now() where id = ${user.id}`.execute(this.db).catch(() => {})
    }
    return user
  }
}
