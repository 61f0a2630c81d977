/**
 * Makes self-signed certificates, for development and for servers that only know each other. What makes them is loaded on
 * demand: most servers never need it.
 */
import { randomBytes, webcrypto } from "node:crypto"
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { isIP } from "node:net"
import { hostname } from "node:os"
import { dirname } from "node:path"

/** What a certificate of ours says of its subject, so that no other is ever overwritten. */
export const organization = "Trestle self-signed"

/** Days for which Apple's systems accept a certificate that a user trusts; longer ones are refused. */
export const longestDays = 825

/** Where a certificate and its key are. */
export interface CertificateFiles {
  certificate: string
  key: string
}

/** What {@link makeCertificate} makes. */
export interface NewCertificate extends CertificateFiles {
  /** Names and addresses that it is for, besides this machine's. */
  hosts: readonly string[]
  days: number
}

/** The hosts that a certificate has to be for where a server listens at `host`, besides this machine's own. */
export const ownHosts = (host: string): string[] => (host === "0.0.0.0" || host === "::" || !typeOf(host) ? [] : [host])

/** What kind of name a certificate can hold it as; undefined for none, as with `my_machine`. */
function typeOf(host: string): "ip" | "dns" | undefined {
  if (isIP(host)) return "ip"
  return host.length <= 253 && /^(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*$/i.test(host) ? "dns" : undefined
}

/**
 * Makes a key and a self-signed certificate for localhost, its addresses, this machine's name and `hosts`, and writes both.
 * The key is readable by its owner only, from its first byte on.
 */
export async function makeCertificate({ certificate, key, hosts, days }: NewCertificate): Promise<void> {
  // The library finds its parts by metadata, which this adds to `Reflect`.
  await import("reflect-metadata")
  const x509 = await import("@peculiar/x509")
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])

  const names = [...new Set(["localhost", "127.0.0.1", "::1", hostname(), ...hosts])]
  const alternatives = names.flatMap((value) => {
    const type = typeOf(value)
    return type ? [{ type, value }] : []
  })
  const hour = 3_600_000
  const now = Math.floor(Date.now() / 1000) * 1000
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    // Positive and unique, as RFC 5280 (4.1.2.2) wants it.
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    name: `CN=localhost, O=${organization}`,
    // Another machine's clock may be behind.
    notBefore: new Date(now - hour),
    notAfter: new Date(now + days * 24 * hour),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      // No authority: whoever trusts it trusts this server, and the key cannot sign for others.
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(alternatives),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const privateKey = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey))
  // In this order: our certificate without its key can be told from everything else, and is made anew.
  writeWhole(certificate, made.toString("pem"), 0o644)
  writeWhole(key, x509.PemConverter.encode(privateKey, "PRIVATE KEY"), 0o600)
}

/** Writes a file so that it is there whole or not at all, under a name that nobody could have prepared. */
function writeWhole(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  const partial = `${path}.${randomBytes(6).toString("hex")}`
  try {
    writeFileSync(partial, `${text.trimEnd()}\n`, { flag: "wx", mode })
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}
