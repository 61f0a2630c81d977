// @together
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMask } from "../src/core/mask.ts"

test("URLs lose their secrets, wherever in them they stand", () => {
  const { url } = createMask(["pin"])
  const secrets = [
    "/x?password=s3cret",
    "/x?a=1&user[password]=s3cret",
    "/x?pass%77ord=s3cret",
    "/x?pin=s3cret",
    "/x?credential=s3cret&jwt=s3cret",
    "http://user:s3cret@host/x",
    "/x?next=http://u:p@h&b=http://u2:s3cret@h",
    "/x?u=%68ttp%3A%2F%2Fu:s3cret%40h",
    "/x?next=%2Freset%3Ftoken%3Ds3cret",
    "/x?x=1%26password=s3cret",
    "/api/movies/trk_s3cretABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij",
    "/x?q=trk_s3cretABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij",
    "/hooks/whsec_s3cretABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdefg=",
  ]
  for (const secret of secrets) assert.ok(!url(secret).includes("s3cret"), `${secret} → ${url(secret)}`)
  for (const plain of ["/api/movies/?search=a%20b&page=2", "/x?next=%2Fhome%3Fpage%3D2", "/monkey?a=b"]) {
    assert.equal(url(plain), plain)
  }
})

test("our own keys and secrets of webhooks are hidden in text, wherever they stand", () => {
  const { text } = createMask()
  const secret = "s3cretABCDEFGHIJKLMNOPQRSTUVWXYZ+/abcdefghi="
  assert.equal(text(`Made whsec_${secret}, and kept it.`), "Made whsec_***, and kept it.")
  assert.equal(createMask().url(`/keys/trk_${secret.slice(0, 30)}/uses`), "/keys/trk_***/uses")
  assert.equal(text(`["trk_${secret.slice(0, 30)}"]`), '["trk_***"]')
})
