/** The settings of outgoing webhooks; see schema.ts for the rest. */
import { Type } from "typebox"
import { Duration } from "./kinds.ts"

export const webhooks = Type.Object(
  {
    allow_private: Type.Boolean({
      default: false,
      description:
        "Deliver to addresses of this machine and of private networks too. Whoever may make endpoints can then call whatever this server can.",
    }),
    allow_http: Type.Boolean({
      default: false,
      description: "Take endpoints without TLS in production too, where anyone on the way can read what is sent.",
    }),
    timeout: Duration({
      default: "20 seconds",
      maximum: "5 minutes",
      description: "How long an attempt may take, from resolving the name to the end of the answer. Then it failed.",
    }),
  },
  { description: "Outgoing webhooks: [webhooks.md](webhooks.md)." },
)
