/** What the key-value store does, in one route. */
import { type Api, Type } from "trestle"

export async function counter(api: Api) {
  /** Counts how often it was called, over all processes, and returns the count. */
  api.get(
    "/counter",
    { role: "visitor", schema: { response: { 200: Type.Object({ counter: Type.Integer() }) } } },
    async () => ({ counter: await api.kv.increment("apitest counter") }),
  )
}
