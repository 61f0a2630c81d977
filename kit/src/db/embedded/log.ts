/** Where the embedded database says what it does; the messages are sentences for people. */
export type Log = (level: "info" | "warn" | "error", message: string) => void
