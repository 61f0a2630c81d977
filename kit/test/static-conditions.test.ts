// @together
/** Static files: only if they changed, only a part, in which encoding. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { preferredEncoding } from "../src/http/static/conditions.ts"
import { large, raw, serveSite, site } from "./static-site.ts"

test("who wants a file only in a state that it is not in gets 412", async (t) => {
  const { visitor } = await serveSite(t, site)
  const { headers } = await visitor.get("/robots.txt")
  const etag = headers.get("etag")!
  const modified = headers.get("last-modified")!
  const earlier = new Date(Date.parse(modified) - 1000).toUTCString()
  const met: Record<string, string>[] = [
    { "if-match": etag },
    { "if-match": `"other", ${etag}` },
    { "if-match": "*", "if-unmodified-since": earlier },
    { "if-unmodified-since": modified },
    { "if-unmodified-since": "yesterday" },
  ]
  for (const asked of met) assert.equal((await visitor.get("/robots.txt", asked)).status, 200, JSON.stringify(asked))
  const failed: Record<string, string>[] = [
    { "if-match": '"other"' },
    { "if-match": `W/${etag}` },
    { "if-match": '"other"', "if-none-match": etag },
    { "if-unmodified-since": earlier },
  ]
  for (const asked of failed) assert.equal((await visitor.get("/robots.txt", asked)).status, 412, JSON.stringify(asked))
})

test("who has a file already gets 304, by its tag or its time", async (t) => {
  const { visitor } = await serveSite(t, site, { env: { STATIC_FILES_MAX_AGE: "3600" } })
  for (const path of ["/robots.txt", "/large.bin"]) {
    const { headers } = await visitor.get(path)
    const etag = headers.get("etag")!
    const modified = headers.get("last-modified")!
    const later = new Date(Date.parse(modified) + 1000).toUTCString()
    const earlier = new Date(Date.parse(modified) - 1000).toUTCString()
    const unchanged: Record<string, string>[] = [
      { "if-none-match": etag },
      { "if-none-match": `"other", W/${etag}` },
      { "if-none-match": "*" },
      { "if-modified-since": modified },
      { "if-modified-since": later },
      { "if-none-match": etag, "if-modified-since": earlier },
    ]
    for (const asked of unchanged) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await visitor.call(method, path, undefined, asked)
        assert.equal(answer.status, 304, JSON.stringify(asked))
        assert.equal(answer.body, undefined)
        assert.equal(answer.headers.get("etag"), etag)
        assert.equal(answer.headers.get("cache-control"), "public, max-age=3600")
      }
    }
    const changed: Record<string, string>[] = [
      { "if-none-match": '"other"' },
      { "if-modified-since": earlier },
      { "if-modified-since": "yesterday" },
      { "if-none-match": '"other"', "if-modified-since": later },
    ]
    for (const asked of changed) assert.equal((await visitor.get(path, asked)).status, 200, JSON.stringify(asked))
  }
})

test("a range gets that part, and only of the state that the client has", async (t) => {
  const { url, visitor } = await serveSite(t)
  for (const [path, content] of Object.entries({ "/data.bin": site["data.bin"], "/large.bin": large })) {
    const { length } = content
    const { headers } = await visitor.get(path)
    assert.equal(headers.get("accept-ranges"), "bytes")
    const get = async (asked: Record<string, string>) => {
      const answer = await fetch(url + path, { headers: asked })
      return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
    }
    const parts: Record<string, [number, number]> = {
      "0-0": [0, 0],
      "2-5": [2, 5],
      "7-": [7, length - 1],
      "-3": [length - 3, length - 1],
      "-99999999999999999999": [0, length - 1],
      "5-99999999999999999999": [5, length - 1],
    }
    for (const [range, [start, end]] of Object.entries(parts)) {
      const part = await get({ range: `bytes=${range}` })
      assert.equal(part.status, 206, range)
      assert.equal(part.headers.get("content-range"), `bytes ${start}-${end}/${length}`)
      assert.deepEqual(part.bytes, content.subarray(start, end + 1), range)
    }
    for (const range of ["bytes=5-2", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4"]) {
      const whole = await get({ range })
      assert.deepEqual([whole.status, whole.bytes.length], [200, length], range)
    }
    for (const range of [`bytes=${length}-`, "bytes=-0", "bytes=99999999999999999999-"]) {
      const none = await get({ range })
      assert.equal(none.status, 416, range)
      assert.equal(none.headers.get("content-range"), `bytes */${length}`)
      assert.match(none.headers.get("content-type")!, /^application\/problem\+json/)
    }
    const current = [headers.get("etag")!, headers.get("last-modified")!]
    for (const state of current) assert.equal((await get({ range: "bytes=0-1", "if-range": state })).status, 206)
    for (const state of ['"other"', `W/${current[0]}`, new Date(0).toUTCString()]) {
      assert.equal((await get({ range: "bytes=0-1", "if-range": state })).status, 200)
    }
  }
  assert.equal((await visitor.get("/empty.txt", { range: "bytes=0-" })).status, 416)
})

test("what is compressed beside a file goes to those who take it", async (t) => {
  const files = {
    "app.js": "plain",
    "app.js.br": "in Brotli",
    "app.js.gz": "in gzip",
    "only.css": "x",
    "only.css.gz": "y",
  }
  const { url } = await serveSite(t, files)
  const { port } = new URL(url)
  const ask = (path: string, encodings?: string) =>
    raw(
      Number(port),
      `GET ${path} HTTP/1.1\r\nHost: x\r\n${encodings === undefined ? "" : `Accept-Encoding: ${encodings}\r\n`}`,
    )
  const expected: [string, string | undefined, string, string | undefined][] = [
    ["/app.js", undefined, "plain", undefined],
    ["/app.js", "gzip, deflate, br, zstd", "in Brotli", "br"],
    ["/app.js", "gzip", "in gzip", "gzip"],
    ["/app.js", "br;q=0.1, gzip;q=0.9", "in gzip", "gzip"],
    ["/app.js", "br;q=0, *", "in gzip", "gzip"],
    ["/app.js", "identity, gzip;q=0.5", "plain", undefined],
    ["/app.js", "*;q=0", "plain", undefined],
    ["/only.css", "br, gzip", "y", "gzip"],
    ["/only.css", "br", "x", undefined],
  ]
  const tags = new Set<string>()
  for (const [path, encodings, body, encoding] of expected) {
    const answer = await ask(path, encodings)
    assert.equal(answer.body, body, `${path} ${encodings}`)
    assert.equal(answer.headers["content-encoding"], encoding)
    assert.match(answer.headers.vary!, /accept-encoding/i)
    assert.match(answer.headers["content-type"]!, /^text\/(javascript|css); charset=utf-8$/)
    tags.add(`${path} ${encoding} ${answer.headers.etag}`)
  }
  assert.equal(tags.size, 5, "each encoding has a tag of its own")
  assert.equal((await ask("/app.js.gz", "gzip")).headers["content-type"], "application/gzip")
})

test("encodings are weighed as RFC 9110 says", () => {
  const both = ["br", "gzip"] as const
  assert.equal(preferredEncoding("BR ; Q=1.0", both), "br")
  assert.equal(preferredEncoding("gzip;q=1, br;q=1", both), "br")
  assert.equal(preferredEncoding("identity;q=0.5, gzip;q=0.5", both), "gzip")
  assert.equal(preferredEncoding("gzip;q=oops", both), undefined)
  assert.equal(preferredEncoding("", both), undefined)
  assert.equal(preferredEncoding("deflate", both), undefined)
})
