/**
 * Errors as the log prints them: the stack with its causes, and nothing else of the error, since its other fields can
 * hold rows and secrets. Only the frames are lines of their own, indented: a message from outside cannot make one.
 */
import type { Mask } from "../mask.ts"
import { escapeControls } from "./escape.ts"

const framesAtMost = 30
const messageAtMost = 2000
const causesAtMost = 5

export function printStack(error: unknown, mask: Mask, depth = 0): string {
  if (!(error instanceof Error)) return escapeControls(mask.json(error))
  const { head, frames } = parts(error)
  const lines = [escapeControls(mask.text(head)), ...frames.map((frame) => `    ${escapeControls(frame.trim())}`)]
  if (depth < causesAtMost) {
    if (error.cause !== undefined) lines.push(`  caused by ${printStack(error.cause, mask, depth + 1)}`)
    const several = error instanceof AggregateError ? error.errors.slice(0, 3) : []
    for (const one of several) lines.push(`  one of several: ${printStack(one, mask, causesAtMost)}`)
  }
  return lines.join("\n")
}

/** The first line of the stack with the whole message, and the frames. */
function parts(error: Error): { head: string; frames: string[] } {
  const stack = typeof error.stack === "string" ? error.stack : String(error)
  const message = String(error.message)
  const at = message ? stack.indexOf(`: ${message}`) : -1
  const headEnd = at >= 0 ? at + 2 + message.length : stack.search(/\n\s+at |$/)
  const frames = stack.slice(headEnd).split("\n")
  return {
    head: stack.slice(0, headEnd).slice(0, messageAtMost),
    frames: frames.filter(isFrame).slice(0, framesAtMost),
  }
}

const isFrame = (line: string) => /^\s+at /.test(line)
