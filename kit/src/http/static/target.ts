/** From the path of a URL to a path inside the folder of static files: only plain names get through. */

/** Longer paths name no file; common systems end at 4,096 bytes. */
const longestPath = 1024
const longestName = 255

/**
 * The path inside the folder that a URL asks for, decoded, without a leading slash; `""` and paths that end in a slash mean
 * a folder. Undefined when no file can have it.
 * @param path the path of a URL as it came, without its query
 */
export function targetOf(path: string): string | undefined {
  if (path.length > longestPath || path[0] !== "/") return undefined
  const names = path.slice(1).split("/")
  const last = names.length - 1
  for (const [place, name] of names.entries()) {
    const decoded = decode(name)
    if (decoded === undefined) return undefined
    // An empty name is what follows the last slash; elsewhere "//" would be a second address of the same file.
    if (decoded === "" ? place < last : !isPlainName(decoded, place === 0)) return undefined
    names[place] = decoded
  }
  return names.join("/")
}

/**
 * Whether a name may be served. Names that begin with a dot are not for clients (`.env`, `.git`), which takes `..` with them;
 * `.well-known` at the top is, since certificates are asked for there (RFC 8615, RFC 8555). A decoded slash, a backslash, a
 * colon and a dot or space at the end are how Windows is led astray.
 */
export function isPlainName(name: string, isFirst: boolean): boolean {
  if (name[0] === ".") return isFirst && name === ".well-known"
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL and its like are what this is for.
  return !/[\0-\x1f\x7f/\\:]|[. ]$/.test(name) && Buffer.byteLength(name) <= longestName
}

/** A name as it is meant; undefined when it is no UTF-8. */
export function decode(name: string): string | undefined {
  if (!name.includes("%")) return name
  try {
    return decodeURIComponent(name)
  } catch {
    return undefined
  }
}
