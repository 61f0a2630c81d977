/** The media types of files, by their extension. Browsers are told not to guess, so what is unknown is a download. */
import { extname } from "node:path"

const unknown = "application/octet-stream"
const utf8 = "; charset=utf-8"

/** What a web site is usually made of (IANA's registry). Text is UTF-8. */
const types: Record<string, string> = {
  ".html": `text/html${utf8}`,
  ".htm": `text/html${utf8}`,
  ".css": `text/css${utf8}`,
  ".js": `text/javascript${utf8}`,
  ".mjs": `text/javascript${utf8}`,
  ".txt": `text/plain${utf8}`,
  ".md": `text/markdown${utf8}`,
  ".csv": `text/csv${utf8}`,
  ".ics": `text/calendar${utf8}`,
  ".vtt": `text/vtt${utf8}`,
  ".xml": `application/xml${utf8}`,
  ".rss": `application/rss+xml${utf8}`,
  ".atom": `application/atom+xml${utf8}`,
  ".svg": `image/svg+xml${utf8}`,
  // JSON is UTF-8 by its definition, but what reads it as text asks the charset.
  ".json": `application/json${utf8}`,
  ".map": `application/json${utf8}`,
  ".jsonld": `application/ld+json${utf8}`,
  ".geojson": `application/geo+json${utf8}`,
  ".webmanifest": `application/manifest+json${utf8}`,
  ".yaml": `application/yaml${utf8}`,
  ".yml": `application/yaml${utf8}`,
  ".wasm": "application/wasm",
  ".pdf": "application/pdf",
  ".zip": "application/zip",
  ".gz": "application/gzip",
  ".tar": "application/x-tar",
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".webp": "image/webp",
  ".avif": "image/avif",
  ".bmp": "image/bmp",
  ".ico": "image/x-icon",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
  ".ttf": "font/ttf",
  ".otf": "font/otf",
  ".mp3": "audio/mpeg",
  ".m4a": "audio/mp4",
  ".ogg": "audio/ogg",
  ".wav": "audio/wav",
  ".flac": "audio/flac",
  ".mp4": "video/mp4",
  ".m4v": "video/mp4",
  ".webm": "video/webm",
  ".mov": "video/quicktime",
}

/** The Content-Type of a file, by its extension. */
export const mediaTypeOf = (path: string): string => types[extname(path).toLowerCase()] ?? unknown
