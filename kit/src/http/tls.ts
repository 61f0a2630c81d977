/**
 * TLS 1.2 and 1.3: the certificate of the settings, checked before anything listens. A new one comes into force without a
 * restart by `server.setSecureContext((await loadTls(…)).options)`; connections that are open keep the one that they have.
 */
import { createPrivateKey, X509Certificate } from "node:crypto"
import { existsSync, readFileSync, statSync } from "node:fs"
import type { ServerOptions } from "node:https"
import { isIP } from "node:net"
import { resolve } from "node:path"
import type { Config } from "../core/config/index.ts"
import { BootError } from "../core/errors.ts"
import type { Log } from "../core/log.ts"
import { type CertificateFiles, makeCertificate, organization, ownHosts } from "./certificates.ts"

/** How long before its end a certificate is replaced (a self-signed one) or warned of. */
const soonDays = 30
const day = 86_400_000

/** For how long self-signed certificates are made. */
export const usualDays = 365

/** How often two processes that make a certificate at the same time may mix up their files. */
const attempts = 5

/** A certificate in force. */
export interface Tls {
  /** For `https.createServer` and for `setSecureContext`. */
  options: ServerOptions
  /** Where the certificate is. */
  file: string
  certificate: X509Certificate
  /** True when clients have to be told of it, as with `curl --cacert`. */
  isSelfSigned: boolean
}

/** What {@link loadTls} needs besides the settings. */
export interface TlsPlace {
  /** The project's folder, from which the files are named. */
  folder: string
  /** Where the server listens: a self-signed certificate is for this host too. */
  host: string
  log: Log
}

/** The files of the settings, with their whole paths. */
export const certificateFiles = (settings: Config["tls"], folder: string): CertificateFiles => ({
  certificate: resolve(folder, settings.certificate),
  key: resolve(folder, settings.key),
})

/**
 * Loads the certificate that the settings name; undefined when TLS is off. A self-signed one is made when it is missing,
 * ends within 30 days or is not for this host.
 * @throws BootError that says all that is wrong with the files
 */
export async function loadTls(settings: Config["tls"], place: TlsPlace): Promise<Tls | undefined> {
  if (settings.mode === "off") return undefined
  const files = certificateFiles(settings, place.folder)
  const log = place.log.for("tls")
  if (settings.mode === "self-signed") await keepSelfSigned(files, place.host, log)
  const { certificate, options } = readPair(files)
  warnOf(files, certificate, log)
  return {
    // A handshake is a few messages: whoever takes longer keeps a connection for nothing.
    options: { ...options, minVersion: "TLSv1.2", handshakeTimeout: 10_000 },
    file: files.certificate,
    certificate,
    isSelfSigned: certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey),
  }
}

interface Pair {
  certificate: X509Certificate
  options: { cert: Buffer; key: Buffer }
}

/** Reads both files and checks that they are what they should be, and belong together. */
function readPair(files: CertificateFiles): Pair {
  const faults: string[] = []
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work()
    } catch (error) {
      faults.push(`${what}: ${(error as Error).message}`)
      return undefined
    }
  }
  const cert = attempt("The certificate cannot be read", () => readFileSync(files.certificate))
  const key = attempt("The key cannot be read", () => readFileSync(files.key))
  const certificate = cert && attempt(`${files.certificate} is no certificate in PEM`, () => new X509Certificate(cert))
  const privateKey =
    key && attempt(`${files.key} is no private key in PEM without a passphrase`, () => createPrivateKey(key))
  if (certificate && privateKey && !certificate.checkPrivateKey(privateKey)) {
    faults.push(
      `${files.key} is not the key of ${files.certificate}. If that is a chain, the server's certificate comes first.`,
    )
  }
  if (faults.length > 0) {
    throw new BootError(
      `TLS cannot begin:\n${faults.map((fault) => `  - ${fault}`).join("\n")}\n` +
        "Set tls.certificate and tls.key in config.json, or make a self-signed one: npx trestle certificate",
    )
  }
  return { certificate: certificate!, options: { cert: cert!, key: key! } }
}

/** Sees to it that the files hold a self-signed certificate that is good for a while. */
async function keepSelfSigned(files: CertificateFiles, host: string, log: Log): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const reason = reasonToMake(files, host)
    if (reason === undefined) return
    if (attempt === attempts) throw new BootError(`No certificate can be kept at ${files.certificate}: ${reason}.`)
    await makeCertificate({ ...files, hosts: ownHosts(host), days: usualDays })
    log.info(`Made a self-signed certificate, since ${reason}: ${files.certificate}`)
  }
}

/** Why the certificate will not do; undefined when it will. What is not ours is never replaced. */
function reasonToMake(files: CertificateFiles, host: string): string | undefined {
  const certificate = readCertificate(files)
  if (!certificate) {
    if (!existsSync(files.key)) return "there was none"
    throw new BootError(
      `There is a key at ${files.key}, and no certificate for it at ${files.certificate}. Bring the certificate, or ` +
        "replace the key: npx trestle certificate --force",
    )
  }
  // A pair that somebody else put there is used if it works, and told of if it does not.
  if (!isOurs(certificate)) return undefined
  if (certificate.validToDate.getTime() - Date.now() < soonDays * day) {
    return `the one before ends on ${dateOf(certificate.validToDate)}`
  }
  const missing = ownHosts(host).find((one) => !(isIP(one) ? certificate.checkIP(one) : certificate.checkHost(one)))
  if (missing) return `the one before is not for ${missing}`
  return isKeyOf(certificate, files.key) ? undefined : "the one before lacks its key"
}

/** The certificate, or undefined when there is none. */
export function readCertificate({ certificate }: CertificateFiles): X509Certificate | undefined {
  if (!existsSync(certificate)) return undefined
  try {
    return new X509Certificate(readFileSync(certificate))
  } catch (cause) {
    throw new BootError(`${certificate} cannot be read as a certificate in PEM: ${(cause as Error).message}`, { cause })
  }
}

const isOurs = (certificate: X509Certificate): boolean => certificate.subject.includes(`O=${organization}`)

function isKeyOf(certificate: X509Certificate, file: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(readFileSync(file)))
  } catch {
    return false
  }
}

/** Says what will be trouble soon. A site with a certificate that has ended is worth more than none: it begins all the same. */
function warnOf(files: CertificateFiles, { validFromDate, validToDate }: X509Certificate, log: Log): void {
  const days = (validToDate.getTime() - Date.now()) / day
  if (days < 0) {
    log.error(`The certificate ${files.certificate} ended on ${dateOf(validToDate)}: clients refuse it. Renew it.`)
  } else if (days < soonDays) {
    log.warn(`The certificate ${files.certificate} ends on ${dateOf(validToDate)}. Renew it.`)
  }
  if (validFromDate.getTime() > Date.now()) {
    log.warn(`The certificate ${files.certificate} is not valid before ${validFromDate.toISOString()}.`)
  }
  if (process.platform !== "win32" && statSync(files.key).mode & 0o077) {
    log.warn(`The key ${files.key} can be read by others than its owner. Close it: chmod 600 ${files.key}`)
  }
}

/** The day, as people read it. */
export const dateOf = (time: Date): string => time.toISOString().slice(0, 10)
