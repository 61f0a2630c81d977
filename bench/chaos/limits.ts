/** A limit holds over all processes: never more, and a client gets all of it, whichever process its connections reach. */
import { type Chaos, count, type Finding } from "./findings.ts"
import { cpuMs, hasProc } from "./processes.ts"
import type { Server } from "./site.ts"

const limited = { asks: [{ path: "/api/chaos/limited" }] }
/** A limit of less than two for each process has no shares: each request asks. */
const some = [{ clients: 1000, each: 5, mostShare: 5 }]
const many = [
  { clients: 10_000, each: 100, mostShare: 2 },
  { clients: 10_000, each: 10, mostShare: 5 },
]
const settings = {
  WORKERS_WEB: "4",
  RATE_LIMIT_ENABLED: "true",
  RATE_LIMIT_LIMIT: "1000000/hour",
  TRUSTED_PROXIES: "127.0.0.1",
}

export async function* limits({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  {
    await using server = await project.start(settings)
    const ways = {
      "64 connections at once": { clients: 64 },
      "one client that moves": { clients: 1, keepAlive: false },
    }
    let client = 1
    for (const [way, how] of Object.entries(ways)) {
      const headers = { "x-forwarded-for": `192.0.2.${client++}` }
      const { statuses, pids } = await server.load({ ...limited, ...how, headers, count: 600 }).outcome
      const spread = Object.values(pids)
      yield {
        promise: `a limit of 100 over 4 processes admits exactly 100 (${way})`,
        figure:
          `${statuses[200] ?? 0} admitted, ${statuses[429] ?? 0} answered 429, of 600; admitted by ` +
          `${spread.length} processes (${spread.join(", ")})${aloneIn(server)}`,
        isKept: statuses[200] === 100 && statuses[429] === 500,
      }
    }
    const { share, rate } = await underLoad(server, { addresses: 64, count: isShort ? 10_000 : 60_000 })
    yield cheap("counting 64 clients that ask all the time", { share, rate, mostShare: 2 })
  }
  for (const { clients, each, mostShare } of isShort ? some : many) {
    await using server = await project.start({ ...settings, RATE_LIMIT_LIMIT: `${each}/hour` })
    const sent = clients * each * 1.2
    const { outcome, share, rate } = await underLoad(server, { addresses: clients, count: sent })
    const { 200: admitted = 0, 429: denied = 0 } = outcome.statuses
    yield {
      promise: `${count(clients, "client")} with a limit of ${each} each are admitted exactly that often`,
      figure:
        `${admitted} of ${sent} requests admitted, ${clients * each} allowed; ${denied} answered 429; ` +
        `the longest answer took ${outcome.longestMs} ms${aloneIn(server)}`,
      isKept: admitted === clients * each && denied === sent - clients * each,
    }
    yield cheap(`counting ${count(clients, "client")} that all use up a limit of ${each}`, { share, rate, mostShare })
  }
}

/** On an overloaded machine a supervisor may be taken for silent; then limits hold in each process only. */
const aloneIn = (server: Server): string => {
  const times = server.output.match(/this process counts by itself/g)?.length
  return times ? `; ${times} times a process counted by itself, since the supervisor did not answer in time` : ""
}

/** What the clients got, how much of a core the supervisor took meanwhile, in percent, and the requests per second. */
async function underLoad(server: Server, more: { addresses: number; count: number }) {
  const before = cpuMs(server.pid)
  const began = performance.now()
  const outcome = await server.load({ asks: [{ path: "/api/chaos/who" }], clients: 64, ...more }).outcome
  const tookMs = performance.now() - began
  return { outcome, share: ((cpuMs(server.pid) - before) / tookMs) * 100, rate: (more.count / tookMs) * 1000 }
}

function cheap(what: string, { share, rate, mostShare }: { share: number; rate: number; mostShare: number }): Finding {
  const promise = `${what} takes the supervisor less than ${mostShare} % of a core at full load`
  if (!hasProc) return { promise, notShown: "this system has no /proc" }
  return {
    promise,
    figure: `${share.toFixed(1)} % at ${Math.round(rate)} requests a second`,
    isKept: share < mostShare,
  }
}
