// How long a test waits before it calls something missing.
const factor = Number(process.env['NORTHSTATE_TEST_PATIENCE'] ?? 1);

/**
 * A minute, in ms: what is only slow, on a machine that is busy with other things, comes within it; what hangs does not come at all.
 * NORTHSTATE_TEST_PATIENCE times as long (an emulated machine is slower).
 */
export const patience = 60_000 * factor;
