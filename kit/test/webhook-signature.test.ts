// @together
/** Signatures of Standard Webhooks: made as the specification says, and checked strictly. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { HttpError, verifyWebhook, type WebhookPayload } from "trestle"
import { newSecret, signedHeaders } from "../src/webhooks/signature.ts"

const body = '{"type":"movie.created","timestamp":"2026-11-20T09:30:00.123456Z","data":{"title":"Forrest Gump"}}'

const signed = (secrets: string[], at = new Date(), id = "msg_1") =>
  signedHeaders(secrets, { id, body: Buffer.from(body), at })

const refused = { name: "HttpError", statusCode: 401 }

test("a signature is the one of the reference implementation", () => {
  const headers = signedHeaders(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    body: Buffer.from('{"test": 2432232314}'),
    at: new Date(1_614_265_330_999),
  })
  assert.deepEqual(headers, {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  })
})

test("a secret has 256 random bits, and says what it is", () => {
  const secret = newSecret()
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.notEqual(secret, newSecret())
})

test("whoever has the secret reads the webhook, with and without its prefix", () => {
  const secret = newSecret()
  const payload = verifyWebhook<WebhookPayload<{ title: string }>>(secret, signed([secret]), body)
  assert.equal(payload.data.title, "Forrest Gump")
  assert.deepEqual(verifyWebhook(secret.slice("whsec_".length), signed([secret]), Buffer.from(body)), payload)
})

test("while a secret is replaced, both the old one and the new one check the webhook", () => {
  const [older, newer, foreign] = [newSecret(), newSecret(), newSecret()]
  const headers = signed([newer, older])
  assert.equal(headers["webhook-signature"]!.split(" ").length, 2)
  verifyWebhook(older, headers, body)
  verifyWebhook(newer, headers, body)
  verifyWebhook([foreign, newer], headers, body)
  assert.throws(() => verifyWebhook(foreign, headers, body), refused)
})

test("a signature of another version beside ours does not disturb", () => {
  const secret = newSecret()
  const headers = signed([secret])
  const mixed = `v1a,${"A".repeat(86)}== v2,x v1, ${headers["webhook-signature"]} nonsense`
  verifyWebhook(secret, { ...headers, "webhook-signature": mixed }, body)
  const renamed = headers["webhook-signature"]!.replace("v1,", "v2,")
  assert.throws(() => verifyWebhook(secret, { ...headers, "webhook-signature": renamed }, body), refused)
})

test("nothing that was changed on the way passes", () => {
  const secret = newSecret()
  const headers = signed([secret])
  const wrong: [headers: Record<string, string | string[] | undefined>, body: string][] = [
    [headers, body.replace("Gump", "Grump")],
    [headers, `${body} `],
    [{ ...headers, "webhook-id": "msg_2" }, body],
    [{ ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }, body],
    [{ ...headers, "webhook-signature": headers["webhook-signature"]!.slice(0, -2) }, body],
    [{ ...headers, "webhook-signature": "v1," }, body],
    [{ ...headers, "webhook-signature": "" }, body],
    [{ ...headers, "webhook-id": undefined }, body],
    [{ ...headers, "webhook-timestamp": undefined }, body],
    [{ ...headers, "webhook-signature": undefined }, body],
    [{ ...headers, "webhook-signature": [headers["webhook-signature"]!] }, body],
    [{ ...headers, "webhook-timestamp": "now" }, body],
    [{ ...headers, "webhook-timestamp": `${headers["webhook-timestamp"]}.0` }, body],
    [{ ...headers, "webhook-timestamp": "Infinity" }, body],
  ]
  for (const [headers, body] of wrong) {
    assert.throws(() => verifyWebhook(secret, headers, body), refused, JSON.stringify(headers))
  }
})

test("a webhook counts for five minutes, by clocks that go before or behind", () => {
  const secret = newSecret()
  const minutes = (count: number) => new Date(Date.now() + count * 60_000)
  for (const at of [minutes(-4.9), minutes(4.9)]) verifyWebhook(secret, signed([secret], at), body)
  for (const at of [minutes(-5.1), minutes(5.1)]) {
    assert.throws(() => verifyWebhook(secret, signed([secret], at), body), refused)
  }
})

test("a secret that was forgotten lets nobody in", () => {
  for (const secret of ["", "whsec_", "short", "whsec_c2hvcnQ="]) {
    assert.throws(() => verifyWebhook(secret, signed([newSecret()]), body), TypeError)
  }
  assert.throws(() => verifyWebhook([], signed([newSecret()]), body), HttpError)
})
