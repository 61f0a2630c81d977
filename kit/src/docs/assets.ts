/** Files and documents of the documentation pages: made when first asked for, compressed once, and known again by browsers. */
import { hash } from "node:crypto"
import { promisify } from "node:util"
import { gzip } from "node:zlib"
import type { FastifyReply, FastifyRequest } from "fastify"

/** Something that is the same for everyone until the server restarts. */
export interface Asset {
  type: string
  plain: Buffer
  zipped: Buffer
  tag: string
}

export async function makeAsset(type: string, content: string | Buffer): Promise<Asset> {
  const plain = Buffer.from(content)
  return { type, plain, zipped: await promisify(gzip)(plain), tag: hash("sha256", plain, "base64url").slice(0, 22) }
}

/** Sends an asset, or 304 to a browser that has it. Browsers ask each time: after an update the page must fit its scripts. */
export function sendAsset(request: FastifyRequest, reply: FastifyReply, asset: Asset): FastifyReply {
  const isZipped = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(request.headers["accept-encoding"] ?? "")
  const etag = `"${asset.tag}${isZipped ? "-gzip" : ""}"`
  reply.headers({ etag, vary: "accept-encoding", "cache-control": "no-cache" })
  const known = (request.headers["if-none-match"] ?? "").split(",").map((one) => one.trim().replace(/^W\//, ""))
  if (known.includes(etag)) return reply.code(304).send()
  if (isZipped) reply.header("content-encoding", "gzip")
  return reply.type(asset.type).send(isZipped ? asset.zipped : asset.plain)
}
