/** `npm run bench [NAME]`: measures, prints, judges nothing. */
import { jobs } from "./jobs.ts"
import { login } from "./login.ts"
import { requests } from "./requests.ts"
import { sessions } from "./sessions.ts"
import { start } from "./start.ts"
import { statics } from "./static.ts"
import { watchdog } from "./watchdog.ts"

const benches: Record<string, () => Promise<void>> = {
  start,
  requests,
  sessions,
  login,
  static: statics,
  jobs,
  watchdog,
}

const wanted = process.argv.slice(2)
for (const name of wanted.length > 0 ? wanted : Object.keys(benches)) {
  const bench = benches[name]
  if (!bench) {
    console.error(`There is no bench "${name}". There are: ${Object.keys(benches).join(", ")}`)
    process.exitCode = 1
    continue
  }
  console.log(`\n# ${name}`)
  await bench()
}
