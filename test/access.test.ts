// @together
/**
 * Who may call what: every route, asked by a visitor and by a person of each role. A new route fails here until its line is
 * written, so that nobody opens one by mistake.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { testApp } from "trestle/testing"
import app from "../app/app.ts"

const callers = ["visitor", "readonly", "editor", "admin", "superuser"] as const

/** The statuses that {@link callers} get, in their order, for a request without a body and with an id that nothing has. */
const access: Record<string, number[]> = {
  "GET /api/health": [200, 200, 200, 200, 200],
  "GET /api/health/ready": [200, 200, 200, 200, 200],
  "GET /api/jobs/{id}": [404, 404, 404, 404, 404],
  "GET /api/login": [401, 401, 401, 401, 401], // it asks for an API key
  "POST /api/login": [400, 400, 400, 400, 400],
  "POST /api/signup": [400, 400, 400, 400, 400],
  "POST /api/logout": [401, 200, 200, 200, 200],
  "GET /api/me": [401, 200, 200, 200, 200],
  "PATCH /api/me": [401, 400, 400, 400, 400],
  "DELETE /api/me": [401, 400, 400, 400, 400],
  "POST /api/me/password": [401, 400, 400, 400, 400],
  "GET /api/me/sessions": [401, 200, 200, 200, 200],
  "DELETE /api/me/sessions/{id}": [401, 404, 404, 404, 404],
  "GET /api/me/identities": [401, 200, 200, 200, 200],
  "DELETE /api/me/identities/{provider}": [401, 404, 404, 404, 404],
  "POST /api/password/forgot": [400, 400, 400, 400, 400],
  "POST /api/password/reset": [400, 400, 400, 400, 400],
  "POST /api/email/verify": [400, 400, 400, 400, 400],
  "POST /api/me/email": [401, 400, 400, 400, 400],
  "POST /api/me/email/verify": [401, 202, 202, 202, 202],
  "GET /api/users": [401, 403, 403, 403, 200],
  "GET /api/users/{id}": [401, 403, 403, 403, 404],
  "PATCH /api/users/{id}": [401, 403, 403, 403, 400],
  "GET /api/movies": [200, 200, 200, 200, 200],
  "GET /api/movies/{id}": [404, 404, 404, 404, 404],
  "POST /api/movies": [401, 403, 400, 400, 400],
  "PUT /api/movies/{id}": [401, 403, 400, 400, 400],
  "PATCH /api/movies/{id}": [401, 403, 400, 400, 400],
  "DELETE /api/movies/{id}": [401, 403, 404, 404, 404],
  "GET /example": [200, 200, 200, 200, 200],
  "GET /apitest/counter": [200, 200, 200, 200, 200],
  "POST /apitest/dbtruncate": [200, 200, 200, 200, 200], // not in production
  "GET /apitest/sendemail": [401, 202, 202, 202, 202], // not in production
}

test("everyone gets what the table says, and every route is in it", async (t) => {
  const { visitor, person } = await testApp(t, app)
  const { paths } = (await visitor.get("/api/openapi.json")).body
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods as object).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const got: Record<string, number[]> = {}
  for (const route of routes) {
    const [method = "", path = ""] = route.split(" ")
    const url = path.replaceAll(/\{\w+\}/g, "00000000-0000-4000-8000-000000000000")
    got[route] = []
    for (const role of callers) {
      // A logout ends what other routes need.
      const name = route === "POST /api/logout" ? `${role}-leaving` : role
      const caller = role === "visitor" ? visitor : person(role, name)
      got[route].push((await caller.call(method, url)).status)
    }
  }
  assert.deepEqual(got, access)
})
