// The search of the list of endpoints, and links to one of them.
const search = document.querySelector("#search")
const input = search.querySelector("input")
const found = search.querySelector("output")
const none = document.querySelector("#none")
const entries = Array.from(document.querySelectorAll("details"), (element) => ({
  element,
  text: element.textContent.toLowerCase(),
}))

/** Shows the entries that have every word, and the modules that have an entry left. */
function filter() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean)
  let shown = 0
  for (const { element, text } of entries) {
    element.hidden = !words.every((word) => text.includes(word))
    if (!element.hidden) shown++
  }
  for (const section of document.querySelectorAll("section")) {
    section.hidden = !section.querySelector("details:not([hidden])")
  }
  none.hidden = shown > 0
  found.textContent = words.length > 0 ? `${shown} of ${entries.length}` : ""
}

function openLinked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)))
  if (!linked) return
  linked.open = true
  linked.scrollIntoView()
}

search.hidden = false
input.addEventListener("input", filter)
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== input && !event.ctrlKey && !event.metaKey) {
    event.preventDefault()
    input.focus()
  } else if (event.key === "Escape" && document.activeElement === input) {
    input.value = ""
    filter()
  }
})
addEventListener("hashchange", openLinked)
// A browser that goes back keeps what was typed.
filter()
openLinked()
