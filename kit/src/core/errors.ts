/**
 * The errors of the kit: what a handler throws to answer a request, and what stops a boot.
 * Clients get RFC 9457 `application/problem+json`; whatever is not an {@link HttpError} answers 500 and tells nothing.
 */
import { STATUS_CODES } from "node:http"

/** One thing that is wrong with a request, as it stands in the `errors` of a problem. */
export interface Fault {
  /** Where: `body`, `query`, `params` or `headers`, then the JSON Pointer inside it, as in `body/title`. */
  at: string
  /** What was expected, in a sentence without a full stop. */
  message: string
}

/** What {@link HttpError} takes besides status and detail. */
export interface HttpErrorOptions extends ErrorOptions {
  /** Each single thing that is wrong; validation fills it in. */
  errors?: Fault[]
  /** Headers of the answer, such as `{ allow: "GET" }`. */
  headers?: Record<string, string>
}

/**
 * An answer that is not a success: throw it in a handler and the client gets `status` and, as `detail`, the message.
 * For a status of 500 and above the message goes to the log only.
 * @example throw new HttpError(409, "This title is taken. Choose another.")
 */
export class HttpError extends Error {
  /** The status of the answer, 400 to 599; Fastify reads it under this name. */
  readonly statusCode: number
  readonly errors: Fault[] | undefined
  readonly headers: Record<string, string> | undefined

  constructor(status: number, detail: string, options: HttpErrorOptions = {}) {
    super(detail, options)
    if (!(status >= 400 && status <= 599))
      throw new RangeError(`An HttpError has a status of 400 to 599, not ${status}.`)
    this.name = "HttpError"
    this.statusCode = status
    this.errors = options.errors
    this.headers = options.headers
  }

  /** The name of the status, as in RFC 9110: "Not Found". */
  get title(): string {
    return STATUS_CODES[this.statusCode] ?? "Error"
  }
}

/** 400: the request is wrong, and the client can put it right. */
export const badRequest = (detail: string, options?: HttpErrorOptions) => new HttpError(400, detail, options)

/** 401: nobody is logged in, or the credentials are wrong. */
export const unauthorized = (detail = "Log in first.", options?: HttpErrorOptions) =>
  new HttpError(401, detail, options)

/** 403: known, but not allowed. */
export const forbidden = (detail = "This is not for your role.", options?: HttpErrorOptions) =>
  new HttpError(403, detail, options)

/** 404: `notFound("movie")` says "No such movie.". */
export const notFound = (what = "page", options?: HttpErrorOptions) => new HttpError(404, `No such ${what}.`, options)

/** 409: the request does not fit the present state, as with a title that is taken. */
export const conflict = (detail: string, options?: HttpErrorOptions) => new HttpError(409, detail, options)

/** 503: the server cannot answer now; the client may try again. */
export const unavailable = (detail: string, options?: HttpErrorOptions) => new HttpError(503, detail, options)

/**
 * The server or a command cannot begin. Its message is all that the user sees, so it says what was expected, what came
 * and what to do next; no stack is printed.
 */
export class BootError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "BootError"
  }
}
