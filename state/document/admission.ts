// Who may say what runs: whether a document counts on this device, before anything is done about it.
import { signedInside, signerOf, type DocumentKey } from './document-signature.ts';
import type { Parsed } from './parsed-document.ts';
import type { Parser } from './parser.ts';
import type { SerialFloor } from './serial-floor.ts';
import { messageOf } from '../errno.ts';
import { meets, metadataOf } from '../metadata.ts';
import { noPlace } from '../status.ts';
import type { DocumentError } from '../text/yaml.ts';
import type { Tree } from '../text/tree.ts';

/** Why a document does not count here. */
export const admissionReasons = [
  'NotSigned',
  'BadSignature',
  'KeysUnreadable',
  'SerialMissing',
  'SerialLower',
  'SerialUnknown',
  'OtherDevice',
  'OtherRuntime',
] as const;
export type AdmissionReason = (typeof admissionReasons)[number];

export interface Admission {
  /** The keys, one of which must have signed a document; rejects when they cannot be read. Null: none need be. */
  readonly keys: (() => Promise<readonly DocumentKey[]>) | null;
  /** What this device is; null = it has no name, and takes what is for no named ones. */
  readonly device: string | null;
}

/** Without keys and a name. */
export const anybody: Admission = { keys: null, device: null };

export interface NotAdmitted {
  readonly reason: AdmissionReason;
  readonly message: string;
}

/** What a document is judged with. */
export interface Judging {
  readonly admission: Admission;
  readonly floor: SerialFloor;
  readonly parser: Parser;
  /** The version of the runtime. */
  readonly runtime: string;
}

/** A document that somebody has given, and the signature that came with it. */
export interface Given {
  readonly text: string;
  readonly signature: string | null;
}

/** What was made of one. `reason` null: the text itself is bad. */
export type Judged =
  | Extract<Parsed, { ok: true }>
  | { readonly ok: false; readonly error: DocumentError; readonly reason: AdmissionReason | null };

/** Whether a refusal may be over without another document: it is looked at again. */
export function isPassing(reason: AdmissionReason | null): boolean {
  return reason === 'KeysUnreadable' || reason === 'SerialUnknown';
}

/** Reads a document that counts. What is not signed is not even parsed. `confirmed`: it was, so that its serial may be lower. */
export async function judge(by: Judging, given: Given, confirmed = false): Promise<Judged> {
  const unsigned = await checkSignature(by.admission, given);
  if (unsigned !== null) return notAdmitted(unsigned);
  const parsed = await by.parser.parse(given.text);
  if (!parsed.ok) {
    const { requires = null } = parsed;
    const other = meets(requires, by.runtime) ? null : otherRuntime(requires, by.runtime);
    return other === null ? { ...parsed, reason: null } : { ...parsed, ...notAdmitted(other) };
  }
  const refused = await checkMetadata(by, parsed.tree, confirmed);
  return refused === null ? parsed : notAdmitted(refused);
}

function notAdmitted({ reason, message }: NotAdmitted): { ok: false; error: DocumentError; reason: AdmissionReason } {
  return { ok: false, error: noPlace(`${reason}: ${message}`), reason };
}

/** Why its signature does not count; null = it does, or none is needed. */
export async function checkSignature({ keys }: Admission, { text, signature }: Given): Promise<NotAdmitted | null> {
  if (keys === null) return null;
  let known: readonly DocumentKey[];
  try {
    known = await keys();
  } catch (error) {
    return { reason: 'KeysUnreadable', message: `no signature can be judged: ${messageOf(error)}; it is tried again` };
  }
  if (signerOf(text, signature, known) !== null) return null;
  const isSigned = signature !== null || signedInside(text) !== null;
  const ids = known.map(({ id }) => id.slice(0, 16)).join(', ');
  return isSigned
    ? { reason: 'BadSignature', message: `its signature is of other bytes, or by none of the keys ${ids}` }
    : { reason: 'NotSigned', message: `documentKeys asks for a signature with ${ids}: northstate sign makes one` };
}

async function checkMetadata(by: Judging, tree: Tree, confirmed: boolean): Promise<NotAdmitted | null> {
  const { serial, compatible, requires } = metadataOf(tree);
  const { device, keys } = by.admission;
  if (!meets(requires, by.runtime)) return otherRuntime(requires, by.runtime);
  if (compatible !== null && (device === null || !compatible.includes(device))) {
    const here = device === null ? 'the configuration of this one has no "compatible"' : `this one is ${device}`;
    return { reason: 'OtherDevice', message: `it is for ${compatible.join(', ')}; ${here}` };
  }
  if (keys === null) return null;
  if (serial === null)
    return { reason: 'SerialMissing', message: 'a signed document has a metadata.serial, which never falls' };
  if (confirmed) return null;
  try {
    const floor = await by.floor.get();
    if (serial >= floor) return null;
    return { reason: 'SerialLower', message: `its serial is ${serial}; one with ${floor} was in force` };
  } catch (error) {
    return { reason: 'SerialUnknown', message: `${messageOf(error)}; it is tried again` };
  }
}

function otherRuntime(requires: string | null, runtime: string): NotAdmitted {
  return { reason: 'OtherRuntime', message: `it requires ${requires ?? ''}; this is northstate ${runtime}` };
}
