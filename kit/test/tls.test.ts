// @together
/** TLS: the certificate in force, what is spoken with it, and where the server listens. */
import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import http from "node:http"
import https from "node:https"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import tls from "node:tls"
import { promisify } from "node:util"
import { type Routes, Type } from "trestle"
import { openCapabilities } from "../src/capabilities.ts"
import { loadConfig } from "../src/core/config/index.ts"
import { Log } from "../src/core/log.ts"
import { openDatabase } from "../src/db/database.ts"
import { Acceptor } from "../src/http/accept.ts"
import { makeCertificate } from "../src/http/certificates.ts"
import { loadTls, type Tls } from "../src/http/tls.ts"
import { createServer } from "../src/server.ts"
import { bindSockets } from "../src/supervisor/sockets.ts"
import { sampleApp } from "./sample/app.ts"

const run = promisify(execFile)
const settings = { mode: "self-signed", certificate: "tls/certificate.pem", key: "tls/key.pem" } as const
const asFiles = { ...settings, mode: "files" } as const

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "tls-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Loads as a start does, and keeps what was logged. */
async function load(folder: string, mode: typeof settings | typeof asFiles = settings, host = "localhost") {
  const lines: string[] = []
  const log = new Log("info", "server", (line) => void lines.push(line))
  return { tls: (await loadTls(mode, { folder, host, log }))!, lines }
}

const filesOf = (folder: string) => ({
  certificate: join(folder, settings.certificate),
  key: join(folder, settings.key),
})

/** A server that listens at localhost, with a route that answers when the test says so. */
async function serve(t: TestContext, tls?: Tls, port = 0) {
  const config = loadConfig({ folder: "/nonexistent", env: {} })
  const log = new Log("error", "server", () => {})
  const noDatabase = {
    poolSize: 1,
    connectTimeoutMs: 1,
    statementTimeoutMs: 1,
    idleInTransactionTimeoutMs: 1,
    preparedStatements: false,
    logSql: false as const,
  }
  const database = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none" }, noDatabase, log)
  const held = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const routes: Routes = (api) => {
    const schema = { response: { 200: Type.Object({ ip: Type.String() }) } }
    api.get("/held", { role: "visitor", schema }, async ({ ip }) => {
      reached.resolve()
      await held.promise
      return { ip }
    })
  }
  const capabilities = openCapabilities({ app: sampleApp(routes), config, mode: "test", database, log })
  const server = await createServer({ app: sampleApp(routes), config, mode: "test", database, capabilities, log, tls })
  const sockets = await bindSockets("localhost", port)
  const acceptor = new Acceptor(server)
  await acceptor.listen(sockets.handles as unknown as net.Socket[])
  let closing: Promise<void> | undefined
  const end = async () => {
    sockets.close()
    await acceptor.end({ limitMs: 10_000, hasSuccessor: false })
    await server.close()
  }
  const close = () => (closing ??= end())
  t.after(async () => {
    held.resolve()
    await close()
    await capabilities.close()
    await database.close()
  })
  return { server, port: sockets.port, close, release: held.resolve, reached: reached.promise }
}

const families = ["127.0.0.1", "::1"]

async function get(options: https.RequestOptions & { plain?: boolean }): Promise<number> {
  const request = (options.plain ? http : https).get({ path: "/api/health", agent: false, ...options })
  const [response] = await once(request, "response")
  response.resume()
  await once(response, "end")
  return response.statusCode
}

test("a self-signed certificate is made when there is none, and its key is for its owner only", async (t) => {
  const folder = scratch(t)
  const { tls, lines } = await load(folder)
  assert.match(lines.join(""), /\(INFO\) tls: Made a self-signed certificate, since there was none/)
  const { certificate, key } = filesOf(folder)
  assert.equal(statSync(key).mode & 0o777, 0o600)
  const made = new X509Certificate(readFileSync(certificate))
  for (const name of ["localhost", (await import("node:os")).hostname()]) assert.ok(made.checkHost(name), name)
  for (const address of families) assert.ok(made.checkIP(address), address)
  assert.equal(made.ca, false)
  assert.equal(tls.isSelfSigned, true)

  const before = readFileSync(certificate, "utf8")
  assert.deepEqual((await load(folder)).lines, [])
  assert.equal(readFileSync(certificate, "utf8"), before, "one that is good is kept")
})

test("a self-signed certificate is made anew before it ends, without its key, and for another host", async (t) => {
  const folder = scratch(t)
  const { certificate, key } = filesOf(folder)
  const make = (days: number) => makeCertificate({ ...filesOf(folder), hosts: [], days })
  const isMadeAnew = async (reason: RegExp, host = "localhost") => {
    const before = readFileSync(certificate, "utf8")
    const { tls, lines } = await load(folder, settings, host)
    assert.match(lines.join(""), reason)
    assert.notEqual(readFileSync(certificate, "utf8"), before)
    assert.ok(tls.certificate.validToDate.getTime() > Date.now() + 300 * 86_400_000)
  }
  for (const days of [-1, 29]) {
    await make(days)
    await isMadeAnew(/since the one before ends on \d{4}-\d\d-\d\d/)
  }
  rmSync(key)
  await isMadeAnew(/since the one before lacks its key/)
  const other = scratch(t)
  await makeCertificate({ ...filesOf(other), hosts: [], days: 365 })
  writeFileSync(key, readFileSync(filesOf(other).key))
  await isMadeAnew(/since the one before lacks its key/)
  await isMadeAnew(/since the one before is not for 192\.168\.7\.7/, "192.168.7.7")
  await isMadeAnew(/since the one before is not for api\.example\.org/, "api.example.org")
  for (const host of ["0.0.0.0", "::", "not_a_dns_name"])
    assert.deepEqual((await load(folder, settings, host)).lines, [])
})

test("a certificate that somebody else made is never replaced", async (t) => {
  const folder = scratch(t)
  const { certificate, key } = filesOf(folder)
  await makeCertificate({ ...filesOf(folder), hosts: [], days: 365 })
  const subject = ["-subj", "/CN=example.org", "-days", "5", "-nodes", "-newkey", "rsa:2048"]
  await run("openssl", ["req", "-x509", ...subject, "-out", certificate, "-keyout", key])
  const before = readFileSync(certificate, "utf8")
  const { lines } = await load(folder)
  assert.equal(readFileSync(certificate, "utf8"), before)
  assert.match(lines.join(""), /\(WARN(ING)?\) tls: The certificate .* ends on/)

  rmSync(certificate)
  await assert.rejects(load(folder), { name: "BootError", message: /There is a key at .* and no certificate/ })
})

test("of several starts at once all have the certificate that is in the files in the end", async (t) => {
  const folder = scratch(t)
  await Promise.all([load(folder), load(folder), load(folder), load(folder)])
  const { tls, lines } = await load(folder, asFiles)
  assert.deepEqual(lines, [])
  assert.equal(tls.isSelfSigned, true)
})

test("files that will not do stop the boot, and each fault is named", async (t) => {
  const folder = scratch(t)
  const { certificate, key } = filesOf(folder)
  const refused = (message: RegExp) => assert.rejects(load(folder, asFiles), { name: "BootError", message })
  await refused(/certificate cannot be read: ENOENT.*key cannot be read: ENOENT.*trestle certificate/s)
  await makeCertificate({ ...filesOf(folder), hosts: [], days: 365 })
  const right = readFileSync(key, "utf8")
  writeFileSync(key, "no key")
  await refused(/key\.pem is no private key in PEM/)
  const other = scratch(t)
  await makeCertificate({ ...filesOf(other), hosts: [], days: 365 })
  writeFileSync(key, readFileSync(filesOf(other).key))
  await refused(/key\.pem is not the key of .*certificate\.pem/)
  writeFileSync(key, right)
  writeFileSync(certificate, "no certificate")
  await refused(/certificate\.pem is no certificate in PEM/)
})

test("a certificate that ended, one that ends soon and a key that others may read are told of", async (t) => {
  const folder = scratch(t)
  const { key } = filesOf(folder)
  const told = async (days: number) => {
    await makeCertificate({ ...filesOf(folder), hosts: [], days })
    return (await load(folder, asFiles)).lines.join("")
  }
  assert.equal(await told(365), "")
  assert.match(await told(29), /\(WARN(ING)?\) tls: .* ends on/)
  assert.match(await told(-1), /\(ERROR\) tls: .* ended on .*clients refuse it/)
  await told(365)
  for (const mode of [0o640, 0o604]) {
    chmodSync(key, mode)
    assert.match((await load(folder, asFiles)).lines.join(""), /can be read by others.*chmod 600/)
  }
})

test("Node, curl and openssl speak TLS 1.2 and 1.3 with it, at every name of this machine", async (t) => {
  const { tls: loaded } = await load(scratch(t))
  const { port } = await serve(t, loaded)
  const ca = readFileSync(loaded.file)
  for (const host of families) {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      assert.equal(await get({ host, port, ca, minVersion: version, maxVersion: version }), 200, `${host} ${version}`)
    }
  }
  await assert.rejects(get({ host: "127.0.0.1", port }), /self-signed certificate/)
  for (const name of ["localhost", "127.0.0.1", "[::1]"]) {
    const { stdout } = await run("curl", ["-sS", "--cacert", loaded.file, `https://${name}:${port}/api/health`])
    assert.match(stdout, /Server is healthy/)
  }
  for (const [version, isSpoken] of Object.entries({ "-tls1_2": true, "-tls1_3": true, "-tls1_1": false })) {
    const connection = run("openssl", [
      ...["s_client", version, "-connect", `localhost:${port}`, "-CAfile", loaded.file, "-verify_return_error"],
      ...["-cipher", "ALL:@SECLEVEL=0"],
    ])
    connection.child.stdin?.end()
    if (isSpoken) assert.match((await connection).stdout, /Verify return code: 0 \(ok\)/)
    else await assert.rejects(connection, /alert protocol version|unsupported protocol/)
  }
})

test("what is no TLS is closed, and the server goes on", async (t) => {
  const { tls: loaded } = await load(scratch(t))
  const { port } = await serve(t, loaded)
  const ca = readFileSync(loaded.file)
  for (const host of families) {
    for (const bytes of ["GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n", "\0\0\0\0", "\x16\x03\x01\x00\x05hello", ""]) {
      const socket = net.connect(port, host)
      socket.on("error", () => {})
      await once(socket, "connect")
      let received = ""
      socket.setEncoding("latin1").on("data", (chunk) => (received += chunk))
      socket.end(bytes)
      await once(socket, "close")
      assert.ok(!received.includes("200 OK"))
    }
    const aborted = net.connect(port, host)
    await once(aborted, "connect")
    aborted.resetAndDestroy()
    assert.equal(await get({ host, port, ca }), 200)
  }
})

test("localhost is both addresses, with the same port, with and without TLS", async (t) => {
  const plain = await serve(t)
  const secure = await serve(t, (await load(scratch(t))).tls)
  for (const host of families) {
    assert.equal(await get({ host, port: plain.port, plain: true }), 200)
    assert.equal(await get({ host, port: secure.port, rejectUnauthorized: false }), 200)
  }
  await secure.close()
  for (const host of families)
    await assert.rejects(get({ host, port: secure.port, rejectUnauthorized: false }), /ECONNREFUSED/)
})

test("a port that is taken at either address of localhost is refused, not left out", async (t) => {
  for (const host of families) {
    const other = net.createServer().listen(0, host)
    await once(other, "listening")
    t.after(() => other.close())
    const { port } = other.address() as net.AddressInfo
    await assert.rejects(serve(t, undefined, port), /is taken. Stop what listens there/)
  }
})

test("a close waits for the requests at both addresses, and not for idle connections", async (t) => {
  for (const host of families) {
    const { port, close, release, reached } = await serve(t)
    const agent = new http.Agent({ keepAlive: true })
    t.after(() => agent.destroy())
    const options = { host, port, plain: true }
    assert.equal(await get({ ...options, agent }), 200)
    const held = get({ ...options, path: "/api/sample/held" })
    await reached
    let isClosed = false
    const closed = close().then(() => (isClosed = true))
    await new Promise(setImmediate)
    assert.equal(isClosed, false)
    release()
    assert.equal(await held, 200)
    await closed
  }
})

test("a new certificate comes into force without a restart, at both addresses", async (t) => {
  const folder = scratch(t)
  const { tls: first } = await load(folder)
  const { server, port } = await serve(t, first)
  const shownAt = async (host: string) => {
    const socket = tls.connect({ host, port, rejectUnauthorized: false })
    await once(socket, "secureConnect")
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }
  for (const host of families) assert.equal(await shownAt(host), first.certificate.fingerprint256)
  await makeCertificate({ ...filesOf(folder), hosts: [], days: 365 })
  const { tls: second } = await load(folder)
  ;(server.server as unknown as https.Server).setSecureContext(second.options)
  for (const host of families) assert.equal(await shownAt(host), second.certificate.fingerprint256)
})
