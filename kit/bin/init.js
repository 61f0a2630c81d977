// The first process of a container. Whatever loses its parent there becomes its child, and stays as a zombie unless it is waited
// for, which Node cannot do for a process that it did not start. A shell can: it takes this process's place, runs the program
// as its child, passes signals on to it and ends as it ends.
import { existsSync } from "node:fs"
import process from "node:process"

const shell = "/bin/sh"

const script = `
"$@" & child=$!
for signal in TERM INT HUP QUIT USR1 USR2; do trap "kill -$signal $child" $signal; done
while :; do
  wait $child; code=$?
  # A signal ends the waiting too; then the child is still there.
  kill -0 $child 2>/dev/null || exit $code
done`

/** Does nothing for any process but the first. */
export function leaveFirstPlace() {
  if (process.pid !== 1 || !process.execve || !existsSync(shell)) return
  // It may change, says Node 24: until then its users need not be told.
  process.removeAllListeners("warning")
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  process.execve(shell, ["sh", "-c", script, "trestle", ...command], process.env)
}
