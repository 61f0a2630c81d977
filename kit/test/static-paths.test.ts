// @together
/** Static files: what no client gets, whatever path it sends. */
import assert from "node:assert/strict"
import { mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { raw, serveSite, write } from "./static-site.ts"

test("no path leads out of the folder, nor to what is hidden in it", async (t) => {
  const { url, folder } = await serveSite(t)
  write(join(folder, "../secret.txt"), "secret")
  write(join(folder, "../static-secret/a.txt"), "secret")
  mkdirSync(join(folder, "links"))
  symlinkSync("../../secret.txt", join(folder, "links/file"))
  symlinkSync("../..", join(folder, "links/folder"))
  symlinkSync("../.env", join(folder, "links/env"))
  symlinkSync("loop", join(folder, "links/loop"))
  symlinkSync("/dev/zero", join(folder, "links/zero"))
  symlinkSync("../sub/page.html", join(folder, "links/inside.html"))
  const { port } = new URL(url)
  const paths = [
    "/../secret.txt",
    "/sub/../../secret.txt",
    "/sub/../robots.txt",
    "/./robots.txt",
    "/%2e%2e%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/sub\\page.html",
    "/sub%2fpage.html",
    "/%252e%252e%252fsecret.txt",
    "/../static-secret/a.txt",
    "//etc/passwd",
    "//robots.txt",
    "/sub//page.html",
    "/robots.txt%00",
    "/robots.txt%00.html",
    "/%00",
    "/robots.txt.",
    "/robots.txt%20",
    "/robots.txt::$DATA",
    "/C:/robots.txt",
    "/robots.txt/",
    "/robots.txt/x",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/.git/",
    "/sub/.hidden",
    "/sub/.well-known/x",
    "/.well-known/../robots.txt",
    "/links/file",
    "/links/folder/secret.txt",
    "/links/env",
    "/links/loop",
    "/links/zero",
    "/links",
    "/links/",
    `/${"a".repeat(300)}`,
    `/${"a/".repeat(3000)}`,
    `/${"%C3%BC".repeat(200)}`,
    "http://localhost/../secret.txt",
  ]
  for (const path of paths) {
    for (const method of ["GET", "HEAD", "POST"]) {
      const answer = await raw(Number(port), `${method} ${path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n`)
      assert.equal(answer.status, 404, `${method} ${path}`)
      assert.ok(!answer.body.includes("secret"))
    }
  }
  for (const path of ["/%", "/%zz", "/%c3%28", "/\0"]) {
    const answer = await raw(Number(port), `GET ${path} HTTP/1.1\r\nHost: x\r\n`)
    assert.ok([400, 404].includes(answer.status), `${path} ${answer.status}`)
  }
  assert.equal((await raw(Number(port), "POST /x#%zz HTTP/1.1\r\nHost: x\r\n")).status, 404)
  assert.equal((await raw(Number(port), "GET /links/inside.html HTTP/1.1\r\nHost: x\r\n")).status, 200)
  assert.equal((await raw(Number(port), "GET http://localhost/robots.txt HTTP/1.1\r\nHost: x\r\n")).status, 200)
  // A redirect to the path with a slash must not become one to another host.
  for (const path of ["//sub", "/\\sub", "///sub", "/%2fsub"]) {
    assert.equal((await raw(Number(port), `GET ${path} HTTP/1.1\r\nHost: x\r\n`)).headers.location, undefined)
  }
})

test("a named pipe is no file, and nobody waits for it", { skip: process.platform === "win32" }, async (t) => {
  const { execFileSync } = await import("node:child_process")
  const { visitor, folder } = await serveSite(t)
  execFileSync("mkfifo", [join(folder, "pipe")])
  assert.equal((await visitor.get("/pipe")).status, 404)
})
