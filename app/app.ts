import { defineApp } from "trestle"
import { movies } from "./movies/routes.ts"
import { example } from "./pages/example.ts"

/** The application: everything in it is named here. */
export default defineApp({
  name: "movies",
  routes: { movies, "/example": example },
  folder: import.meta.dirname,
})
