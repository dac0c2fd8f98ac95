// The boot plan as the boot player reads it (native/player/plan.h): what makes it count, and units of deeds.
import { crc32 } from 'node:zlib';
import { createEncoder, type Encoder } from './encoder.ts';

/** Raised with every change of its form. */
const format = 3;
const magic = Buffer.from('northstate bootplan\n');

/** The most that the player takes (native/player/plan.h). */
export const planLimits = { bytes: 64 << 20, units: 8192, needs: 256, deeds: 4096, slots: 256 } as const;

/** Stand in a template for what only the boot knows: times are CLOCK_BOOTTIME in ms, as numbers of JSON. */
export const blanks = { now: '\u0001', boot: '\u0002', launcherStarted: '\u0003', launcher: '\u0004' } as const;

/** Stands for the id of what is mounted on a path. */
export function mountBlank(path: string): string {
  return `\u0005${path}\u0005`;
}

interface Field<T> {
  write(to: Encoder, value: T): void;
}

/** A descriptor of the unit, by a number of its own below planLimits.slots. */
const slot: Field<number> = { write: (to, value) => to.u32(value) };
const number: Field<number | bigint> = { write: (to, value) => to.u64(BigInt(value)) };
const flag: Field<boolean> = { write: (to, value) => to.u64(value ? 1n : 0n) };
const text: Field<string> = { write: (to, value) => to.text(value) };
const bytes: Field<Uint8Array> = { write: (to, value) => to.bytes(value) };
/** With blanks in it. */
const template: Field<string> = { write: (to, value) => to.bytes(Buffer.from(value)) };
const slots: Field<readonly number[]> = {
  write(to, value) {
    to.u16(value.length);
    value.forEach((each) => to.u32(each));
  },
};
const ways = { directory: 0, read: 1, write: 2, 'directory without links': 3 } as const;
const way: Field<keyof typeof ways> = { write: (to, value) => to.u64(BigInt(ways[value])) };
const kinds = { stream: 0, datagram: 1, seq_packet: 2 } as const;
const kind: Field<keyof typeof kinds> = { write: (to, value) => to.u64(BigInt(kinds[value])) };

/** Every deed: its number, and its fields in the order of the file (native/player/deed-table.def says what they mean). */
export const deedTable = {
  file: {
    number: 1,
    fields: {
      slot,
      path: text,
      device: number,
      inode: number,
      size: number,
      seconds: number,
      nanoseconds: number,
      owner: number,
      mode: number,
    },
  },
  attach: { number: 2, fields: { slot, from: slot, offset: number, size: number, mark: text } },
  map: {
    number: 3,
    fields: { slot, from: slot, prefix: text, blocks: number, tree: number, rootHash: text, salt: text },
  },
  mount: { number: 4, fields: { from: slot, path: text, type: text, flags: number, options: text } },
  mkdir: { number: 5, fields: { path: text, mode: number } },
  write: { number: 6, fields: { path: text, text: template } },
  put: { number: 7, fields: { path: text, text: template } },
  open: { number: 8, fields: { slot, path: text, way } },
  within: { number: 9, fields: { slot, root: text, path: text } },
  bind: { number: 10, fields: { slot, path: text } },
  tree: { number: 11, fields: { slot, path: text, recursive: flag, attributes: number } },
  'tree-of': { number: 12, fields: { slot, from: slot, recursive: flag, attributes: number } },
  xattr: { number: 13, fields: { path: text, name: text, text: template } },
  claim: { number: 14, fields: { slot, path: text } },
  request: {
    number: 15,
    fields: { type: number, slots, before: bytes, recorded: flag, record: template, after: bytes },
  },
  socket: {
    number: 16,
    fields: { slot, directory: text, name: text, kind, passcred: flag, uid: number, gid: number, mode: number },
  },
  expect: { number: 17, fields: { path: text, bytes } },
  absent: { number: 18, fields: { path: text } },
  hierarchy: { number: 19, fields: { path: text, version: number } },
  delegated: { number: 20, fields: { mount: text, group: text, leaf: text } },
  copy: { number: 21, fields: { path: text, bytes } },
  above: { number: 22, fields: { path: text, cpuset: flag, memory: flag, file: text, bytes } },
  append: { number: 23, fields: { path: text, bytes } },
  undelegated: { number: 24, fields: { mount: text } },
} as const;

type Rows = typeof deedTable;
type Values<Fields> = { readonly [Name in keyof Fields]: Fields[Name] extends Field<infer Value> ? Value : never };

/** One deed: its name, and the value of each of its fields. */
export type Deed = { [Name in keyof Rows]: { readonly deed: Name } & Values<Rows[Name]['fields']> }[keyof Rows];

/** What belongs together, and the units before it that it needs. The first one is everybody's. */
export interface Unit {
  readonly name: string;
  readonly needs: readonly number[];
  readonly deeds: readonly Deed[];
}

/** What makes a plan count, and what it does. */
export interface BootPlan {
  readonly runtime: string;
  /** Release and machine, as uname(2) gives them. */
  readonly kernel: string;
  readonly machine: string;
  /** What the summary of its configuration begins with. */
  readonly source: Uint8Array;
  readonly document: { readonly path: string; readonly text: Uint8Array | null };
  readonly generation: number;
  readonly units: readonly Unit[];
}

/** A whole plan. Throws RangeError when it is over a limit of the player's. */
export function encodePlan({ units, ...head }: BootPlan): Uint8Array {
  const plan = openPlan(head);
  for (const { deeds, ...unit } of units) plan.add({ ...unit, deeds: encodeDeeds(unit.name, deeds) });
  return plan.end();
}

/** What a unit does, as it stands in the file, whatever the unit's place in it. */
export type EncodedDeeds = Uint8Array;

/** A unit with its deeds as they stand in the file. */
export interface EncodedUnit extends Omit<Unit, 'deeds'> {
  readonly deeds: EncodedDeeds;
}

/** The deeds of a unit of this name. Throws as encodePlan() does. */
export function encodeDeeds(name: string, deeds: readonly Deed[]): EncodedDeeds {
  const to = createEncoder(4096);
  within(deeds.length, planLimits.deeds, `deeds of ${name}`);
  to.framed(() => {
    for (const deed of deeds) {
      const values: Readonly<Record<string, unknown>> = deed;
      const row = deedTable[deed.deed];
      to.u16(row.number);
      to.framed(() => {
        for (const [field, { write }] of Object.entries<Field<unknown>>(row.fields)) write(to, values[field]);
      });
    }
  });
  return new Uint8Array(to.end());
}

/** A plan to which unit after unit is added, so that none need be kept. Throws as encodePlan() does. */
export function openPlan({ runtime, kernel, machine, source, document, generation }: Omit<BootPlan, 'units'>): {
  add(unit: EncodedUnit): void;
  end(): Uint8Array;
} {
  const [head, number, units] = [createEncoder(), createEncoder(4), createEncoder(1 << 16)];
  let count = 0;
  head.u32(format);
  for (const each of [runtime, kernel, machine]) head.text(each);
  head.bytes(source);
  head.text(document.path);
  head.u8(document.text === null ? 0 : 1);
  head.bytes(document.text ?? new Uint8Array());
  head.u64(BigInt(generation));
  return {
    add({ name, needs, deeds }) {
      count = within(count + 1, planLimits.units, 'units');
      units.text(name);
      units.u16(within(needs.length, planLimits.needs, `things that ${name} needs`));
      needs.forEach((each) => units.u32(each));
      units.raw(deeds);
    },
    end() {
      number.u32(count);
      const parts = [head, number, units].map((each) => each.end());
      const sum = createEncoder(4);
      sum.u32(parts.reduce((before, part) => crc32(part, before), 0));
      const plan = Buffer.concat([magic, sum.end(), ...parts]);
      within(plan.length, planLimits.bytes, 'bytes');
      return plan;
    },
  };
}

function within(count: number, most: number, what: string): number {
  if (count > most) throw new RangeError(`a boot plan of ${count} ${what}: more than ${most}`);
  return count;
}
