/** The settings of what every HTTP endpoint gets; see schema.ts for the rest. */
import { Type } from "typebox"
import { networkExpected, parseNetwork } from "../networks.ts"
import { originExpected, parseOrigin } from "../origin.ts"
import { parseRate, rateExpected } from "../rate.ts"
import { Duration, Size } from "./kinds.ts"

const publicUrlExpected = 'scheme, host and port of this server, such as "https://api.example.com"'

function parsePublicUrl(text: string): string {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol) || url.href !== `${url.origin}/`) throw new TypeError(publicUrlExpected)
  return url.origin
}

export const server = Type.Object(
  {
    host: Type.String({
      env: "HOST",
      default: "localhost",
      pattern: "^[^\\s/]+$",
      expected: `a host name or an address, such as "localhost" or "0.0.0.0"`,
      description: "Where to listen. Only this machine by default; `0.0.0.0` or `::` opens the server to the network.",
    }),
    port: Type.Integer({
      env: "PORT",
      default: 8100,
      minimum: 0,
      maximum: 65535,
      description: "The port. 0 takes any free one, and the start prints it.",
    }),
    public_url: Type.Optional(
      Type.Decode(
        Type.String({
          env: "PUBLIC_URL",
          expected: publicUrlExpected,
          description:
            "Where people find this server, such as `https://api.example.com`: links in mails begin with it, and sign-in providers send people back there. Needed with `mail.smtp_url`, and where a proxy in front changes `Host`.",
        }),
        parsePublicUrl,
      ),
    ),
    body_limit: Size({
      default: "1 MB",
      description: "The largest request body. More is answered 413; a JSON API rarely needs as much.",
    }),
    json_depth: Type.Integer({
      default: 50,
      minimum: 1,
      maximum: 1000,
      description: "How deep the objects and lists of a JSON body may nest. Deeper is answered 400.",
    }),
    headers_timeout: Duration({
      default: "10 seconds",
      description:
        "How long a client may take to send the head of a request. Then 408: slow heads are a way to tie a server up.",
    }),
    receive_timeout: Duration({
      default: "60 seconds",
      description: "How long a client may take to send a whole request. Then 408.",
    }),
    keep_alive_timeout: Duration({
      default: "5 seconds",
      description: "How long an idle connection stays open. Behind a proxy, longer than the proxy's own.",
    }),
    trusted_proxies: Type.Array(Type.Decode(Type.String({ expected: networkExpected }), parseNetwork), {
      env: "TRUSTED_PROXIES",
      default: [],
      description:
        "Addresses and networks (CIDR) of the proxies in front. Only from them are `X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded` and `X-Real-IP` believed.",
    }),
  },
  { description: "The HTTP server." },
)

export const security = Type.Object(
  {
    hsts_max_age: Type.Integer({
      default: 31_536_000,
      minimum: 0,
      description: "Seconds for which browsers use HTTPS only (a year). Sent only over TLS; 0 sends none.",
    }),
    content_security_policy: Type.String({
      default: "default-src 'self'",
      pattern: "^[ -~]*$",
      expected: "a text of plain ASCII characters",
      description: "What pages of this server may load. The documentation pages carry their own.",
    }),
    permissions_policy: Type.String({
      default: "camera=(), geolocation=(), microphone=()",
      pattern: "^[ -~]*$",
      expected: "a text of plain ASCII characters",
      description: "Which powers of the browser pages of this server may use. By default none of these three.",
    }),
  },
  { description: "Security headers." },
)

const HeaderName = Type.String({ pattern: "^[\\w!#$%&'*+.^`|~-]+$", expected: 'the name of a header, or "*"' })

export const cors = Type.Object(
  {
    enabled: Type.Boolean({ default: false, description: "Let pages of other origins call this server." }),
    allow_origins: Type.Array(Type.Decode(Type.String({ expected: originExpected }), parseOrigin), {
      default: [],
      description:
        'Their origins, such as `["https://example.com"]`; `["*"]` is every one, and then without credentials.',
    }),
    allow_credentials: Type.Boolean({ default: false, secret: false, description: "Let them send cookies." }),
    allow_methods: Type.Array(Type.String({ pattern: "^[A-Z]+$|^\\*$", expected: 'a method such as "PATCH"' }), {
      default: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
      description: "The methods that they may use.",
    }),
    allow_headers: Type.Array(HeaderName, {
      default: ["Content-Type", "Authorization", "X-API-Key", "Idempotency-Key"],
      description: "The headers that they may send.",
    }),
    expose_headers: Type.Array(HeaderName, {
      default: [
        "X-Request-Id",
        "X-Total-Count",
        "Link",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "Idempotency-Replayed",
      ],
      description: "The headers of answers that they may read.",
    }),
    max_age: Type.Integer({
      default: 600,
      minimum: 0,
      maximum: 86_400,
      description: "Seconds for which a browser remembers the answer to a preflight.",
    }),
  },
  { description: "Cross-origin requests." },
)

const rate = (options: { default: string; description: string }) =>
  Type.Decode(Type.String({ expected: rateExpected, ...options }), parseRate)

export const rate_limit = Type.Object(
  {
    enabled: Type.Boolean({ default: true, description: "Limit how much one client may ask." }),
    limit: rate({
      default: "100/minute",
      description:
        "How much: a number and a time, such as `5/second` or `1000/15 minutes`. A route may name its own, `rateLimit`.",
    }),
    static_files: Type.Boolean({
      default: false,
      description: "Whether static files count: a page is often many files.",
    }),
    max_clients: Type.Integer({
      default: 100_000,
      minimum: 1000,
      description:
        "How many clients each limit counts at a time (about 125 bytes each). Beyond, those who asked least are forgotten.",
    }),
  },
  { description: "Rate limits, for each client: an IPv4 address, or the /64 network of an IPv6 one." },
)

export const static_files = Type.Object(
  {
    spa_fallback: Type.Boolean({
      default: false,
      description: "Answer unknown paths outside `/api` with `index.html`, for a single-page application.",
    }),
    max_age: Type.Integer({
      default: 0,
      minimum: 0,
      description: "Seconds for which browsers need not ask again. 0: they ask each time, and get 304.",
    }),
    memory: Size({
      default: "64 MB",
      description:
        "How much memory small files (up to 1 MB each) may take, to be sent at about a fifth of what a stream costs.",
    }),
  },
  { description: "Files of the application's folder `static/`." },
)

export const tls = Type.Object(
  {
    mode: Type.Enum(["off", "self-signed", "files"], {
      default: "off",
      description:
        "With `self-signed` a certificate is made when there is none, for development; `files` needs both files.",
    }),
    certificate: Type.String({
      default: "data/tls/certificate.pem",
      minLength: 1,
      description: "The certificate with its chain, in PEM; from the project's folder.",
    }),
    key: Type.String({
      default: "data/tls/key.pem",
      minLength: 1,
      secret: false, // where it lies, not what is in it
      description: "Its private key, in PEM, readable by the server's user only.",
    }),
  },
  { description: "TLS 1.2 and 1.3." },
)

export const docs = Type.Object(
  {
    enabled: Type.Boolean({ default: true, description: "Serve the documentation of the API." }),
    openapi: Type.Boolean({
      default: true,
      description: "OpenAPI 3.1 at `/api/openapi.json`, which Swagger UI and ReDoc read.",
    }),
    swagger: Type.Boolean({ default: true, description: "Swagger UI, at `/api/docs`." }),
    redoc: Type.Boolean({ default: true, description: "ReDoc, at `/api/redoc`." }),
    list: Type.Boolean({ default: true, description: "All endpoints on a page, at `/api/list`." }),
  },
  { description: "The documentation of the API, made from the code." },
)

export const json_response = Type.Object(
  {
    indent: Type.Integer({
      default: 0,
      minimum: 0,
      maximum: 8,
      description: "Spaces for each level of a JSON reply, for people who read it; costs a second pass.",
    }),
    media_type: Type.String({
      default: "application/json",
      pattern: "^application/([a-z0-9.+-]+\\+)?json$",
      expected: 'a JSON media type, such as "application/json"',
      description: "The Content-Type of JSON replies; problems are always `application/problem+json`.",
    }),
  },
  { description: "JSON replies." },
)

export const logging = Type.Object(
  {
    level: Type.Enum(["debug", "info", "warn", "error"], {
      default: "info",
      description: "The least important messages to write.",
    }),
    format: Type.Enum(["text", "json"], { default: "text", description: "Lines for people, or JSON for machines." }),
    requests: Type.Enum(["both", "response", "off"], {
      default: "both",
      description: "A line when a request comes and one when it was answered, only the latter, or none.",
    }),
    slow_after: Duration({ default: "1 second", description: "A request that takes longer is warned of as `SLOW!`." }),
    file: Type.String({
      default: "logs/server.log",
      description: "The log's file, from the project's folder; `none` writes to standard output only.",
    }),
    file_size: Size({ default: "10 MB", description: "When the file is as large, a new one is begun." }),
    file_backups: Type.Integer({ default: 5, minimum: 0, maximum: 100, description: "How many older files are kept." }),
    mask: Type.Array(Type.String(), {
      default: [],
      description:
        "More names of fields whose values are masked, besides passwords, tokens, secrets, cookies and keys.",
    }),
    syslog: Type.Optional(
      Type.String({
        pattern: "^[^\\s:/]+(:\\d+)?$|^\\[[0-9a-fA-F:]+\\](:\\d+)?$",
        expected: 'a host and port, such as "localhost:514"',
        description: "A syslog server that gets each line too (RFC 5424 over UDP).",
      }),
    ),
    sql: Type.Union([Type.Boolean(), Type.Literal("values")], {
      env: "LOG_SQL",
      default: false,
      description:
        'Print each SQL statement with its time. `"values"` adds the values, under `trestle dev` only: they may be personal data.',
    }),
  },
  { description: "Logs." },
)
