/**
 * Hashes and checks passwords, off the event loop and a few at a time. What a password must be like is said in
 * password-rules.ts, how hashes are written in password-hashes.ts.
 */
import crypto from "node:crypto"
import { availableParallelism } from "node:os"
import { BootError } from "../core/errors.ts"
import { decoy, newHash, readHash } from "./password-hashes.ts"
import { Turns } from "./password-turns.ts"

export interface Passwords {
  /**
   * The hash to keep, in PHC's form. The password was found good by `checkPassword` before.
   * @throws RangeError for a password that is too long to be checked later
   */
  hash(password: string): Promise<string>
  /**
   * Whether this is the password that was hashed. `outdated`: it is, and the hash should be made anew, since it is passlib's or
   * has other parameters than today's.
   *
   * Without a hash, or with one in an unknown form, it computes as long for nothing and says no: how long an answer takes does
   * not tell whether there is an account.
   */
  verify(password: string, stored: string | null | undefined): Promise<{ ok: boolean; outdated: boolean }>
  /** Refuses what waits, and what comes, with 503. */
  close(): void
}

/** How many may wait for their turn: at 20 ms for each, the last of them a few seconds. */
const maxWaiting = 200

/**
 * No password is longer, in UTF-16 units: 128 characters fit in any spelling. Normalising takes time that grows with the square
 * of the length (0.4 ms for 1,024 of the worst, 3.6 s for 100,000), and the event loop waits for it.
 */
export const maxPasswordLength = 1024

/**
 * Makes what hashes passwords in this process.
 *
 * `parallel`: how many are computed at once, each in 19 MiB and on a core of its own. Default one less than there are cores, so
 * that other requests find one; always less than libuv has threads (`UV_THREADPOOL_SIZE`, 4), so that files and DNS do.
 * @throws BootError where Node has no Argon2
 */
export function createPasswords({ parallel }: { parallel?: number } = {}): Passwords {
  probeArgon2()
  const turns = new Turns(Math.min(parallel ?? Math.max(1, availableParallelism() - 1), maxParallel()), maxWaiting)
  return {
    async hash(password) {
      if (password.length > maxPasswordLength) {
        throw new RangeError(`A password of ${password.length} units was to be hashed. Ask checkPassword first.`)
      }
      return turns.take(() => newHash(password))
    },

    async verify(password, stored) {
      const isPossible = password.length <= maxPasswordLength
      const known = stored && isPossible ? readHash(stored) : undefined
      const hash = known ?? decoy
      const given = isPossible ? password : ""
      const [digest] = await turns.take(() =>
        // Beside one of other parameters today's is computed too, as Django does since CVE-2016-2513: an account that came from
        // another server, where hashing was quicker, would be told by it.
        Promise.all([hash.derive(given), hash.isCurrent ? undefined : decoy.derive(given)]),
      )
      const ok = crypto.timingSafeEqual(digest, hash.digest) && known !== undefined
      return { ok, outdated: ok && !hash.isCurrent }
    },

    close: () => turns.close(),
  }
}

function maxParallel(): number {
  const threads = Number.parseInt(process.env.UV_THREADPOOL_SIZE ?? "4", 10) || 1
  return Math.max(1, threads - 1)
}

/** Asks for the least that Argon2 can do: it came with Node 24.7, and builds with an older OpenSSL of the system lack it. */
function probeArgon2(): void {
  try {
    crypto.argon2Sync("argon2id", {
      message: "",
      nonce: "12345678",
      parallelism: 1,
      tagLength: 4,
      memory: 8,
      passes: 1,
    })
  } catch (cause) {
    throw new BootError(
      `Passwords are hashed with Argon2, which this Node ${process.version} lacks. Use the newest Node 24 from nodejs.org.`,
      { cause },
    )
  }
}
