/**
 * A text in the one spelling that many share: lower case, without accents, "ｐ" as "p". For comparing only. It takes long for
 * long texts, so cut them before.
 */
export const fold = (text: string): string =>
  // Of marks only accents go: in the scripts of India others are vowels. Then through upper case, where "ſ", "ς" and "ı" become
  // what they are small letters of.
  text
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toUpperCase()
    .toLowerCase()
