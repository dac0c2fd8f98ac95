// The rules of a filter of system calls, as whoever makes them says them.

/** A 64-bit argument (`index` 0..5) that equals `value`, or that has no bit outside `mask`. */
export type ArgumentTest =
  { readonly index: number; readonly value: bigint } | { readonly index: number; readonly mask: bigint };

/** What becomes of a call: let in, let in when any of the tests holds, or answered with an errno. */
export type FilterRule = 'any' | { readonly anyOf: readonly ArgumentTest[] } | { readonly errno: number };
