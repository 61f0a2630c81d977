/** A process that answers requests, below `trestle start`. It reads the application and the settings; the supervisor does not. */
import { setTimeout as pause } from "node:timers/promises"
import { Acceptor, letGo } from "../http/accept.ts"
import type { ToWorker } from "../supervisor/messages.ts"
import { startJobs } from "./job-worker.ts"
import { type Begun, type ProcessMode, runProcess, tellVitals, watch } from "./process.ts"
import { trustFor } from "./sample-curl.ts"
import { openServer } from "./server.ts"

/** How often it tells of its connections, when their number changed: what the balance is kept by. */
const connectionsEveryMs = 125

/** The command of that name, and `dev-worker`, the same in development, which runs jobs too. */
export const webWorker = (mode: ProcessMode): Promise<void> => runProcess(mode, answer)

type Drain = Omit<Extract<ToWorker, { type: "drain" }>, "type">

async function answer(begun: Begun): Promise<void> {
  const { channel, config, mode, opened, address, windowsFrom } = begun
  let isDraining = false
  const openedServer = await openServer(address, begun, {
    process: process.env.TRESTLE_PROCESS!,
    isDraining: () => isDraining,
    // One alone has all of each limit.
    limits: mode === "production" ? channel.limits(windowsFrom) : undefined,
  })
  const { server, tls, close } = openedServer
  const acceptor = new Acceptor(server)
  const watchdog = watch(begun)
  const jobs = mode === "development" ? await startJobs(begun, openedServer.capabilities, "both") : undefined

  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const drain = async ({ delayMs, limitMs, hasSuccessor }: Drain) => {
    if (isDraining) return
    isDraining = true
    const jobsEnd = jobs?.stop(limitMs)
    if (delayMs > 0) await pause(delayMs)
    await Promise.all([acceptor.end({ limitMs, hasSuccessor }), jobsEnd])
    end()
  }
  channel.on("drain", drain)
  channel.on("shed", ({ connections }) => {
    if (connections > 0) acceptor.shed(connections)
    else if (!isDraining) channel.send({ type: "sockets" })
  })
  channel.onListen((sockets) => {
    if (isDraining) {
      for (const socket of sockets) letGo(socket)
      return
    }
    acceptor.listen(sockets).then(
      () => channel.send({ type: "ready" }),
      (error: Error) => channel.send({ type: "failed", reason: error.message, isFinal: true }),
    )
  })
  // What was logged until now comes before the words of the supervisor.
  opened.flush()
  using _vitals = tellVitals(channel, async () => {
    const { inFlight, answered } = server.requests
    return { connections: await acceptor.connections(), requests: inFlight, answered }
  })
  using _connections = tellConnections(begun, acceptor)
  channel.send({ type: "prepared", isTls: tls !== undefined, trust: trustFor(tls) })
  // Who comes now is answered; nobody would take its place.
  channel.whenLost(() => drain({ delayMs: 0, limitMs: config.workers.stop_timeout, hasSuccessor: false }))
  await ended
  await close()
  await watchdog.stop()
}

function tellConnections({ channel }: Begun, acceptor: Acceptor): Disposable {
  let told = -1
  const timer = setInterval(async () => {
    const now = await acceptor.connections()
    if (now !== told) channel.send({ type: "connections", connections: now })
    told = now
  }, connectionsEveryMs)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
