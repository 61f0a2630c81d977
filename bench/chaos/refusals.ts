/** A version that cannot begin changes nothing where one runs, and says why where none does. */
import { type Chaos, count, type Finding } from "./findings.ts"
import { whyOf } from "./load.ts"
import { everyday } from "./reloads.ts"

const broken = 'throw new Error("not today")\n'
const reason = /not today/

export async function* refusals({ project }: Chaos): AsyncGenerator<Finding> {
  const good = await project.read("app/app.ts")
  try {
    await using server = await project.start()
    const former = await server.readyPids()
    const load = server.load({ ...everyday, asks: [...everyday.asks] })
    await project.write("app/app.ts", broken)
    const { code, output } = await project.run(["reload"])
    const now = await server.readyPids()
    const { sent, failed, failures } = await load.stop()
    const isSame = former.every((pid) => now.includes(pid))
    yield {
      promise: "a version that throws at import is refused by a reload, which says why, and nothing changes",
      figure:
        `trestle reload ended with ${code} and ${reason.test(output) ? "the reason" : `without the reason: ${output}`}; ` +
        `${isSame ? "the same processes answer" : "other processes answer"}; ${count(failed, "failure")} of ` +
        `${count(sent, "request")} (${whyOf(failures)})`,
      isKept: code !== 0 && reason.test(output) && isSame && failed === 0,
    }
    await server[Symbol.asyncDispose]()
    const cold = await project.run(["start"])
    yield {
      promise: "where no version runs, the start ends with a code other than 0 and the reason",
      figure: `code ${cold.code}, ${reason.test(cold.output) ? "with the reason" : "without the reason"}`,
      isKept: cold.code !== 0 && reason.test(cold.output),
    }
  } finally {
    await project.write("app/app.ts", good)
  }
}
