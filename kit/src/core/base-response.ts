/** What the kit's own endpoints answer at least. */
import { type Static, Timestamp, Type } from "./schema.ts"

/** A message for people and the moment of the answer; extend it with `Type.Object({ ...BaseResponse.properties, … })`. */
export const BaseResponse = Type.Object({ message: Type.String(), timestamp: Timestamp })

export const baseResponse = (message: string): Static<typeof BaseResponse> => ({
  message,
  timestamp: new Date().toISOString(),
})
