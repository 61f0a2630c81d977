/** All mails that there are, by name: the kit's, and those of the application, which may take the place of one of the kit's. */
import { BootError } from "../core/errors.ts"
import { didYouMean } from "../core/suggest.ts"
import type { AnyMailTemplate } from "./template.ts"

/** @throws BootError for two of one name, and for a name of the kit's that it has no mail of */
export function templatesOf(
  kit: readonly AnyMailTemplate[],
  own: readonly AnyMailTemplate[] = [],
): ReadonlyMap<string, AnyMailTemplate> {
  const templates = new Map(kit.map((template) => [template.name, template]))
  const seen = new Set<string>()
  for (const template of own) {
    const { name, data } = template
    if (seen.has(name)) throw new BootError(`Two mails are called "${name}". Rename one.`)
    seen.add(name)
    const replaced = templates.get(name)
    if (!replaced && name.startsWith("trestle.")) {
      const names = kit.map((template) => template.name)
      throw new BootError(
        `The kit has no mail "${name}".${didYouMean(name, names)} A name without a dot makes it one of yours.`,
      )
    }
    if (replaced && replaced.data !== data) {
      throw new BootError(`The mail "${name}" takes the place of one of the kit's, and so its data: AccountMail.`)
    }
    templates.set(name, template)
  }
  return templates
}
