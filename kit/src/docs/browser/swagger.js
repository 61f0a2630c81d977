// Starts Swagger UI on its page.
/* global SwaggerUIBundle */

const dark = window.matchMedia("(prefers-color-scheme: dark)")
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches)
dark.addEventListener("change", follow)
follow()

SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  displayRequestDuration: true,
  showExtensions: true,
  tryItOutEnabled: true,
  // A key that was typed in is gone with the page: storage would keep it for every script of this origin.
  persistAuthorization: false,
  // The badge of validator.swagger.io would send the address of this server there.
  validatorUrl: null,
})
