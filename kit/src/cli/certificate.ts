/** `trestle certificate`: makes a self-signed certificate where the settings say that it is. */
import { existsSync } from "node:fs"
import { isIPv6 } from "node:net"
import { relative } from "node:path"
import { BootError } from "../core/errors.ts"
import { longestDays, makeCertificate, ownHosts } from "../http/certificates.ts"
import { certificateFiles, dateOf, readCertificate, usualDays } from "../http/tls.ts"
import type { Arguments } from "./command.ts"
import { findProject, loadApp } from "./project.ts"
import { configOf } from "./project-config.ts"

export async function certificate({ flags }: Arguments): Promise<void> {
  const days = daysOf(flags.days)
  const project = findProject()
  const { tls, server } = configOf(project, await loadApp(project), "production")
  const files = certificateFiles(tls, project.folder)
  const present = [files.certificate, files.key].find((file) => existsSync(file))
  if (present && !flags.force) throw new BootError(`${present} is there already. To replace it, add --force.`)

  await makeCertificate({ ...files, hosts: ownHosts(server.host), days })
  const made = readCertificate(files)!
  print(`Made ${shown(files.certificate)} and its key ${shown(files.key)}, until ${dateOf(made.validToDate)}.`)
  print(`It is for ${namesOf(made.subjectAltName!).join(", ")}.`)
  if (tls.mode === "off") print(`The server uses it with TLS_MODE=files, or "tls": { "mode": "files" } in config.json.`)
}

function daysOf(text: string | boolean | undefined): number {
  const days = text === undefined ? usualDays : Number(text)
  if (Number.isInteger(days) && days >= 1 && days <= longestDays) return days
  throw new BootError(`--days takes a whole number from 1 to ${longestDays}, not "${text}".`)
}

/** `DNS:localhost, IP Address:0:0:0:0:0:0:0:1` → `localhost`, `::1` */
const namesOf = (alternatives: string): string[] =>
  alternatives.split(", ").map((one) => {
    const name = one.replace(/^(DNS|IP Address):/, "")
    return isIPv6(name) ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name
  })

const shown = (file: string): string => relative(process.cwd(), file)
const print = (line: string): void => void process.stdout.write(`${line}\n`)
