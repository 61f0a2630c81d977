import {
  type Api,
  ById,
  containing,
  type Db,
  forbidden,
  notFound,
  pageLinks,
  reaches,
  sql,
  Type,
  type User,
} from "trestle"
import { tellFans } from "./jobs.ts"
import { Movie, MovieChange, MovieInput, MovieSearch } from "./schema.ts"

export async function movies(api: Api) {
  const { db, jobs } = api

  /** Returns the movies that match the search, oldest first, a page at a time. */
  api.get(
    "/",
    { role: "visitor", schema: { querystring: MovieSearch, response: { 200: Type.Array(Movie) } } },
    async ({ query, url }, reply) => {
      let found = db.selectFrom("movies")
      if (query.creator) found = found.where("creator", "=", query.creator)
      if (query.search) {
        const pattern = containing(query.search)
        found = found.where((is) => is.or([is("title", "ilike", pattern), is("director", "ilike", pattern)]))
      }
      const { total } = await found.select(sql<number>`count(*)::int`.as("total")).executeTakeFirstOrThrow()
      reply.headers(pageLinks(url, { ...query, total }))
      return found
        .selectAll()
        .orderBy("created")
        .orderBy("id")
        .limit(query.limit)
        .offset((query.page - 1) * query.limit)
        .execute()
    },
  )

  /** Returns one movie. */
  api.get("/:id", { role: "visitor", schema: { params: ById, response: { 200: Movie } } }, async ({ params }) =>
    db
      .selectFrom("movies")
      .selectAll()
      .where("id", "=", params.id)
      .executeTakeFirstOrThrow(() => notFound("movie")),
  )

  /** Creates a movie, tells the director's fans, and returns it. */
  api.post(
    "/",
    { role: "editor", idempotent: true, schema: { body: MovieInput, response: { 201: Movie } } },
    async ({ body, user, tx }, reply) => {
      const movie = await tx
        .insertInto("movies")
        .values({ ...body, creator: user.id })
        .returningAll()
        .executeTakeFirstOrThrow()
      // Committed with the movie, or not at all.
      await jobs.send(tellFans, { movieId: movie.id }, { tx })
      return reply.code(201).send(movie)
    },
  )

  /** Changes a movie and returns it. What the body leaves out stays as it is. Only its creator or an admin may. */
  api.route({
    method: ["PUT", "PATCH"],
    url: "/:id",
    role: "editor",
    schema: { params: ById, body: MovieChange, response: { 200: Movie } },
    handler: async ({ params, body, user }) => {
      await mayChange(db, params.id, user)
      return db
        .updateTable("movies")
        .set({ ...body, modified: sql`now()` })
        .where("id", "=", params.id)
        .returningAll()
        .executeTakeFirstOrThrow(() => notFound("movie"))
    },
  })

  /** Deletes a movie and returns it as it was. Only its creator or an admin may. */
  api.delete(
    "/:id",
    { role: "editor", schema: { params: ById, response: { 200: Movie } } },
    async ({ params, user }) => {
      await mayChange(db, params.id, user)
      return db
        .deleteFrom("movies")
        .where("id", "=", params.id)
        .returningAll()
        .executeTakeFirstOrThrow(() => notFound("movie"))
    },
  )
}

/** Throws unless the user made the movie or is an admin. */
async function mayChange(db: Db, id: string, user: User): Promise<void> {
  const movie = await db
    .selectFrom("movies")
    .select("creator")
    .where("id", "=", id)
    .executeTakeFirstOrThrow(() => notFound("movie"))
  if (movie.creator !== user.id && !reaches(user.role, "admin")) throw forbidden("This movie is another's.")
}
