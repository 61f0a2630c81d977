/** What a provider is to us: somewhere to send a browser to, and something that says who came back. */

/** What one sign-in is known by, at the provider and here. */
export interface SignInSecrets {
  /** Comes back in the address of the answer (RFC 6749, section 10.12). */
  state: string
  /** Comes back inside the ID token (OpenID Connect Core, section 15.5.2). */
  nonce: string
  /** Shows that whoever fetches the tokens began the sign-in (PKCE, RFC 7636). */
  verifier: string
}

/** A person as a provider knows them. */
export interface ForeignPerson {
  /** The provider, by the name that it never changes. */
  issuer: string
  /** The person's name there: never another's, never changed. An address is neither. */
  subject: string
  email: string | undefined
  /** Whether the provider knows that the address is this person's. */
  isVerified: boolean
  firstName: string
  lastName: string
}

export interface Provider {
  /** Stands in the addresses of its routes. */
  readonly id: string
  /** The name that it never changes: what people it knows are kept by. */
  readonly issuer: string
  /** As people know it. */
  readonly name: string
  /** Where to send the browser. @throws SignInFailure when the provider cannot be reached */
  begin(secrets: SignInSecrets, redirectUri: string): Promise<URL>
  /** @param answer the address that the browser came back with @throws SignInFailure */
  finish(answer: URL, secrets: SignInSecrets): Promise<ForeignPerson>
}
