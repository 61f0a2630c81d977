/** Sessions in PostgreSQL, where nothing else is needed. */
import { sql } from "kysely"
import { unauthorized } from "../core/errors.ts"
import type { Db } from "../db/database.ts"
import { formerTokenMs, type Session, type Sessions } from "./sessions.ts"

const columns = sql`
  id, user_id as "userId", kind, remember, rights, created, authenticated, renewed, expires, address, agent`

export function postgresSessions(db: Db): Sessions {
  return {
    async add(session, hash) {
      const { id, userId, kind, remember, rights, created, authenticated, renewed, expires, address, agent } = session
      await sql`
        insert into trestle.sessions
          (id, user_id, hash, kind, remember, rights, created, authenticated, renewed, expires, address, agent)
        values (${id}, ${userId}, ${hash}, ${kind}, ${remember}, ${rights}, ${created}, ${authenticated}, ${renewed},
                ${expires}, ${address}, ${agent})`.execute(db)
    },
    async find(hash) {
      const { rows } = await sql<Session & { isFormer: boolean }>`
        select ${columns}, false as "isFormer" from trestle.sessions where hash = ${hash} and expires > now()
        union all
        select ${columns}, true from trestle.sessions
        where former = ${hash} and former_until > now() and expires > now()
        limit 1`.execute(db)
      if (!rows[0]) return undefined
      const { isFormer, ...session } = rows[0]
      return { session, isFormer }
    },
    async list(userId) {
      const { rows } = await sql<Session>`
        select ${columns} from trestle.sessions where user_id = ${userId} and expires > now()
        order by created desc, id`.execute(db)
      return rows
    },
    async renew({ id }, renewed, expires) {
      await sql`
        update trestle.sessions set renewed = ${renewed.toISOString()}, expires = ${expires.toISOString()}
        where id = ${id} and renewed < ${renewed.toISOString()}`.execute(db)
    },
    async rotate({ id }, { from, to, rights, authenticated, keepsFormer }) {
      const until = new Date(Date.now() + formerTokenMs).toISOString()
      const [former, formerUntil] = keepsFormer ? [from, until] : [null, null]
      const { numAffectedRows } = await sql`
        update trestle.sessions
        set hash = ${to}, former = ${former}, former_until = ${formerUntil}, rights = ${rights}, authenticated = ${authenticated}
        where id = ${id} and hash = ${from}`.execute(db)
      return numAffectedRows === 1n
    },
    async end(userId, id) {
      const { numAffectedRows } = await sql`
        delete from trestle.sessions where id = ${id} and user_id = ${userId}`.execute(db)
      return numAffectedRows === 1n
    },
    async endAll(userId, exceptId) {
      await sql`
        delete from trestle.sessions
        where user_id = ${userId} and id is distinct from ${exceptId ?? null}`.execute(db)
    },
    async keep(userId, atMost) {
      const { rows } = await sql<{ id: string }>`
        delete from trestle.sessions where id in (
          select id from trestle.sessions where user_id = ${userId} and expires > now()
          order by renewed desc, created desc, id offset ${atMost})
        returning id`.execute(db)
      return rows.map(({ id }) => id)
    },
    async read(id, key) {
      const { rows } = await sql<{ value: unknown }>`
        select value from trestle.session_data where session_id = ${id} and key = ${key}`.execute(db)
      return rows[0]?.value
    },
    async write(id, key, value) {
      await sql`
        insert into trestle.session_data (session_id, key, value) values (${id}, ${key}, ${JSON.stringify(value)})
        on conflict (session_id, key) do update set value = excluded.value`
        .execute(db)
        .catch((error) => {
          // The session was ended meanwhile (foreign_key_violation).
          throw error.code === "23503" ? unauthorized() : error
        })
    },
    async remove(id, key) {
      await sql`delete from trestle.session_data where session_id = ${id} and key = ${key}`.execute(db)
    },
    async sweep() {
      await sql`delete from trestle.sessions where expires <= now()`.execute(db)
    },
  }
}
