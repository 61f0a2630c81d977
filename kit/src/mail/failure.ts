/** A mail could not be handed over. */
export class MailFailure extends Error {
  /** Whether another attempt would end in the same way, as with an address that the server does not know. */
  readonly isFinal: boolean

  constructor(message: string, { isFinal = false, ...options }: ErrorOptions & { isFinal?: boolean } = {}) {
    super(message, options)
    this.name = "MailFailure"
    this.isFinal = isFinal
  }
}
