// Starts ReDoc on its page.
/* global Redoc */

Redoc.init(
  "/api/openapi.json",
  {
    sanitize: true,
    sortRequiredPropsFirst: true,
    expandResponses: "200,201",
    theme: {
      spacing: { sectionVertical: 24 },
      typography: {
        fontFamily: "system-ui, sans-serif",
        headings: { fontFamily: "system-ui, sans-serif" },
        code: { fontFamily: "ui-monospace, monospace" },
      },
    },
  },
  document.getElementById("redoc"),
)
