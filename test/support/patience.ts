// How long a test waits before it calls something missing.
const factor = Number(process.env['NORTHSTATE_TEST_PATIENCE'] ?? 1);

/** A deadline in ms as it is on this machine: NORTHSTATE_TEST_PATIENCE times as long (an emulated one is slower). */
export function patience(milliseconds: number): number {
  return milliseconds * factor;
}
