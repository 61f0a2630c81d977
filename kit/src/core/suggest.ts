/** "Did you mean": the known name that a misspelt one is closest to. */

/**
 * The number of edits between two names: inserting, deleting or replacing a letter, or swapping two neighbours
 * (Damerau–Levenshtein distance, in the variant that edits no part twice: "optimal string alignment").
 */
export function editDistance(a: string, b: string): number {
  let older: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let least = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) least = Math.min(least, older[column - 2]! + 1)
      current.push(least)
    }
    older = above
    above = current
  }
  return above[b.length]!
}

/**
 * The candidate that `name` most probably stands for, or undefined where none is close. Case does not count.
 * At most one edit in three letters, and never more than three, is taken for a slip: beyond that a guess misleads.
 */
export function closest(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.min(3, Math.max(1, Math.floor(name.length / 3))) + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= least) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** ` Did you mean "editor"?`, with its leading space, to append to a message; empty where no candidate is close. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const guess = closest(name, candidates)
  return guess === undefined ? "" : ` Did you mean "${guess}"?`
}
