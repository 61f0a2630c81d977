/** What the rest of the kit may use of the configuration. The parts beside it are its own affair. */
export { Duration, type DurationOptions, type SettingOptions, Size, Url } from "./kinds.ts"
export { type EffectiveSetting, effectiveSettings, type LoadOptions, loadConfig } from "./load.ts"
export { configurationPage, configurationTable } from "./page.ts"
export type { Config, KitConfig, Section } from "./schema.ts"
export type { Sections } from "./settings.ts"
