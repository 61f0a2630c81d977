/** The mail that greets somebody who has signed up. */
import { html, mailTemplate, Type } from "trestle"

export const welcome = mailTemplate("welcome", { data: Type.Object({ email: Type.String() }) }, ({ data, link }) => ({
  subject: "Welcome to the movies",
  text: `Hello,

good that you are here: ${data.email} has an account now. This is what you can do with it: ${link("/api/list")}
`,
  html: html`<p>Hello,
<p>good that you are here: ${data.email} has an account now. <a href="${link("/api/list")}">This is what you can do with it.</a>`,
}))
