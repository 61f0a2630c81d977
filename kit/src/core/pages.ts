/** What lists need that come a page at a time. */

/** A page of a list: `page` counts from 1. */
export interface Page {
  page: number
  limit: number
  /** How many there are on all pages. */
  total: number
  /** The parameter of the query that `limit` came in. Default "limit". */
  limitName?: string
}

/**
 * The headers of a list: `X-Total-Count`, and `Link` (RFC 8288) to the first, previous, next and last page, with the rest of
 * the query kept.
 * @param url the URL of the request, as it came
 */
export function pageLinks(url: string, { page, limit, total, limitName = "limit" }: Page): Record<string, string> {
  const target = url.split("#", 1)[0]!
  const mark = target.indexOf("?")
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? "" : target.slice(mark + 1)
  const last = Math.max(1, Math.ceil(total / limit))
  const link = (number: number, rel: string) => {
    const parameters = new URLSearchParams(query)
    parameters.set("page", String(number))
    parameters.set(limitName, String(limit))
    // Nothing of the client's may end the target in the header.
    return `<${path.replace(/[<>"\s]/g, encodeURIComponent)}?${parameters}>; rel="${rel}"`
  }
  const links = [link(1, "first"), link(last, "last")]
  if (page > 1) links.push(link(Math.min(page - 1, last), "prev"))
  if (page < last) links.push(link(page + 1, "next"))
  return { "x-total-count": String(total), link: links.join(", ") }
}
