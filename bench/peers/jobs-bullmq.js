/** BullMQ on Redis: its worker, or whoever sends it jobs. */
import { Queue, Worker } from "bullmq"
import { serveJobs } from "../servers/job-subject.ts"

const connection = { path: process.env.BENCH_REDIS }
const queue = new Queue("noop", { connection })

serveJobs({
  fill: (count) => queue.addBulk(Array.from({ length: count }, () => ({ name: "noop", data: { at: 0 } }))),
  send: (at) => queue.add("noop", { at }),
  async work(concurrency, ran) {
    const worker = new Worker("noop", async ({ data }) => ran(data.at), { connection, concurrency })
    await worker.waitUntilReady()
    return () => worker.close()
  },
})
