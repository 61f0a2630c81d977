/** A row of a file, as it stands there. */

/** With the line that it begins in: its values by name, or why it cannot be read. */
export type Row = { line: number } & ({ values: Record<string, unknown> } | { mistake: string })

/** In characters. What is longer is not a person, but a quote that was not closed, and would fill the memory. */
export const longestRow = 1_000_000
