/** `trestle start` is production, `trestle dev` development, `testApp` test: no variable turns one into another. */
export type Mode = "production" | "development" | "test"
