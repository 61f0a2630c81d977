import { Id, Input, type Row, Timestamp, Type } from "trestle"

/** A movie: its row in the database, and what clients get. */
export const Movie = Type.Object({
  id: Type.Readonly(Id),
  created: Type.Readonly(Timestamp),
  modified: Type.Readonly(Timestamp),
  creator: Type.Readonly(Id),
  title: Type.String({ minLength: 1, maxLength: 200 }),
  director: Type.Optional(Type.String({ maxLength: 200 })),
})

/** Title and director: all that a client may set. */
export const MovieInput = Input(Movie)

/** The same to change a movie: what is left out stays as it is. */
export const MovieChange = Type.Partial(MovieInput)

export const MovieSearch = Type.Object({
  search: Type.Optional(
    Type.String({ maxLength: 200, description: "Part of the title or of the director, in any case" }),
  ),
  creator: Type.Optional(Id),
  page: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1 }),
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
})

declare module "trestle" {
  interface Tables {
    movies: Row<typeof Movie>
  }
}
