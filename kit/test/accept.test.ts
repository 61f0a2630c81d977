// @together
/** Accepting from sockets that another process owns. */
import assert from "node:assert/strict"
import { once } from "node:events"
import net from "node:net"
import { test } from "node:test"
import Fastify from "fastify"
import { Acceptor } from "../src/http/accept.ts"
import { bindSockets } from "../src/supervisor/sockets.ts"

test("sockets that come while it accepts already are let go of", async (t) => {
  const server = Fastify()
  const acceptor = new Acceptor(server)
  const first = await bindSockets("127.0.0.1", 0)
  const again = await bindSockets("127.0.0.1", 0)
  t.after(() => server.close())
  // A supervisor that hears nothing for a while offers them each time that it looks.
  await acceptor.listen(first.handles as never)
  await acceptor.listen(again.handles as never)

  const client = net.connect(first.port, "127.0.0.1")
  await once(client, "connect")
  client.destroy()
  const { fd } = again.handles[0] as unknown as { fd: number }
  assert.ok(fd < 0, `the descriptor ${fd} is still open`)
})
