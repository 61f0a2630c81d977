/** The levels of the log, least important first, and how lines name them. */
export const levels = { debug: "DEBUG", info: "INFO", warn: "WARNING", error: "ERROR" } as const

export type LogLevel = keyof typeof levels

/** How important each is. The further names are those that Fastify and pino have besides. */
export const weights: Record<string, number> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Number.POSITIVE_INFINITY,
}

/** Whether lines of the level are written at once. */
export const isUrgent = (level: LogLevel): boolean => level === "warn" || level === "error"
