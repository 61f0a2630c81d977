/**
 * The files of the application's folder `static/`, at `/`. The API comes first: none of its paths gets a file or a page.
 * @fastify/static is not used: it streams every file, which costs about five times as much as sending small ones from memory.
 */
import { existsSync, realpathSync } from "node:fs"
import { extname } from "node:path"
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify"
import type { Config } from "../../core/config/index.ts"
import { acceptsPages } from "./conditions.ts"
import { sendFile } from "./send-file.ts"
import { type StaticFile, StaticFolder } from "./static-folder.ts"
import { decode, targetOf } from "./target.ts"

declare module "fastify" {
  interface FastifyContextConfig {
    /** The route of static files. It takes every path, so it says nothing of which there are. */
    isStatic?: boolean
  }
}

/** How often a large file is looked at again that was replaced between looking and opening. */
const attempts = 3

/** The files that stand where no route does. */
export interface StaticFiles {
  /** Whether a file is at the path of the request. */
  has(request: FastifyRequest): Promise<boolean>
  /** Answers with the file at the path of the request, at once when it is in memory; false when there is none. */
  answer(request: FastifyRequest, reply: FastifyReply): boolean | Promise<boolean>
  /** Answers with a page where nothing is: that of the single-page application, or 404.html; false when there is none. */
  answerUnknown(request: FastifyRequest, reply: FastifyReply): Promise<boolean>
}

/**
 * The static files of a folder; undefined when there is no such folder.
 * @param now a clock in milliseconds that never goes back
 */
export function openStaticFiles(
  folder: string,
  settings: Config["static_files"],
  now?: () => number,
): StaticFiles | undefined {
  if (!existsSync(folder)) return undefined
  const files = new StaticFolder(realpathSync(folder), settings.memory, now)
  const cacheControl = settings.max_age > 0 ? `public, max-age=${settings.max_age}` : "no-cache"

  const send = (request: FastifyRequest, reply: FastifyReply, path: string, file: StaticFile, status = 200) =>
    sendFile(request, reply, { file, status, cacheControl, open: (content) => files.open(path, content) })

  async function answerFile(request: FastifyRequest, reply: FastifyReply, path: string, status = 200) {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const file = await files.find(path)
      if (!file) return false
      if (await send(request, reply, path, file, status)) return true
    }
    throw new Error(`The static file ${path} was replaced each time that it was opened.`)
  }

  async function answerPath(request: FastifyRequest, reply: FastifyReply, path: string, target: string) {
    if (await answerFile(request, reply, target)) return true
    // Served where it is, its relative links would lead one folder up.
    if (path.endsWith("/") || !(await files.find(`${target}/index.html`))) return false
    reply.redirect(`${path}/${request.url.slice(path.length)}`, 301)
    return true
  }

  const fileAt = (path: string): string | undefined => {
    const target = isApi(path) ? undefined : targetOf(path)
    return target === "" || target?.endsWith("/") ? `${target}index.html` : target
  }

  return {
    async has(request) {
      const target = fileAt(pathOf(request))
      return target !== undefined && (await files.find(target)) !== undefined
    },

    answer(request, reply) {
      const path = pathOf(request)
      const target = fileAt(path)
      if (target === undefined) return false
      const file = files.fresh(target)
      const isSent = file ? send(request, reply, target, file) : false
      if (isSent === true) return true
      const otherwise = () => answerPath(request, reply, path, target)
      return isSent ? isSent.then((isSent) => isSent || otherwise()) : otherwise()
    },

    async answerUnknown(request, reply) {
      const path = pathOf(request)
      const isRead = request.method === "GET" || request.method === "HEAD"
      if (!isRead || isApi(path) || !acceptsPages(request.headers.accept)) return false
      // A missing script that came as a page would be a riddle in the browser's console.
      const isView = settings.spa_fallback && extname(path) === ""
      if (isView && (await answerFile(request, reply, "index.html"))) return true
      return answerFile(request, reply, "404.html", 404)
    },
  }
}

/**
 * Serves the files, after all routes. `/` is index.html if there is one, and else leads to `home`; an application that has
 * routes at these paths keeps them.
 */
export function staticFiles(api: FastifyInstance, files: StaticFiles | undefined, home: string | undefined): void {
  const url = files ? "/*" : "/"
  if ((!files && !home) || api.hasRoute({ method: "GET", url })) return
  api.route({
    method: ["GET", "HEAD"],
    url,
    schema: { hide: true },
    // A download takes as long as the client's line is slow; one that stalls is ended by its connection.
    config: files ? { isStatic: true, timeoutMs: Number.POSITIVE_INFINITY } : {},
    handler: (request, reply) => {
      const isAnswered = files?.answer(request, reply) ?? false
      // Without a promise for a file in memory: it would be a tenth of what the file costs.
      return typeof isAnswered === "boolean" ? otherwise(isAnswered) : isAnswered.then(otherwise)

      function otherwise(isAnswered: boolean): FastifyReply {
        if (isAnswered) return reply
        if (home && pathOf(request) === "/") return reply.redirect(home, 302)
        reply.callNotFound()
        return reply
      }
    },
  })
}

const pathOf = (request: FastifyRequest): string => request.url.split(/[?#]/, 1)[0]!
const isApi = (path: string): boolean =>
  path === "/api" || path.startsWith("/api/") || (path.includes("%") && decode(path.split("/", 2)[1] ?? "") === "api")
