/**
 * One schema per thing: the row in the database, what a client may send, what it gets and the documentation all come
 * from one TypeBox object. `Type` is TypeBox's own (https://github.com/sinclairzx81/typebox).
 */
import type { ColumnType } from "kysely"
import { type Static, type TObject, type TProperties, type TSchema, type TString, Type } from "typebox"

export { type Static, Type }

/** A uuid, made by the database. */
export const Id = Type.String({ format: "uuid" })

/** Schema of a moment. A type of its own, so that {@link Row} lets a `Date` be written where it stands. */
export interface TTimestamp extends TString {
  "~timestamp": true
}

/**
 * A moment: an ISO 8601 string in UTC, in rows and on the wire, as in `2026-11-20T09:30:00.123456Z`. Always with the six
 * digits that PostgreSQL keeps, so that a value read can be compared with the column, and strings sort as moments do.
 */
export const Timestamp = Type.String({ format: "date-time" }) as TTimestamp

/** The parameters of a path that ends in `/:id`. Anything but a uuid answers 404. */
export const ById = Type.Object({ id: Id })

type IsReadonly = { "~readonly": true }
type IsOptional = { "~optional": true }

type Writable<P extends TProperties> = { [K in keyof P as P[K] extends IsReadonly ? never : K]: P[K] }

/**
 * What a client may send for a schema: its properties that are not `Type.Readonly`.
 * Read-only ones in a body are ignored, since clients send whole objects back; unknown ones answer 400.
 * @example
 * export const MovieInput = Input(Movie) // to create
 * export const MovieChange = Type.Partial(MovieInput) // to change
 */
export function Input<P extends TProperties>(schema: TObject<P>): TObject<Writable<P>> {
  // The read-only properties stay, marked: the request's validator takes them out of a body by that mark, and
  // `Type.Partial` and its like keep it.
  const properties = Object.entries(schema.properties).map(([name, property]) => [
    name,
    isReadonly(property) ? Type.Optional(property) : property,
  ])
  return Type.Object(Object.fromEntries(properties), { additionalProperties: false }) as never
}

export const isReadonly = (schema: TSchema): boolean => "~readonly" in schema
export const isOptional = (schema: TSchema): boolean => "~optional" in schema

type Selected<S extends TSchema> = S extends IsOptional ? Exclude<Static<S>, undefined> | null : Static<S>
type Inserted<S extends TSchema> =
  | (S extends TTimestamp ? string | Date : Static<S>)
  | (S extends IsOptional ? null | undefined : never)
type Column<S extends TSchema> = ColumnType<
  Selected<S>,
  S extends IsReadonly ? Inserted<S> | undefined : Inserted<S>,
  Inserted<S>
>

/**
 * A schema as a table for Kysely. A read-only property may be left out of an insert: the database fills it in. An
 * optional property is a column that may be null; where it is null a reply leaves it out.
 * @example declare module "trestle" { interface Tables { movies: Row<typeof Movie> } }
 */
export type Row<S> = S extends TObject<infer P> ? { [K in keyof P]: Column<P[K]> } : never

/** What a handler may answer for a schema: `null` stands for an optional property that is left out. */
export type Reply<T> = T extends readonly (infer Item)[]
  ? readonly Reply<Item>[]
  : T extends object
    ? { [K in keyof T]: undefined extends T[K] ? Reply<T[K]> | null : Reply<T[K]> }
    : T
