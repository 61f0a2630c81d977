/** Mail addresses, as settings and senders write them. */

/** Whose mail it is: an address, and perhaps a name that is shown instead. */
export interface Mailbox {
  name?: string
  address: string
}

/**
 * An address that mail can be sent to: RFC 5321 without quotes and without numbers for domains. A quoted part may hold line
 * breaks and commas, which end a header or begin another address wherever somebody forgets about them.
 */
const addressForm =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i

export const isMailAddress = (text: string): boolean => text.length <= 254 && addressForm.test(text)

/** What {@link parseMailbox} accepts, as error messages say it. */
export const mailboxExpected = 'an e-mail address, or one with a name: "Movies <movies@example.com>"'

/** Reads `movies@example.com` or `Movies <movies@example.com>`. @throws TypeError whose message says what to write instead */
export function parseMailbox(text: string): Mailbox {
  const [, name = "", inBrackets] = /^([^<>"]*?)\s*<([^<>]+)>$/.exec(text.trim()) ?? []
  const address = inBrackets ?? text.trim()
  if (!isMailAddress(address) || /\p{Cc}/u.test(name)) throw new TypeError(mailboxExpected)
  return name === "" ? { address } : { name, address }
}
