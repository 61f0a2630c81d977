/** Lines that could not be written yet, in their order. Memory is bounded: beyond it new lines are counted, not kept. */

const newline = 10

export class Backlog {
  private readonly chunks: Buffer[] = []
  private readonly bytesAtMost: number
  private bytes = 0
  /** How many lines were not kept since the last time that somebody asked. */
  private lost = 0

  constructor(bytesAtMost: number) {
    this.bytesAtMost = bytesAtMost
  }

  get first(): Buffer | undefined {
    return this.chunks[0]
  }

  add(lines: Buffer): void {
    if (this.bytes + lines.length > this.bytesAtMost) {
      for (const byte of lines) if (byte === newline) this.lost++
      return
    }
    this.chunks.push(lines)
    this.bytes += lines.length
  }

  /** Puts what is left of the first chunk in its place; nothing removes it. */
  replaceFirst(rest: Buffer): void {
    const [first] = this.chunks
    if (!first) return
    this.bytes += rest.length - first.length
    if (rest.length > 0) this.chunks[0] = rest
    else this.chunks.shift()
  }

  clear(): void {
    this.chunks.length = 0
    this.bytes = 0
  }

  takeLost(): number {
    const { lost } = this
    this.lost = 0
    return lost
  }
}
