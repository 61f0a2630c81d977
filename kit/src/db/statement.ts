/**
 * pg's query, which keeps what it made of the columns of a named statement. PostgreSQL describes them with each answer, and
 * making the parsers and the empty row of them anew is a tenth of what a small query costs.
 */
import pg from "pg"

/** A column, as PostgreSQL describes it. */
interface Field {
  name: string
  dataTypeID: number
  format: string
}

/** What pg makes of a description. It declares none of this, so it counts only for the version that the kit pins. */
interface Shape {
  fields: Field[]
  _parsers: unknown[]
  _prebuiltEmptyResultObject: object
}

type Callback = (error: Error | undefined, result: pg.QueryResult) => void

/** What pg's query is besides what pg declares. */
interface Query extends pg.Query {
  name: string | undefined
  _result: Shape
  _accumulateRows: unknown
  handleRowDescription(message: { fields: Field[] }): void
}
const Query = pg.Query as unknown as new (text: string, values: unknown[], callback: Callback) => Query

/** By statement, for all connections of a pool: how its answers were read the last time. */
export type Shapes = Map<string, Shape>

export class Statement extends Query {
  private readonly shapes: Shapes

  /** @param name without one the columns are not kept, and PostgreSQL parses the text each time */
  constructor(text: string, values: unknown[], name: string | undefined, shapes: Shapes, callback: Callback) {
    super(text, values, callback)
    this.name = name
    this.shapes = shapes
  }

  override handleRowDescription(message: { fields: Field[] }): void {
    const { name, shapes } = this
    const known = name === undefined ? undefined : shapes.get(name)
    if (known && areSame(known.fields, message.fields)) {
      this._result.fields = known.fields
      this._result._parsers = known._parsers
      this._result._prebuiltEmptyResultObject = known._prebuiltEmptyResultObject
      this._accumulateRows = true
      return
    }
    super.handleRowDescription(message)
    if (name === undefined) return
    const { fields, _parsers, _prebuiltEmptyResultObject } = this._result
    shapes.set(name, { fields, _parsers, _prebuiltEmptyResultObject })
  }
}

function areSame(known: Field[], fields: Field[]): boolean {
  return (
    known.length === fields.length &&
    known.every(({ name, dataTypeID, format }, i) => {
      const field = fields[i]!
      return name === field.name && dataTypeID === field.dataTypeID && format === field.format
    })
  )
}
