/** Routes behind a session, for the bench: one movie, a list of 20, an insert. As routes are that many ask: prepared. */
import type { Kysely } from "kysely"
import { type Api, ById, Id, Input, notFound, prepare, type Row, Timestamp, Type } from "trestle"

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

type BenchDb = Kysely<{ movies: Row<typeof Movie> }>

const movieById = prepare((db: BenchDb, { id }: { id: string }) =>
  db.selectFrom("movies").selectAll().where("id", "=", id),
)
const firstMovies = prepare((db: BenchDb) =>
  db.selectFrom("movies").selectAll().orderBy("created").orderBy("id").limit(20),
)
const addMovie = prepare(
  (db: BenchDb, { title, director, creator }: { title: string; director?: string | undefined; creator: string }) =>
    db.insertInto("movies").values({ title, director, creator }).returningAll(),
)

export function behindSession(api: Api): void {
  const db = api.db as unknown as BenchDb

  /** Returns one movie. */
  api.get(
    "/movies/:id",
    { role: "readonly", schema: { params: ById, response: { 200: Movie } } },
    async ({ params }) => {
      const [movie] = await movieById(db, params)
      if (!movie) throw notFound("movie")
      return movie
    },
  )

  /** Returns 20 movies. */
  api.get("/movies", { role: "readonly", schema: { response: { 200: Type.Array(Movie) } } }, async () =>
    firstMovies(db, {}),
  )

  /** Creates a movie. */
  api.post(
    "/movies",
    { role: "editor", schema: { body: MovieInput, response: { 201: Movie } } },
    async ({ body, user }, reply) => {
      const [movie] = await addMovie(db, { title: body.title, director: body.director, creator: user.id })
      return reply.code(201).send(movie!)
    },
  )
}
