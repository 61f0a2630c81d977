/** All processes write one log, which is renamed when it is full: no line is torn, none is lost. */
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { type Chaos, count, type Finding } from "./findings.ts"

const linesOfRequest = 1000
const bytesOfLine = 120

/** After each the full files are put aside: the server keeps a hundred at most. */
const rounds = 10

export async function* logs({ project, isShort }: Chaos): AsyncGenerator<Finding> {
  const lines = isShort ? 200_000 : 1_000_000
  const rotations = 100
  const folder = join(project.folder, "logs")
  const aside = join(folder, "aside")
  await rm(folder, { recursive: true, force: true })
  await mkdir(aside, { recursive: true })
  // Processes that log at the same time fill it beyond its size, so it is small enough for more.
  const size = Math.floor((lines * bytesOfLine) / (rotations * 3))
  let answered = 0
  const pids = new Set<string>()
  {
    await using server = await project.start({
      WORKERS_WEB: "4",
      LOGGING_FILE_SIZE: `${size} B`,
      LOGGING_FILE_BACKUPS: "100",
    })
    const asks = [{ method: "POST" as const, path: "/api/chaos/lines", isNumbered: true }]
    const requests = lines / linesOfRequest / rounds
    for (let round = 0; round < rounds; round++) {
      const task = { asks, clients: 16, count: requests, numbersFrom: round * requests, expectedMs: 20_000 }
      const outcome = await server.load(task).outcome
      answered += outcome.statuses[200] ?? 0
      for (const pid of Object.keys(outcome.pids)) pids.add(pid)
      await putAside(folder, aside)
    }
  }
  const files = [
    ...(await namesIn(folder)).map((name) => join(folder, name)),
    ...(await namesIn(aside)).map((name) => join(aside, name)),
  ]
  const { whole, torn, example } = await readAll(files)
  yield {
    promise: `${count(lines, "line")} from 4 processes over at least ${rotations} rotations: none torn, none lost`,
    figure:
      `${count(lines - whole, "line")} lost, ${torn} torn${example ? ` (${JSON.stringify(example)})` : ""}, over ` +
      `${count(files.length - 1, "rotation")}, from ${pids.size} processes`,
    isKept:
      answered * linesOfRequest === lines &&
      whole === lines &&
      torn === 0 &&
      files.length > rotations &&
      pids.size === 4,
  }
}

const namesIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => name.startsWith("server.log") && !name.endsWith(".lock"))

let moved = 0

async function putAside(folder: string, aside: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    // Whoever renames it at the same time gives it another number; then it comes the next time.
    if (name !== "server.log") await rename(join(folder, name), join(aside, `server.log.${moved++}`)).catch(() => {})
  }
}

/** Counts the different lines of ours, and those that are not as somebody wrote them. */
async function readAll(files: string[]): Promise<{ whole: number; torn: number; example: string | undefined }> {
  const found = new Set<number>()
  let torn = 0
  let example: string | undefined
  for (const file of files) {
    const lines = (await readFile(file, "utf8")).split("\n")
    const last = lines.pop()
    if (last) lines.push(`${last} (without an end)`)
    for (const line of lines) {
      const [, request, number] = /^\[[^\]]+\] \(INFO\) [\w-]+: line (\d+) (\d+) -{60} end$/.exec(line) ?? []
      if (number !== undefined) {
        const key = Number(request) * linesOfRequest + Number(number)
        if (!found.has(key)) found.add(key)
        else torn++
      } else if (!/^\[[^\]]+\] \([A-Z]+\) [\w-]+: (?!.*line \d)/.test(line)) {
        torn++
        example ??= line
      }
    }
  }
  return { whole: found.size, torn, example }
}
