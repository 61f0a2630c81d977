/**
 * Hashes of passwords as they are kept: Argon2id in PHC's form, and passlib's PBKDF2 for accounts that came from a Python
 * server. Nothing here bounds how many are computed at once; see passwords.ts.
 */
import crypto, { type Argon2Parameters } from "node:crypto"
import { promisify } from "node:util"

/** A stored hash, read: what it takes to compute it again from a password. */
export interface PasswordHash {
  digest: Buffer
  /** Whether {@link newHash} would make one of this kind today. */
  isCurrent: boolean
  derive(password: string): Promise<Buffer>
}

/**
 * OWASP's second choice: 19 MiB, two passes, one lane. As hard to guess as 46 MiB and one pass, with less memory for each login.
 * @see https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
 */
const current = { memory: 19_456, passes: 2, parallelism: 1 }
const saltBytes = 16
const digestBytes = 32

/** Takes the same work as a real one, and no password has its digest. */
export const decoy: PasswordHash = argon2Hash(current, crypto.randomBytes(saltBytes), crypto.randomBytes(digestBytes))

/** Hashes a password with a salt of its own. */
export async function newHash(password: string): Promise<string> {
  const salt = crypto.randomBytes(saltBytes)
  const digest = await argon2id(password, salt, digestBytes, current)
  const { memory, passes, parallelism } = current
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(digest)}`
}

/** Reads a stored hash; undefined when it is in no form that is known here, or would take too much to compute. */
export const readHash = (stored: string): PasswordHash | undefined => readArgon2(stored) ?? readPbkdf2(stored)

/** @see https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md */
const argon2Form =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/

function readArgon2(stored: string): PasswordHash | undefined {
  const [, memory, passes, parallelism, salt, digest] = argon2Form.exec(stored) ?? []
  if (!salt || !digest) return undefined
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) }
  // Up to 256 MiB: what other servers kept is checked, and no row of the database can exhaust the machine.
  if (cost.memory > 262_144 || cost.memory < 8 * cost.parallelism || !cost.passes || !cost.parallelism) return undefined
  return argon2Hash(cost, Buffer.from(salt, "base64"), Buffer.from(digest, "base64"))
}

function argon2Hash(cost: typeof current, salt: Buffer, digest: Buffer): PasswordHash {
  const isCurrent =
    cost.memory === current.memory &&
    cost.passes === current.passes &&
    cost.parallelism === current.parallelism &&
    salt.length >= saltBytes &&
    digest.length >= digestBytes
  return { digest, isCurrent, derive: (password) => argon2id(password, salt, digest.length, cost) }
}

function argon2id(password: string, nonce: Buffer, tagLength: number, cost: typeof current): Promise<Buffer> {
  // "é" is one character on some keyboards and two on others. NFC as RFC 8265, section 4.2.2, has it for passwords: NFKC would
  // also take different characters, such as "²" and "2", for the same.
  return argon2("argon2id", { message: password.normalize("NFC"), nonce, tagLength, ...cost })
}

const argon2 = (algorithm: "argon2id", parameters: Argon2Parameters) =>
  new Promise<Buffer>((resolve, reject) => {
    crypto.argon2(algorithm, parameters, (error, digest) => (error ? reject(error) : resolve(digest)))
  })

/**
 * passlib's `pbkdf2_sha256`: rounds, then salt and checksum in base64 with "." for "+" and no padding.
 * @see https://passlib.readthedocs.io/en/stable/lib/passlib.hash.pbkdf2_digest.html
 */
const pbkdf2Form = /^\$pbkdf2-sha256\$([1-9]\d{0,7})\$([A-Za-z0-9+./]{0,1366})\$([A-Za-z0-9+./]{43})$/
const maxRounds = 10_000_000

function readPbkdf2(stored: string): PasswordHash | undefined {
  const [, rounds, salt, checksum] = pbkdf2Form.exec(stored) ?? []
  if (salt === undefined || !checksum || Number(rounds) > maxRounds) return undefined
  const digest = Buffer.from(checksum.replaceAll(".", "+"), "base64")
  const nonce = Buffer.from(salt.replaceAll(".", "+"), "base64")
  // passlib hashed the bytes as they came, so they are not normalised here.
  const derive = (password: string) => pbkdf2(password, nonce, Number(rounds), digest.length, "sha256")
  return { digest, isCurrent: false, derive }
}

const pbkdf2 = promisify(crypto.pbkdf2)

const base64 = (bytes: Buffer): string => bytes.toString("base64").replaceAll("=", "")
