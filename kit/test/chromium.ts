/** A real browser for tests: headless Chromium, driven over its DevTools protocol and nothing else. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { createInterface } from "node:readline"
import type { TestContext } from "node:test"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
const folders = (process.env.PATH ?? "").split(delimiter)

/** Where it is, if it is there. On Debian: `apt-get install chromium`. */
export const chromium = folders
  .flatMap((folder) => names.map((name) => join(folder, name)))
  .find((it) => existsSync(it))

/** Says why tests of pages are skipped; false where they are not. */
export const withoutChromium = chromium === undefined && "no Chromium here (apt-get install chromium)"

export interface BrowserPage {
  open(url: string): Promise<void>
  /** The value of an expression in the page; promises are awaited. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the page has.
  evaluate(expression: string): Promise<any>
  /** Waits until an expression in the page is true; fails with it after ten seconds. */
  until(expression: string): Promise<void>
  screenshot(
    file: string,
    width: number,
    height: number,
    options?: { isDark?: boolean; isWhole?: boolean },
  ): Promise<void>
  /** What the browser complained of: errors, exceptions, violations of the Content-Security-Policy. */
  complaints: string[]
  /** Every URL that it asked for. */
  requests: string[]
}

// biome-ignore lint/suspicious/noExplicitAny: the protocol has hundreds of shapes.
type Message = any

/** Opens a browser with nothing in it, and closes it when the test ends. */
export async function openBrowser(t: TestContext): Promise<BrowserPage> {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"))
  const browser = spawn(chromium!, [...flags, `--user-data-dir=${profile}`, "about:blank"], {
    // Killed, it leaves folders of its own behind: they go with the profile.
    env: { ...process.env, TMPDIR: profile },
    stdio: ["ignore", "ignore", "pipe"],
  })
  t.after(async () => {
    const closed = once(browser, "close")
    if (browser.exitCode === null && browser.signalCode === null) {
      browser.kill("SIGKILL")
      await closed
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  })
  const socket = new WebSocket(await addressOf(browser))
  await once(socket, "open")

  let count = 0
  const waiting = new Map<number, { resolve: (result: Message) => void; reject: (error: Error) => void }>()
  const page: Pick<BrowserPage, "complaints" | "requests"> = { complaints: [], requests: [] }
  const listeners = new Map<string, () => void>()
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(data) as Message
    if (id === undefined) {
      note(method, params, page)
      listeners.get(method)?.()
    } else if (error) waiting.get(id)!.reject(new Error(error.message))
    else waiting.get(id)!.resolve(result)
  })
  const ask = (method: string, params: object, sessionId?: string): Promise<Message> => {
    const answer = Promise.withResolvers<Message>()
    waiting.set(++count, answer)
    socket.send(JSON.stringify({ id: count, method, params, ...(sessionId && { sessionId }) }))
    return answer.promise
  }

  const { targetId } = await ask("Target.createTarget", { url: "about:blank" })
  const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true })
  const send = (method: string, params: object = {}) => ask(method, params, sessionId)
  for (const domain of ["Page", "Runtime", "Network", "Log", "Audits"]) await send(`${domain}.enable`)

  const evaluate: BrowserPage["evaluate"] = async (expression) => {
    const answer = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? expression)
    return answer.result.value
  }
  return {
    ...page,
    evaluate,
    async open(url) {
      const { promise, resolve } = Promise.withResolvers<void>()
      listeners.set("Page.loadEventFired", resolve)
      await send("Page.navigate", { url })
      await promise
    },
    async until(expression) {
      const holds = await evaluate(`new Promise((done) => {
        const end = Date.now() + 10000
        const look = () => { if (${expression}) done(true); else if (Date.now() > end) done(false); else setTimeout(look, 20) }
        look()
      })`)
      if (holds) return
      const text = await evaluate("document.body.innerText.slice(-2000)")
      const asked = page.requests.slice(-5).join("\n")
      throw new Error(
        `This did not come true in the page: ${expression}\n${page.complaints.join("\n")}\nLast requests:\n${asked}\nIt ends with:\n${text}`,
      )
    },
    async screenshot(file, width, height, { isDark = false, isWhole = false } = {}) {
      const media = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }]
      await send("Emulation.setEmulatedMedia", { features: media })
      await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 })
      const { data } = await send("Page.captureScreenshot", { captureBeyondViewport: isWhole })
      writeFileSync(file, Buffer.from(data, "base64"))
    },
  }
}

/** Nothing that goes out by itself, and no name that leads anywhere: servers of tests are on this machine. */
const flags = [
  "--headless",
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  "--remote-debugging-port=0",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-dev-shm-usage",
  "--disable-extensions",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-default-browser-check",
  "--no-first-run",
]

async function addressOf(browser: ChildProcess): Promise<string> {
  const said: string[] = []
  for await (const line of createInterface({ input: browser.stderr! })) {
    const address = /^DevTools listening on (ws:.*)$/.exec(line)?.[1]
    if (address) {
      browser.stderr!.resume()
      return address
    }
    said.push(line)
  }
  throw new Error(`Chromium did not start:\n${said.join("\n")}`)
}

function note(method: string, params: Message, page: Pick<BrowserPage, "complaints" | "requests">): void {
  if (method === "Network.requestWillBeSent") page.requests.push(params.request.url)
  else if (method === "Log.entryAdded" && params.entry.level === "error") {
    page.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`)
  } else if (method === "Runtime.exceptionThrown") page.complaints.push(params.exceptionDetails.exception?.description)
  else if (method === "Runtime.consoleAPICalled" && params.type === "error") {
    page.complaints.push(params.args.map((argument: Message) => argument.value ?? argument.description).join(" "))
  } else if (method === "Audits.issueAdded" && params.issue.code === "ContentSecurityPolicyIssue") {
    page.complaints.push(JSON.stringify(params.issue.details.contentSecurityPolicyIssueDetails))
  }
}
