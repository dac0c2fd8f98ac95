// What the program of a session says, up to what a test waits for.
import assert from 'node:assert/strict';

/** Reads until the text is there; what was read. */
export async function until(session: AsyncIterator<{ data: Buffer }>, wanted: string): Promise<string> {
  let said = '';
  while (!said.includes(wanted)) {
    const next = (await session.next()) as IteratorResult<{ data: Buffer }, undefined>;
    assert.ok(next.done !== true, `${wanted} does not come after ${said}`);
    said += next.value.data.toString();
  }
  return said;
}
