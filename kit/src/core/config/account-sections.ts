/** The settings of accounts and sessions; see schema.ts for the rest. */
import { Type } from "typebox"
import { grantableRoles } from "../roles.ts"
import { Duration } from "./kinds.ts"

export const accounts = Type.Object(
  {
    signup: Type.Boolean({
      default: true,
      description: "Whether people may make accounts by themselves. When off, superusers and `trestle user` make them.",
    }),
    default_role: Type.Enum(grantableRoles, {
      default: "editor",
      description: "The role of a new account.",
    }),
    reveal_taken_email: Type.Boolean({
      default: true,
      description:
        "Whether signup says that an address has an account. When off it answers 202 either way and logs nobody in: who then tries to log in can still find out what happened.",
    }),
    verify_email: Type.Enum(["off", "optional", "required"], {
      default: "off",
      description:
        "Whether a new account gets a mail with a link that shows the address to be its owner's. `required`: nobody logs in before.",
    }),
    password_min_length: Type.Integer({
      default: 8,
      minimum: 8,
      maximum: 64,
      description:
        "The fewest characters of a password. Length is what counts; the most common ones are refused besides.",
    }),
    password_needs_mixed: Type.Boolean({
      default: false,
      description:
        "Whether a password needs a lower-case letter, an upper-case one and a digit, as RESTPie3 asked for.",
    }),
  },
  { description: "Accounts of people." },
)

export const session = Type.Object(
  {
    idle: Duration({
      default: "30 days",
      minimum: "1 second",
      maximum: "3650 days",
      description: "How long a session lives that nobody uses. Each use prolongs it.",
    }),
    absolute: Type.Optional(
      Duration({
        minimum: "1 second",
        maximum: "3650 days",
        description: "How long a session lives at most, used or not. Without it there is no such limit.",
      }),
    ),
    max_per_account: Type.Integer({
      default: 100,
      minimum: 1,
      maximum: 10_000,
      description:
        "How many sessions an account has at most; a login beyond that ends the one that was used longest ago. More than anybody has devices, and a bound for programs that log in for each call.",
    }),
    same_site: Type.Enum(["lax", "strict", "none"], {
      default: "lax",
      description:
        "Which requests of other sites bring the cookie: `lax` only those that follow a link here. `none` is for pages of other sites that call the API with the cookie, and needs `session.secure`.",
    }),
    secure: Type.Boolean({
      default: false,
      description:
        "Send the cookie over TLS only, also where TLS ends at a proxy that is not named in `server.trusted_proxies`. Over TLS it is always so.",
    }),
    domain: Type.Optional(
      Type.String({
        pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        expected: "a domain in lower case, such as example.com",
        description:
          "Share the cookie with all hosts of this domain. Without it only this host gets it, which is safer.",
      }),
    ),
  },
  { description: "Sessions of people." },
)
