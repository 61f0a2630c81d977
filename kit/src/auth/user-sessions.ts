/** The sessions of people as requests use them: begun at login, known by every process, prolonged by use, ended. */
import { randomUUID } from "node:crypto"
import type { FastifyReply, FastifyRequest } from "fastify"
import { sql } from "kysely"
import type { Config } from "../core/config/index.ts"
import { unauthorized } from "../core/errors.ts"
import type { User } from "../core/roles.ts"
import { announce } from "../db/changes.ts"
import type { Db } from "../db/database.ts"
import { type AccountRow, fullName } from "./accounts.ts"
import { hashToken } from "./api-keys.ts"
import { type Identity, invalidBearer, type SessionIdentity } from "./identity.ts"
import { type Known, KnownTokens } from "./known-tokens.ts"
import { createCookie } from "./session-cookie.ts"
import { expiryOf, isDueForRenewal, newToken, type Session, type Sessions } from "./sessions.ts"

interface KnownSession extends Known, Identity {
  session: SessionIdentity
  /** Whether the account's role has changed since the token was made. */
  isOutdated: boolean
  /** Whether another token has taken its place: the client has that one, or is about to get it. */
  isFormer: boolean
}

/** What of an account a session needs. */
type Owner = Pick<AccountRow, "id" | "email" | "first_name" | "last_name" | "role" | "disabled" | "rights" | "password">

export class UserSessions {
  private readonly db: Db
  private readonly sessions: Sessions
  private readonly settings: Config["session"]
  private readonly cookie
  /** Told of changes by whoever listens for them. */
  readonly known: KnownTokens<KnownSession>

  constructor(db: Db, sessions: Sessions, settings: Config["session"], isCurrent: () => boolean) {
    this.db = db
    this.sessions = sessions
    this.settings = settings
    this.cookie = createCookie("session", settings)
    this.known = new KnownTokens(isCurrent)
  }

  /**
   * Begins a session with a token of its own, ends the one that the request came with, and sends the cookie.
   * @param owner as it was when its password was verified, or its like
   * @returns the token; undefined when the account has been disabled, deleted or given another password since then
   */
  async begin(
    owner: Owner,
    request: FastifyRequest,
    reply: FastifyReply,
    { kind, remember }: Pick<Session, "kind" | "remember">,
  ): Promise<string | undefined> {
    const now = Date.now()
    const moment = new Date(now).toISOString()
    const token = newToken()
    const session: Session = {
      id: randomUUID(),
      userId: owner.id,
      kind,
      remember,
      rights: owner.rights,
      created: moment,
      authenticated: moment,
      renewed: moment,
      expires: expiryOf(now, now, this.settings).toISOString(),
      address: request.ip,
      agent: String(request.headers["user-agent"] ?? "").slice(0, 300),
    }
    await this.sessions.add(session, hashToken(token))
    // Whoever ends all sessions of the account either saw this one, or is seen here.
    const current = await this.ownerOf(session)
    if (!current || current.disabled || current.password !== owner.password) {
      await this.end(session)
      return undefined
    }
    if (kind === "cookie") {
      // Whoever planted a cookie before the login holds nothing afterwards.
      if (request.identity?.session) await this.end(request.identity.session.session)
      this.sendCookie(request, reply, token, session)
    }
    for (const id of await this.sessions.keep(owner.id, this.settings.max_per_account)) await this.tellOf({ id })
    return token
  }

  identifyBearer(token: string): Identity | Promise<Identity> {
    const check = (entry: KnownSession | undefined): Identity => {
      if (entry?.session.session.kind !== "token") throw invalidBearer()
      this.prolong(entry)
      return entry
    }
    const entry = this.known.get(token)
    return entry ? check(entry) : this.read(token, "bearer").then(check)
  }

  identifyCookie(request: FastifyRequest, reply: FastifyReply): Identity | undefined | Promise<Identity | undefined> {
    const token = this.cookie.read(request)
    if (token === undefined || token === "") return undefined
    const use = (entry: KnownSession | undefined): Identity | undefined | Promise<Identity> => {
      if (entry?.session.session.kind !== "cookie") return undefined
      if (entry.isFormer) return entry
      if (entry.isOutdated) return this.rotate(entry, request, reply)
      if (this.prolong(entry)) this.sendCookie(request, reply, token, entry.session.session)
      return entry
    }
    const entry = this.known.get(token)
    return entry ? use(entry) : this.read(token, "session").then(use)
  }

  /** Gives the session another token, and counts its owner as having logged in now. */
  async renewAfterLogin(
    owner: Owner,
    identity: Identity,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<string> {
    const { session, token } = identity.session!
    const fresh = newToken()
    const authenticated = new Date().toISOString()
    const change = { from: hashToken(token), to: hashToken(fresh), rights: owner.rights, authenticated }
    // Another request gave it another token: that one is in force, and this one would be dead.
    if (!(await this.sessions.rotate(session, { ...change, keepsFormer: false }))) throw unauthorized()
    await this.tellOf(session)
    if (session.kind === "cookie") this.sendCookie(request, reply, fresh, session)
    return fresh
  }

  async list(userId: string): Promise<Session[]> {
    return this.sessions.list(userId)
  }

  async end(session: Pick<Session, "userId" | "id">): Promise<boolean> {
    const isEnded = await this.sessions.end(session.userId, session.id)
    await this.tellOf(session)
    return isEnded
  }

  async endAll(userId: string, exceptId?: string): Promise<void> {
    await this.sessions.endAll(userId, exceptId)
    await announce(this.db, `user ${userId}`)
    this.ownerChanged(userId)
  }

  /** After a change of the account that all processes are told of: this one counts it before it answers. */
  ownerChanged(userId: string): void {
    this.known.changed(`user ${userId}`)
  }

  clearCookie(request: FastifyRequest, reply: FastifyReply): void {
    this.cookie.clear(request, reply)
  }

  /** The data that the application keeps with a session. */
  get data(): Pick<Sessions, "read" | "write" | "remove"> {
    return this.sessions
  }

  sweep(): Promise<void> {
    return this.sessions.sweep()
  }

  private read(token: string, via: User["via"]): Promise<KnownSession | undefined> {
    return this.known.load(token, async () => {
      const found = await this.sessions.find(hashToken(token))
      const owner = found && (await this.ownerOf(found.session))
      if (!found || !owner || owner.disabled) return undefined
      const { session, isFormer } = found
      const { id, role, email } = owner
      return {
        user: { id, role, via, email, name: fullName(owner), since: session.authenticated },
        session: { session, token },
        isOutdated: session.rights !== owner.rights,
        isFormer,
        changedBy: [`user ${id}`, `session ${session.id}`],
        // A former token works for this request, and is not remembered.
        expires: isFormer ? 0 : Date.parse(session.expires),
      }
    })
  }

  private async ownerOf({ userId }: Session): Promise<Owner | undefined> {
    const { rows } = await sql<Owner>`
      select id, email, first_name, last_name, role, disabled, rights, password from trestle.users
      where id = ${userId}`.execute(this.db)
    return rows[0]
  }

  /** Prolongs a session that is used, now and then, and says whether it did. Nobody waits for it. */
  private prolong(entry: KnownSession): boolean {
    const now = Date.now()
    const { session } = entry.session
    if (!isDueForRenewal(session, now, this.settings)) return false
    const expires = expiryOf(Date.parse(session.created), now, this.settings)
    session.renewed = new Date(now).toISOString()
    session.expires = expires.toISOString()
    entry.expires = expires.getTime()
    this.sessions.renew(session, new Date(now), expires).catch(() => {})
    return true
  }

  /** After a change of rights: who knew the token before knows nothing now. Requests under way may still use it for a moment. */
  private async rotate(entry: KnownSession, request: FastifyRequest, reply: FastifyReply): Promise<Identity> {
    const { session, token } = entry.session
    const fresh = newToken()
    const { authenticated } = session
    const { rights } = (await this.ownerOf(session)) ?? session
    const change = { from: hashToken(token), to: hashToken(fresh), rights, authenticated, keepsFormer: true }
    const isOurs = await this.sessions.rotate(session, change)
    this.known.forget(token)
    if (!isOurs) return entry
    this.sendCookie(request, reply, fresh, session)
    return { ...entry, session: { session, token: fresh } }
  }

  private async tellOf({ id }: Pick<Session, "id">): Promise<void> {
    await announce(this.db, `session ${id}`)
    // This process need not wait to be told.
    this.known.changed(`session ${id}`)
  }

  private sendCookie(request: FastifyRequest, reply: FastifyReply, token: string, session: Session): void {
    const left = Date.parse(session.expires) - Date.now()
    this.cookie.write(request, reply, token, session.remember ? left : undefined)
  }
}
