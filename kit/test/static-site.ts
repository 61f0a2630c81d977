/** A folder of static files for tests, and callers that send what fetch would put right. */

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { TestContext } from "node:test"
import { type Routes, Type } from "trestle"
import { type TestOptions, testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"

const Text = Type.Object({ text: Type.String() })
export const schema = { response: { 200: Text } }
export const routes: Routes = (api) => {
  api.get("/known", { role: "visitor", schema }, async () => ({ text: "from the API" }))
  api.post("/only-post", { role: "visitor", schema }, async () => ({ text: "posted" }))
}

export const large = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => i % 251))
export const site = {
  "index.html": "<h1>Home</h1>",
  "404.html": "<h1>Not here</h1>",
  "robots.txt": "User-agent: *\n",
  "style.css": "body {}",
  "data.bin": Buffer.from("0123456789"),
  "large.bin": large,
  "empty.txt": "",
  "a b&ü.txt": "odd name",
  "sub/index.html": '<a href="page.html">page</a>',
  "sub/page.html": "<h1>Page</h1>",
  "api/stolen.html": "no page of the API",
  ".env": "SECRET=1",
  ".git/config": "secret",
  "sub/.hidden": "secret",
  ".well-known/acme-challenge/token": "proof",
}

type Site = Record<string, string | Buffer>

/** A folder with files of a minute ago, as if they had been there before the server. */
export function siteFolder(t: TestContext, files: Site = site): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "static-")))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) write(join(folder, "static", name), content)
  return folder
}

export function write(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  const before = Date.now() / 1000 - 60
  utimesSync(file, before, before)
}

export async function serveSite(t: TestContext, files: Site = site, options: TestOptions = {}) {
  const folder = siteFolder(t, files)
  const app = await testApp(t, sampleApp(routes, { folder }), options)
  return { ...app, folder: join(folder, "static") }
}

export const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }

interface RawAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

/** Sends a head as it is and reads the answer; fetch would put the path right. */
export async function raw(port: number, head: string): Promise<RawAnswer> {
  const socket = net.connect(port, "127.0.0.1")
  socket.write(`${head}Connection: close\r\n\r\n`)
  let text = ""
  socket.setEncoding("latin1").on("data", (chunk) => (text += chunk))
  await new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject))
  const [top = "", ...rest] = text.split("\r\n\r\n")
  const [line = "", ...lines] = top.split("\r\n")
  const headers = Object.fromEntries(
    lines.map((one) => [one.slice(0, one.indexOf(":")).toLowerCase(), one.slice(one.indexOf(":") + 2)]),
  )
  return { status: Number(line.split(" ")[1]), headers, body: rest.join("\r\n\r\n") }
}

/** Asks again and again until the answer is as it should be, for 5 seconds at most. */
export async function until<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  const end = performance.now() + 5000
  for (;;) {
    const answer = await ask()
    if (isRight(answer)) return answer
    if (performance.now() > end) assert.fail("It did not become true.")
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
