/** A queue under measurement, in two processes: one runs jobs, one sends them. What both do is asked for by messages. */

export interface JobSubject {
  /** Makes so many jobs that wait, at once. */
  fill(count: number): Promise<void>
  /** Sends one, with the moment when that began. */
  send(at: number): Promise<void>
  /** Runs jobs, so many at a time, and says of each when it was sent. Returns what ends it, when all is settled. */
  work(concurrency: number, ran: (at: number) => void): Promise<() => Promise<void>>
}

/** What a process is asked to do. */
export type JobTask =
  | { do: "fill"; count: number }
  /** One after the other, with a pause: each finds a worker that waits. */
  | { do: "send"; count: number; pauseMs: number }
  /** Until so many have run. Says `true` when it runs, and a {@link JobOutcome} in the end. */
  | { do: "work"; concurrency: number; count: number }

export interface JobOutcome {
  /** From the first job's beginning until all were settled. */
  ms: number
  /** CPU time for a job, in microseconds. */
  cpu: number
  /** From each one's sending until it began, in milliseconds. */
  pickups: number[]
}

/** The same on all processes of a machine, in milliseconds. */
const now = () => performance.timeOrigin + performance.now()

export function serveJobs(subject: JobSubject): void {
  process.on("message", async (task: JobTask) => {
    if (task.do === "fill") {
      await subject.fill(task.count)
      process.send!(true)
    } else if (task.do === "send") {
      for (let i = 0; i < task.count; i++) {
        await subject.send(now())
        await new Promise((resolve) => setTimeout(resolve, task.pauseMs))
      }
      process.send!(true)
    } else {
      const pickups: number[] = []
      const { promise: allRan, resolve } = Promise.withResolvers<void>()
      let began = 0
      const before = process.cpuUsage()
      const stop = await subject.work(task.concurrency, (at) => {
        began ||= performance.now()
        if (pickups.push(now() - at) === task.count) resolve()
      })
      process.send!(true)
      await allRan
      await stop()
      const { user, system } = process.cpuUsage(before)
      const outcome: JobOutcome = { ms: performance.now() - began, cpu: (user + system) / task.count, pickups }
      process.send!(outcome)
    }
  })
  // Whoever measures may be killed.
  process.on("disconnect", () => process.exit())
  process.send!(true)
}
