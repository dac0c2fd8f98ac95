/** ms on a clock that nobody sets. That of `performance` has a start load eleven modules of Node. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
