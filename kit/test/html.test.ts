// @together
/** The template for pages: what it escapes, and what it refuses. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type Api, HtmlPage, html, sendHtml, Type, unsafeHtml } from "trestle"
import { testApp } from "trestle/testing"
import { sampleApp } from "./sample/app.ts"

const hostile = `<script>alert("1")</script>'&`
const harmless = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"

test("values are escaped in text and in quoted attributes", () => {
  assert.equal(String(html`<p>${hostile}</p>`), `<p>${harmless}</p>`)
  assert.equal(String(html`<p title="${hostile}" lang='${hostile}'>`), `<p title="${harmless}" lang='${harmless}'>`)
  assert.equal(String(html`<title>${hostile}</title>`), `<title>${harmless}</title>`)
  assert.equal(String(html`${hostile}`), harmless)
})

test("HTML and lists of it nest without being escaped twice", () => {
  const item = (text: string) => html`<li>${text}</li>`
  assert.equal(String(html`<ul>${["a", "<b>"].map(item)}</ul>`), "<ul><li>a</li><li>&lt;b&gt;</li></ul>")
  assert.equal(String(html`${html`${html`${"&"}`}`}`), "&amp;")
  assert.equal(String(html`${[["<"], [html`<i>`, [">"]]]}`), "&lt;<i>&gt;")
  assert.equal(String(html`${unsafeHtml("<b>bold</b>")}`), "<b>bold</b>")
})

test("nothing is written for null, undefined, true and false, and numbers are", () => {
  assert.equal(String(html`[${null}${undefined}${false}${true}]`), "[]")
  assert.equal(String(html`${0} ${-1.5} ${10n} ${""}`), "0 -1.5 10 ")
  assert.equal(String(html`<p title="${null}">`), '<p title="">')
})

test("a link with another scheme leads nowhere", () => {
  const link = (to: string) => /"(.*)"/.exec(String(html`<a href="${to}">`))![1]
  for (const to of [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "JaVa\nScript:alert(1)",
    "\u0001javascript:alert(1)",
    "data:text/html,<script>",
    "vbscript:x",
    "unknown:x",
  ]) {
    assert.equal(link(to), "about:invalid", to)
  }
  for (const to of [
    "https://example.com/?a=b:c",
    "HTTP://x",
    "mailto:a@b.c",
    "tel:1",
    "/a:b",
    "a",
    "?q=a:b",
    "#a:b",
    "",
  ]) {
    assert.equal(link(to), to)
  }
  assert.equal(String(html`<a href="/x/${"javascript:"}">`), '<a href="/x/javascript:">')
  assert.equal(String(html`<a href="${"java"}${"script:alert(1)"}">`), '<a href="javaabout:invalid">')
  assert.equal(String(html`<a href="${""}${"javascript:"}">`), '<a href="about:invalid">')
  assert.equal(String(html`<img src=" ${"javascript:"}">`), '<img src=" about:invalid">')
  assert.equal(String(html`<p title="${"javascript:"}">`), '<p title="javascript:">')
})

test("a place where escaping is not enough is refused", () => {
  const refused: [make: () => unknown, message: RegExp][] = [
    [() => html`<p title=${"x"}>`, /in the tag <p> outside quotes/],
    [() => html`<p title = ${"x"}>`, /outside quotes/],
    [() => html`<p title=a${"x"}>`, /outside quotes/],
    [() => html`<p ${"x"}>`, /outside quotes/],
    [() => html`<p ${"x"}="y">`, /outside quotes/],
    [() => html`<p title="a"${"x"}>`, /outside quotes/],
    [() => html`<${"x"}>`, /behind </],
    [() => html`</${"x"}>`, /behind </],
    [() => html`<!-${"x"}`, /behind </],
    [() => html`<h${1}>`, /in the tag <h>/],
    [() => html`<script>${"x"}</script>`, /inside <script>/],
    [() => html`<script>const a = "<p>${"x"}"</script>`, /inside <script>/],
    [() => html`<SCRIPT type="module">let x = '${"x"}'</SCRIPT>`, /inside <script>/],
    [() => html`<style>${"x"}</style>`, /inside <style>/],
    [() => html`<!-- ${"x"} -->`, /inside a comment/],
    [() => html`<p onclick="${"x"}">`, /in the attribute onclick/],
    [() => html`<p style="color: ${"x"}">`, /in the attribute style/],
    [() => html`<iframe srcdoc="${"x"}"></iframe>`, /in the attribute srcdoc/],
    [() => html`<p title="${html`x`}">`, /HTML cannot stand in an attribute/],
    [() => html`<p title="`, /ends inside <p>/],
    [() => html`<script>`, /ends inside <script>/],
    [() => html`<!--`, /ends inside <!-->/],
    [() => html`${new Date() as never}`, /not \[object Date\]/],
    [() => html`${{} as never}`, /not \[object Object\]/],
    [() => html`${(() => "x") as never}`, /not \[object Function\]/],
  ]
  for (const [make, message] of refused) assert.throws(make, { name: "TypeError", message }, String(make))
})

test("values may follow what only looks like one of those places", () => {
  const a = "x"
  assert.equal(String(html`<script>let a = "</p>"</script><p>${a}`), '<script>let a = "</p>"</script><p>x')
  assert.equal(String(html`<!-- <p title= --><p>${a}`), "<!-- <p title= --><p>x")
  assert.equal(String(html`<p title=">${a}">${a}`), '<p title=">x">x')
  assert.equal(String(html`<input disabled value='${a}' data-a=b>${a}`), "<input disabled value='x' data-a=b>x")
  assert.equal(String(html`<p title="a = b" lang="${a}">1 < 2 ${a}`), '<p title="a = b" lang="x">1 < 2 x')
})

test("a route sends a page as HTML, in UTF-8, escaped", async (t) => {
  const app = sampleApp((api) => {
    const route = {
      role: "visitor",
      schema: { querystring: Type.Object({ name: Type.String() }), response: { 200: HtmlPage } },
    } as const
    api.get("/", route, async ({ query }, reply) => sendHtml(reply, html`<!doctype html><p>Héllo, ${query.name}`))
  })
  const { visitor } = await testApp(t, app)
  const page = await visitor.get(`/api/sample?name=${encodeURIComponent(hostile)}`)
  assert.equal(page.status, 200)
  assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8")
  assert.equal(page.body, `<!doctype html><p>Héllo, ${harmless}`)
})

/** Compiled only. */
export function mistakes(api: Api) {
  const page = { role: "visitor", schema: { response: { 200: HtmlPage } } } as const
  // @ts-expect-error text that nothing escaped
  api.get("/1", page, async () => "<p>")
  // @ts-expect-error text that nothing escaped, sent
  api.get("/2", page, async (_request, reply) => reply.type("text/html").send("<p>"))
  // @ts-expect-error text that nothing escaped, sent as a page
  api.get("/3", page, async (_request, reply) => sendHtml(reply, "<p>"))
  // @ts-expect-error an object has no text
  html`${{}}`
}
