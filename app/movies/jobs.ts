import { cron, Id, job, sql, Type } from "trestle"

/** Tells a director's fans that a movie came in. Safe to run twice. */
export const tellFans = job("tell-fans", { data: Type.Object({ movieId: Id }) }, async ({ data, db, log }) => {
  const movie = await db.selectFrom("movies").selectAll().where("id", "=", data.movieId).executeTakeFirst()
  // Deleted meanwhile: there is nothing to tell.
  if (movie?.director) log.info(`Telling the fans of ${movie.director} about ${movie.title}.`)
})

/** Every night at two, on one server of all: forgets movies that nobody gave a title for a month. */
export const forgetStale = cron("forget-stale", "0 2 * * *", async ({ db, log }) => {
  const forgotten = await db
    .deleteFrom("movies")
    .where("title", "=", "untitled")
    .where("created", "<", sql<string>`now() - interval '1 month'`)
    .returning("id")
    .execute()
  log.info(`Forgot ${forgotten.length} movies.`)
})
