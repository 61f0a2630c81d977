/** What stays on this machine. */

/** Whether a host, as a URL has it, is this machine itself. */
export const isLoopback = (hostname: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)

/** Whether it is plain HTTP to this machine itself, which no network carries: what needs TLS elsewhere does without it here. */
export const isOnThisMachine = ({ protocol, hostname }: URL): boolean => protocol === "http:" && isLoopback(hostname)
