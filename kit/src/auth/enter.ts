/** Begins sessions. */
import type { FastifyReply, FastifyRequest } from "fastify"
import { badRequest } from "../core/errors.ts"
import type { AccountRow } from "./accounts.ts"
import { type Accounts, wrongLogin } from "./log-in.ts"
import { refuseUnverified } from "./verification.ts"

/**
 * Begins the session of somebody who has just shown who they are; the token is for those who asked for one.
 * @throws HttpError 400 when the account was disabled, deleted or given another password meanwhile; 403 as long as its address is
 * to be verified
 */
export async function enter(
  accounts: Accounts,
  row: AccountRow,
  request: FastifyRequest,
  reply: FastifyReply,
  { remember, token }: { remember: boolean; token: boolean },
): Promise<string> {
  await refuseUnverified(accounts, row, request)
  const { sessions, browsers } = accounts
  const kind = token ? "token" : "cookie"
  try {
    const made = await sessions.begin(row, request, reply, { kind, remember })
    if (made === undefined) throw badRequest(wrongLogin)
    if (kind === "cookie") await browsers.remember(request, reply, row.id)
    return made
  } catch (error) {
    // The account was deleted meanwhile (foreign_key_violation).
    if ((error as { code?: string }).code === "23503") throw badRequest(wrongLogin)
    throw error
  }
}
