/** A small application for the tests of the kit, which must not lean on the example: a fork deletes it. */
import { type App, defineApp, Id, Input, type Routes, type Row, type Section, Timestamp, Type } from "trestle"

export const Item = Type.Object({
  id: Type.Readonly(Id),
  created: Type.Readonly(Timestamp),
  owner: Type.Readonly(Id),
  name: Type.String({ minLength: 1, maxLength: 100 }),
  note: Type.Optional(Type.String({ maxLength: 1000 })),
})
export const ItemInput = Input(Item)

export const SampleConfig = Type.Object({ page_size: Type.Integer({ default: 20, description: "Items on a page." }) })

declare module "trestle" {
  interface Tables {
    sample_items: Row<typeof Item>
  }
  interface AppConfig {
    sample: Section<typeof SampleConfig>
  }
}

/** Makes the sample application with these routes at `/api/sample`. */
export const sampleApp = (routes: Routes, more: Partial<App> = {}): App =>
  defineApp({
    name: "sample",
    folder: import.meta.dirname,
    routes: { sample: routes },
    config: { sample: SampleConfig },
    ...more,
  })
