/** Everything that an application may import; nothing else. Tests import `trestle/testing` besides. */
export { sql } from "kysely"
export { type Api, type App, defineApp, type Routes, type Signup } from "./app.ts"
export { AccountMail } from "./auth/link-mails.ts"
export { BaseResponse, baseResponse } from "./core/base-response.ts"
export type { Config, Section } from "./core/config/index.ts"
export { Duration, Size, Url } from "./core/config/index.ts"
export * from "./core/declared.ts"
export {
  BootError,
  badRequest,
  conflict,
  type Fault,
  forbidden,
  HttpError,
  type HttpErrorOptions,
  notFound,
  unauthorized,
  unavailable,
} from "./core/errors.ts"
export { Html, HtmlPage, type HtmlValue, html, sendHtml, unsafeHtml } from "./core/html.ts"
export type { Log } from "./core/log.ts"
export { type Page, pageLinks } from "./core/pages.ts"
export { type Role, reaches, roles, type User } from "./core/roles.ts"
export { ById, Id, Input, type Row, type Static, Timestamp, Type } from "./core/schema.ts"
export type { RequestSession } from "./core/session.ts"
export type { Db } from "./db/database.ts"
export { prepare } from "./db/prepare.ts"
export { containing } from "./db/search.ts"
export { cron, job } from "./jobs/define.ts"
export type {
  CronOptions,
  Job,
  JobContext,
  JobOptions,
  JobPhase,
  JobRun,
  JobState,
  Jobs,
  SendOptions,
} from "./jobs/job.ts"
export { MailFailure } from "./mail/failure.ts"
export type { Mail, OutgoingMail } from "./mail/mail.ts"
export { type MailContent, type MailTemplate, type MailTemplateInput, mailTemplate } from "./mail/template.ts"
export type { AppendOptions, ItemsOptions, Kv, Lifetime, PopOptions } from "./store/kv.ts"
export { WebhookEndpoint, WebhookEventType } from "./webhooks/endpoint.ts"
export { verifyWebhook, type WebhookPayload } from "./webhooks/signature.ts"
export type { InTransaction, PublishOptions, SentEvent, WebhookEvent, Webhooks } from "./webhooks/webhooks.ts"
