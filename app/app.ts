import { defineApp } from "trestle"
import { counter } from "./apitest/counter.ts"
import { sendemail } from "./apitest/sendemail.ts"
import { truncate } from "./apitest/truncate.ts"
import { welcome } from "./mails/welcome.ts"
import { forgetStale, tellFans } from "./movies/jobs.ts"
import { movies } from "./movies/routes.ts"
import { example } from "./pages/example.ts"

/** The application: everything in it is named here. */
export default defineApp({
  name: "movies",
  routes: {
    movies,
    "/example": example,
    "/apitest": counter,
    "/apitest/dbtruncate": truncate,
    "/apitest/sendemail": sendemail,
  },
  jobs: [tellFans, forgetStale],
  mails: [welcome],
  onSignup: ({ user: { email }, mail, tx }) => mail.send({ to: email, template: welcome, data: { email }, tx }),
  folder: import.meta.dirname,
})
