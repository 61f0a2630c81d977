/** Routes behind a session, for the bench: one movie, a list of 20, an insert. */
import type { Kysely } from "kysely"
import { type Api, ById, Id, Input, notFound, type Row, Timestamp, Type } from "trestle"

/** The example's, again: a fork that deletes it keeps a bench whose types are right. */
const Movie = Type.Object({
  id: Type.Readonly(Id),
  created: Type.Readonly(Timestamp),
  modified: Type.Readonly(Timestamp),
  creator: Type.Readonly(Id),
  title: Type.String({ minLength: 1, maxLength: 200 }),
  director: Type.Optional(Type.String({ maxLength: 200 })),
})
const MovieInput = Input(Movie)

export function behindSession(api: Api): void {
  const db = api.db as unknown as Kysely<{ movies: Row<typeof Movie> }>

  /** Returns one movie. */
  api.get("/movies/:id", { role: "readonly", schema: { params: ById, response: { 200: Movie } } }, async ({ params }) =>
    db
      .selectFrom("movies")
      .selectAll()
      .where("id", "=", params.id)
      .executeTakeFirstOrThrow(() => notFound("movie")),
  )

  /** Returns 20 movies. */
  api.get("/movies", { role: "readonly", schema: { response: { 200: Type.Array(Movie) } } }, async () =>
    db.selectFrom("movies").selectAll().orderBy("created").orderBy("id").limit(20).execute(),
  )

  /** Creates a movie. */
  api.post(
    "/movies",
    { role: "editor", schema: { body: MovieInput, response: { 201: Movie } } },
    async ({ body, user }, reply) => {
      const values = { ...body, creator: user.id }
      return reply.code(201).send(await db.insertInto("movies").values(values).returningAll().executeTakeFirstOrThrow())
    },
  )
}
