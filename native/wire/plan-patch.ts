// A boot plan as what it says other than one that lies there already: units that are the same are named by their place, and of
// what is other only the bytes between the first and the last that differ (native/player/plan-patch.h).
import { sameBegin, sameEndAfter } from '../../state/text/common-ends.ts';

const mark = Buffer.from('northstate planpatch\n');
/** Where the sum of a plan ends (boot-plan.ts). */
const sumEnd = 24;
/** A patch is no longer than this part of the plan. */
const part = 8;

interface Range {
  readonly from: number;
  readonly to: number;
}

/** The patch that makes `plan` of `base`; null: it is not worth it, or `base` is no plan. */
export function patchOf(base: Uint8Array, plan: Uint8Array): Uint8Array | null {
  const [was, is] = [partsOf(base), partsOf(plan)];
  if (was === null || is === null) return null;
  const steps = createSteps(base, plan);
  for (const [index, each] of is.head.entries()) steps.trimmed(was.head[index], each);
  for (const [name, each] of is.units) steps.trimmed(was.units.get(name), each);
  const patch = steps.end();
  return patch.length * part > plan.length ? null : patch;
}

function createSteps(base: Uint8Array, plan: Uint8Array) {
  const done: { at: number; size: number; readonly text: Range[] }[] = [];

  function copy(at: number, size: number): void {
    const last = done.at(-1);
    if (size === 0) return;
    if (last !== undefined && last.text.length === 0 && last.at + last.size === at) last.size += size;
    else done.push({ at, size, text: [] });
  }

  function literal(from: number, to: number): void {
    if (from === to) return;
    if (done.length === 0) done.push({ at: 0, size: 0, text: [] });
    done.at(-1)?.text.push({ from, to });
  }

  return {
    /** Bytes of the plan that stand for those of the base. */
    trimmed(was: Range | undefined, is: Range): void {
      const [before, now] = [base.subarray(was?.from ?? 0, was?.to ?? 0), plan.subarray(is.from, is.to)];
      if (before.length === now.length && Buffer.compare(before, now) === 0) {
        copy(was?.from ?? 0, before.length);
        return;
      }
      const begin = sameBegin(before, now);
      const end = sameEndAfter(before, now, begin);
      copy(was?.from ?? 0, begin);
      literal(is.from + begin, is.to - end);
      copy((was?.to ?? 0) - end, end);
    },
    end(): Uint8Array {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(plan.length);
      const pieces = done.flatMap(({ at, size, text }) => {
        const fields = Buffer.alloc(12);
        fields.writeUInt32LE(at, 0);
        fields.writeUInt32LE(size, 4);
        fields.writeUInt32LE(
          text.reduce((sum, { from, to }) => sum + to - from, 0),
          8,
        );
        return [fields, ...text.map(({ from, to }) => plan.subarray(from, to))];
      });
      return Buffer.concat([mark, head, ...pieces]);
    },
  };
}

/** The sum, the head up to the document's end, the rest of the head, and each unit by its name. Null: it is no plan. */
function partsOf(plan: Uint8Array): { readonly head: readonly Range[]; readonly units: Map<string, Range> } | null {
  const bytes = Buffer.from(plan.buffer, plan.byteOffset, plan.length);
  let at = sumEnd + 4;
  const skip = (): Range => {
    const from = at + 4;
    at = from + bytes.readUInt32LE(at);
    return { from, to: at };
  };
  try {
    for (let field = 0; field < 5; field += 1) skip();
    at += 1;
    skip();
    const document = at;
    const count = bytes.readUInt32LE((at += 8));
    at += 4;
    const head = [
      { from: 0, to: sumEnd },
      { from: sumEnd, to: document },
      { from: document, to: at },
    ];
    const units = new Map<string, Range>();
    for (let unit = 0; unit < count; unit += 1) {
      const from = at;
      const name = skip();
      at += 2 + 4 * bytes.readUInt16LE(at);
      skip();
      units.set(bytes.toString('latin1', name.from, name.to), { from, to: at });
    }
    return at === bytes.length && units.size === count ? { head, units } : null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
