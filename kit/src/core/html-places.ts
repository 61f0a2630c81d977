/**
 * Where the values of an HTML template stand, read from its constant parts as a browser would read them. Knows as much of
 * HTML's tokens as that takes, and refuses every place where escaping does not help.
 */

/** In text, in a quoted attribute, or where the address of a link begins, which decides its scheme. */
export type Place = "text" | "attribute" | "link"

/** What a browser is in the middle of. */
interface State {
  inside: "text" | "tag" | "quoted" | "unquoted" | "raw" | "comment"
  element: string
  attribute: string
  quote: string
  /** The constant beginning of the attribute's value. */
  value: string
}

/** Elements whose content is no HTML: an escaped value would be read as it is written. */
const rawElements = /^(script|style|iframe|noscript|noembed|noframes|xmp|plaintext)$/
const refusedAttributes = /^(on.*|style|srcdoc)$/
const links = new Set("href src action formaction poster cite data ping background manifest xlink:href".split(" "))

/**
 * The place of each value of a template.
 * @throws TypeError where a value cannot stand, and where the template ends inside a tag: it could not be put into another
 */
export function findPlaces(parts: readonly string[]): Place[] {
  const state: State = { inside: "text", element: "", attribute: "", quote: "", value: "" }
  const places: Place[] = []
  for (const [i, part] of parts.entries()) {
    for (let at = 0; at < part.length; ) at = step(state, part, at)
    if (i < parts.length - 1) places.push(placeIn(state, part))
  }
  if (state.inside !== "text") throw new TypeError(`A template ends inside <${state.element || "!--"}>. Close it.`)
  return places
}

/** Reads up to where the state changes, or to the end of the part; says where it stopped. */
function step(state: State, part: string, at: number): number {
  const end = endOf(state)
  end.lastIndex = at
  const found = end.exec(part)
  if (!found) {
    if (state.inside === "quoted") state.value += part.slice(at)
    return part.length
  }
  switch (state.inside) {
    case "text":
      state.inside = found[1] ? "tag" : "comment"
      state.element = (found[1] ?? "").toLowerCase()
      break
    case "tag":
      if (found[0] === ">") {
        state.inside = rawElements.test(state.element) ? "raw" : "text"
      } else {
        state.attribute = found[1]!.toLowerCase()
        state.quote = found[2]!
        state.value = ""
        state.inside = state.quote ? "quoted" : "unquoted"
      }
      break
    case "unquoted":
      state.inside = "tag"
      return found.index
    case "quoted":
      state.inside = "tag"
      break
    case "raw":
      state.inside = "tag"
      state.element = `/${state.element}`
      break
    case "comment":
      state.inside = "text"
  }
  return end.lastIndex
}

/** What ends a state. */
function endOf({ inside, element, quote }: State): RegExp {
  switch (inside) {
    case "text":
      return /<!--|<(\/?[a-z][^\s/>]*)/gi
    case "tag":
      return /([^\s"'=<>/]+)\s*=\s*(["']?)|>/g
    case "quoted":
      return new RegExp(quote, "g")
    case "unquoted":
      return /[\s>]/g
    case "raw":
      return new RegExp(`</${element}`, "gi")
    case "comment":
      return /-->/g
  }
}

function placeIn({ inside, element, attribute, value }: State, part: string): Place {
  if (inside === "text") {
    if (/<[!/?]?-?$/.test(part)) throw refusal("behind <")
    return "text"
  }
  if (inside === "raw") throw refusal(`inside <${element}>`)
  if (inside === "comment") throw refusal("inside a comment")
  if (inside !== "quoted") throw refusal(`in the tag <${element}> outside quotes`)
  if (refusedAttributes.test(attribute)) throw refusal(`in the attribute ${attribute}`)
  return links.has(attribute) && !/[/?#:]/.test(value) ? "link" : "attribute"
}

const refusal = (where: string) =>
  new TypeError(`A template cannot take a value ${where}: escaping would not make it safe.`)
