/** What the kit's own endpoints answer at least. */
import { type Static, Timestamp, Type } from "./schema.ts"

/** A message for people and the moment of the answer; extend it with `Type.Object({ ...BaseResponse.properties, … })`. */
export const BaseResponse = Type.Object({ message: Type.String(), timestamp: Timestamp })

export const baseResponse = (message: string): Static<typeof BaseResponse> => ({ message, timestamp: timestamp() })

let lastMs = 0
let lastText = ""

/** The time as text, made once in a millisecond: answers come faster than that. */
function timestamp(): string {
  const now = Date.now()
  if (now !== lastMs) {
    lastMs = now
    lastText = new Date(now).toISOString()
  }
  return lastText
}
