/** What stays on this machine. */

/** Whether it is plain HTTP to this machine itself, which no network carries: what needs TLS elsewhere does without it here. */
export const isOnThisMachine = ({ protocol, hostname }: URL): boolean =>
  protocol === "http:" && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
