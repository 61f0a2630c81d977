// Reads what the documentation check needs from a Markdown page: headings, links and fenced blocks with their lines.

/** A fenced block. `line` is that of its first line of text, from 1; `heading` the nearest heading above it. */
export type Block = { language: string; text: string; line: number; heading: string }

/** A page in parts. */
export type Page = { anchors: Set<string>; links: { target: string; line: number }[]; blocks: Block[] }

/** Takes a page apart, as GitHub would show it. */
export function readPage(text: string): Page {
  const page: Page = { anchors: new Set(), links: [], blocks: [] }
  let heading = ""
  let fence: { marker: string; block: Block; lines: string[] } | undefined
  for (const [index, line] of text.split("\n").entries()) {
    if (fence !== undefined) {
      if (line.trim() !== fence.marker) {
        fence.lines.push(line)
        continue
      }
      page.blocks.push({ ...fence.block, text: fence.lines.join("\n") })
      fence = undefined
      continue
    }
    const opening = /^\s*(`{3,}|~{3,})\s*([\w-]*)/.exec(line)
    if (opening !== null) {
      const block = { language: opening[2]!, text: "", line: index + 2, heading }
      fence = { marker: opening[1]!, block, lines: [] }
      continue
    }
    const title = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)
    if (title !== null) {
      heading = title[1]!
      page.anchors.add(freeAnchor(heading, page.anchors))
    }
    for (const match of line.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) page.anchors.add(match[1]!)
    for (const target of targetsIn(line)) page.links.push({ target, line: index + 1 })
  }
  return page
}

function targetsIn(line: string): string[] {
  const prose = line.replace(/`[^`]*`/g, "`code`")
  const inline = prose.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g)
  const reference = prose.matchAll(/^\s{0,3}\[[^\]]+\]:\s*(\S+)/g)
  const html = prose.matchAll(/\b(?:href|src)="([^"]+)"/g)
  return [...inline, ...reference, ...html].map((match) => match[1]!)
}

/** GitHub's rule: small letters, spaces to hyphens, no punctuation; a repeated heading gets -1, -2, … */
function freeAnchor(heading: string, taken: Set<string>): string {
  const plain = heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/<[^>]*>/g, "")
    .replace(/[`*]/g, "")
  const anchor = plain
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-")
  if (!taken.has(anchor)) return anchor
  let count = 1
  while (taken.has(`${anchor}-${count}`)) count++
  return `${anchor}-${count}`
}
