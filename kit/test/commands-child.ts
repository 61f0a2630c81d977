/**
 * Runs commands of `trestle` one after the other, in this process: most take less time than it takes to load what they need. It gets
 * the arguments as messages and answers with what each said. That a command's own process ends is seen where it is run in one.
 */
import { pathToFileURL } from "node:url"

/** Read again for each, as a new process reads it; what it imports stays. */
const main = pathToFileURL(`${import.meta.dirname}/../src/cli/main.ts`).href

let turn = 0
const said = { stdout: "", stderr: "" }
for (const name of ["stdout", "stderr"] as const) {
  process[name].write = (chunk: string | Uint8Array) => {
    said[name] += chunk
    return true
  }
}

let last = Promise.resolve()
process.on("message", (args: string[]) => {
  last = last.then(async () => {
    process.argv.splice(2, Infinity, ...args)
    process.exitCode = 0
    Object.assign(said, { stdout: "", stderr: "" })
    await import(`${main}?${++turn}`)
    process.send?.({ code: process.exitCode, ...said })
  })
})
