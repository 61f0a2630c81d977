/**
 * What an application tells the kit about itself in types: its tables and its settings. It adds to these interfaces with
 * `declare module "trestle" { … }`; they stand in a file of their own because `export *` is what lets it.
 */

/**
 * The tables of the application.
 * @example declare module "trestle" { interface Tables { movies: Row<typeof Movie> } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it.
export interface Tables {}

/**
 * The application's own sections of the configuration.
 * @example declare module "trestle" { interface AppConfig { movies: Section<typeof moviesConfig> } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it.
export interface AppConfig {}

/**
 * What the application keeps with a session: `request.session.set("cart", …)`.
 * @example declare module "trestle" { interface SessionData { cart: string[] } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add to it.
export interface SessionData {}
