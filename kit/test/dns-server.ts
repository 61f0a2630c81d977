/** A DNS server on this machine that answers as the test says, for IPv4 and IPv6 addresses. */
import { createSocket, type RemoteInfo } from "node:dgram"
import type { TestContext } from "node:test"

/** What a name has; `silent` never gets an answer, and a name that is not there does not exist. */
export type Zone = Record<string, { a?: string[]; aaaa?: string[]; silent?: boolean }>

const types: Record<number, "a" | "aaaa" | undefined> = { 1: "a", 28: "aaaa" }

/** Starts one; returns its address, as `Resolver.setServers` takes it, and the questions that came. */
export async function startDnsServer(t: TestContext, zone: Zone): Promise<{ server: string; asked: string[] }> {
  const asked: string[] = []
  const socket = createSocket("udp4")
  socket.on("message", (question: Buffer, from: RemoteInfo) => {
    const { name, type, end } = readQuestion(question)
    asked.push(`${name} ${type}`)
    const entry = zone[name]
    if (entry?.silent) return
    const addresses = (type && entry?.[type]) ?? []
    const header = Buffer.from(question.subarray(0, 12))
    // An answer, recursion available; NXDOMAIN where there is no such name. One question, and so many answers.
    header.writeUInt16BE(0x8180 | (entry ? 0 : 3), 2)
    header.writeUInt16BE(1, 4)
    header.writeUInt16BE(addresses.length, 6)
    header.writeUInt32BE(0, 8)
    socket.send(Buffer.concat([header, question.subarray(12, end), ...addresses.map(record)]), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
  t.after(() => socket.close())
  return { server: `127.0.0.1:${socket.address().port}`, asked }
}

function readQuestion(message: Buffer): { name: string; type: "a" | "aaaa" | undefined; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join(".").toLowerCase(), type: types[message.readUInt16BE(at + 1)], end: at + 5 }
}

/** An address of the name in the question, good for no time at all. */
function record(address: string): Buffer {
  const data = address.includes(":") ? ipv6(address) : Buffer.from(address.split(".").map(Number))
  const head = Buffer.from([0xc0, 12, 0, data.length === 4 ? 1 : 28, 0, 1, 0, 0, 0, 0, 0, data.length])
  return Buffer.concat([head, data])
}

function ipv6(address: string): Buffer {
  const [before = "", after = ""] = address.split("::")
  const groups = (text: string) => (text === "" ? [] : text.split(":"))
  const zeros = Array(8 - groups(before).length - groups(after).length).fill("0")
  const words = address.includes("::") ? [...groups(before), ...zeros, ...groups(after)] : groups(before)
  return Buffer.from(words.map((word) => word.padStart(4, "0")).join(""), "hex")
}
