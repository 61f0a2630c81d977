/** Who may do what: five roles in one order. A role may do all that the roles before it may. */

/** The roles, lowest first. `visitor` is everyone, logged in or not. */
export const roles = ["visitor", "readonly", "editor", "admin", "superuser"] as const

export type Role = (typeof roles)[number]

/** Roles that a user or an API key can have: all but `visitor`, which is the absence of one. */
export const grantableRoles = roles.filter((role) => role !== "visitor")

export const isRole = (name: unknown): name is Role => roles.includes(name as Role)

/** Says whether `role` may do what asks for `needed`. An unknown role, such as `disabled`, may do nothing. */
export const reaches = (role: string | undefined, needed: Role): boolean =>
  roles.indexOf((role ?? "visitor") as Role) >= roles.indexOf(needed)

/** The caller of a request, as {@link Api} handlers see it at `request.user`. */
export interface User {
  /** uuid of the user, or of the API key when a machine calls. */
  id: string
  role: Role
  /** How the caller proved who it is: by the cookie of a session, by its token as `Authorization: Bearer`, or by an API key. */
  via: "session" | "bearer" | "api_key"
  /** The e-mail address of a person; undefined for an API key. */
  email?: string
  /** The full name of a person, or the name of the API key. */
  name: string
  /** When a person last logged in for this session; undefined for an API key. ISO 8601, UTC. */
  since?: string
}
