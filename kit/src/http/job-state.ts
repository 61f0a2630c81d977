/** How far a background job is, for whoever its `readable` lets. */
import type { Api } from "../app.ts"
import { notFound } from "../core/errors.ts"
import { reaches, type User } from "../core/roles.ts"
import { ById, Id, Timestamp, Type } from "../core/schema.ts"
import type { AnyJob } from "../jobs/job.ts"

const JobState = Type.Object({
  id: Id,
  name: Type.String(),
  phase: Type.Enum(["waiting", "running", "done", "dead", "cancelled"]),
  attempts: Type.Integer({ description: "The attempts that have begun." }),
  created: Timestamp,
  due: Timestamp,
  started: Type.Optional(Timestamp),
  ended: Type.Optional(Timestamp),
  progress: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: "As the job last reported it." })),
  note: Type.Optional(Type.String({ description: "What it said with that." })),
})

export function jobState(api: Api, jobs: readonly AnyJob[]): void {
  const byName = new Map(jobs.map((job) => [job.name, job]))

  /**
   * Returns how far a background job is.
   * A job that the caller may not read is answered like one that there is not: its id says nothing.
   */
  api.get(
    "/api/jobs/:id",
    { role: "visitor", schema: { params: ById, response: { 200: JobState } } },
    async ({ params, caller }, reply) => {
      const state = await api.jobs.find(params.id)
      const job = state && byName.get(state.name)
      if (!job || !mayRead(job, caller, state.data)) throw notFound("job")
      reply.header("cache-control", "no-store")
      // What it was told, and why it failed, is for those who run the server: npx trestle jobs.
      const { data, error, ...shown } = state
      return shown
    },
  )
}

function mayRead({ readable }: AnyJob, caller: User | null, data: unknown): boolean {
  return typeof readable === "string" ? reaches(caller?.role, readable) : readable(caller, data)
}
