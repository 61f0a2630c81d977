// @together
/** Which passwords are refused, and with which words. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkPassword } from "../src/auth/password-rules.ts"

const rules = { minLength: 8, needsMixed: false }

test("a password has 8 characters at least and 128 at most, of any script", () => {
  assert.match(checkPassword("kR7#mPq", rules) ?? "", /at least 8 characters\. Add more/)
  assert.match(checkPassword("\u{1F511}\u{1F98A}\u{1F40B}\u{1F9ED}", rules) ?? "", /at least 8 characters/)
  assert.match(checkPassword("we\u0301x\u0323q\u0301", rules) ?? "", /at least 8/, "counted as they are composed")
  assert.match(checkPassword("kR7#mPq2vX!n", { ...rules, minLength: 13 }) ?? "", /at least 13 characters/)
  const sentence = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. ".repeat(2)
  assert.equal(checkPassword(sentence.slice(0, 128), rules), undefined)
  const tooLong = "A password has at most 128 characters. Shorten it."
  assert.equal(checkPassword(sentence.slice(0, 129), rules), tooLong)
  // Normalising this would take minutes.
  assert.equal(checkPassword(`a${"\u0301".repeat(500_000)}${"\u0316".repeat(500_000)}`, rules), tooLong)
  for (const good of [
    "kR7#mPq2",
    "我的密码是很长的一句话",
    "मेरा पासवर्ड",
    "\u{1F511}\u{1F98A}\u{1F40B}\u{1F9ED}\u{1F33B}\u{1F3BB}\u{1FA81}\u{1F9CA}",
  ]) {
    assert.equal(checkPassword(good, rules), undefined, good)
  }
})

test("what cannot be typed or kept is refused", () => {
  for (const bad of ["kR7#mPq2\n", "kR7#\u0000mPq2", "kR7#\tmPq2", "kR7#mPq2\ud83d"]) {
    assert.match(checkPassword(bad, rules) ?? "", /control characters\. Leave them out/)
  }
})

test("a mixture is asked for only where the rules do, and the sentence says what is missing", () => {
  const mixed = { minLength: 8, needsMixed: true }
  assert.equal(checkPassword("wintermoor castle", rules), undefined)
  assert.equal(
    checkPassword("wintermoor castle", mixed),
    "A password needs an upper-case letter and a digit. Add them.",
  )
  assert.equal(checkPassword("WINTERMOOR 12", mixed), "A password needs a lower-case letter. Add one.")
  assert.equal(
    checkPassword("?#%&^*()=~", mixed),
    "A password needs a lower-case letter, an upper-case letter and a digit. Add them.",
  )
  assert.equal(checkPassword("Éclair für 2", mixed), undefined)
})

/** Passwords, one to a line or between spaces. */
const listed = (text: string) => text.trim().split(/\s+/)

test("the most common passwords are refused, with capitals, digits, signs and letters exchanged", () => {
  const common = listed(`
    password PASSWORD Password1 password1! Passw0rd P@ssw0rd P@$$w0rd! p.a.s.s.w.o.r.d pass-word1 passwordpassword
    password12345678 1password ｐａｓｓｗｏｒｄ Pässwörd1 iloveyou letmein123 Welcome1 welcome2024 admin123 4dm1n1str4t0r
    Summer2024! 5unsh1ne sunshine1 trustno1 football baseball1 superman Dragon99 monkey123 J3nn1f3r michael1 changeme
    starwars whatever minecraft MOTDEPASSE contraseña Passwort1 пароль123 admin123admin123 pokemon2025`)
  for (const password of common) {
    assert.match(checkPassword(password, rules) ?? "", /^The password is one of the first that are guessed/, password)
  }
})

test("rows, repetitions and walks over the keyboard are refused", () => {
  const simple = listed(`
    12345678 123456789 1234567890 87654321 0987654321 12344321 11223344 10203040 20242024 aaaaaaaa abcdefgh abcabcabc
    abababab abcd1234 Abc12345 a1b2c3d4 1a2b3c4d 1q2w3e4r 1qaz2wsx !QAZ2wsx zaq12wsx qazwsxedc 1qazxsw2 qwertyui qwerty123
    Qwerty123! qwertzui azertyui asdfghjkl asdf1234 qwer1234 q1w2e3r4t5 123qweasd zxcvbnm1 йцукенгш 147258369 789456123
    123654789 135792468 88888888 xxxxxxxx 1357924680 фывапролдж`)
  for (const password of simple) {
    assert.match(checkPassword(password, rules) ?? "", /^The password is a simple pattern/, password)
  }
})

test("a password that is mostly the user's address or names is refused", () => {
  const about = { email: "Jane.Smithers84@acme-tools.example", names: ["Jane", "Smithers", "Zoë"] }
  const own = listed(`
    jane.smithers84@acme-tools.example jane.smithers84@acme-tools.example1 Jane.Smithers84 janesmithers Smithers2024!
    sm1th3rs_84 SmithersJane1 acme-tools acmetools99 Smithers8484 smithers84@acme`)
  for (const password of own) {
    assert.match(checkPassword(password, rules, about) ?? "", /like your e-mail address or name/, password)
    assert.equal(checkPassword(`${password} walks to Rome`, rules, about), undefined)
  }
  for (const password of ["?#%&^*()=~", "j?#%&^*()=~", "kR7#mPq2"]) {
    assert.equal(checkPassword(password, rules, about), undefined, password)
  }
})

test("several words, and what a generator makes, are let through", () => {
  const good = [
    "correct horse battery staple",
    "monkey wrench sandwich",
    "my dog ate it",
    "winterinmoscow",
    "summer rain falls",
    "blue-kettle-17",
    "passwordless authentication",
    "Tr0ub4dor&3",
    "v9Qz!t2m",
    "xkcdfours",
  ]
  for (const password of good) assert.equal(checkPassword(password, rules), undefined, password)
})
