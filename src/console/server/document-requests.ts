// What the requests do that Northstar does not have: the document and its patches, the state, and what has happened.
import type { Operation } from 'fast-json-patch';
import { mergeOperations } from '../../../state/text/merge-patch.ts';
import { checkDepth } from '../../../state/text/patch-bounds.ts';
import { formatPointer } from '../../../state/text/pointer.ts';
import { toJson, type State } from '../../../state/store.ts';
import { isMap, type Tree } from '../../../state/text/tree.ts';
import type { Past } from '../../runtime/journal.ts';
import { RuntimeError } from '../../runtime/runtime.ts';
import { ourError } from '../protocol/console-errors.ts';
import { stampedMessage } from './feeds.ts';
import { allowsPatch } from '../protocol/permissions.ts';
import type { Bodies } from '../protocol/protocol.ts';
import { keyOf } from './queries.ts';
import type { Session } from './session.ts';
import { containerName } from '../../../state/container-id.ts';

/** A patch was not permitted, judged by what it changes. */
export class PatchForbidden extends Error {}

/** `apply`: the generation, and of a dry run the steps that the document would take and what a look ahead finds. */
export async function applyDocument(
  { document, expected, dry_run: dryRun = false, ...given }: Bodies['apply'],
  { runtime, identity }: Session,
): Promise<unknown> {
  const { generation } = await runtime.apply(document, {
    ...{ expected, origin: identity },
    ...(dryRun && { dryRun }),
    ...saidOf(given),
  });
  if (dryRun) return { generation, ...(await runtime.plan(document)) };
  const { document: status, overlay } = runtime.state();
  return { generation, document: status, overlay, ...notDurable(runtime.notDurable('document')) };
}

/** Members that were given. */
function saidOf<T extends object>(given: T): { readonly [K in keyof T]-?: Exclude<T[K], undefined> } | object {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** `rollback`: the generation that is the earlier one again. */
export async function rollbackTo(
  { generation, expected }: Bodies['rollback'],
  { runtime, identity }: Session,
): Promise<unknown> {
  const made = await runtime.rollback(generation, { expected, origin: identity });
  return { ...made, ...notDurable(runtime.notDurable('document')) };
}

/** `confirm` and `revert`: the generation in force. */
export async function decided(
  made: Promise<{ readonly generation: number; readonly notDurable: string | null }>,
): Promise<unknown> {
  const { generation, notDurable: why } = await made;
  return { generation, ...notDurable(why) };
}

/** Said in an answer: why what it has put into force may not last as long as was asked; nothing where it does. */
export function notDurable(why: string | null): { readonly not_durable?: string } {
  return why === null ? {} : { not_durable: why };
}

/** `overlay_drop`: what was taken away. */
export async function dropOverlay({ name }: Bodies['overlay_drop'], { runtime }: Session): Promise<unknown> {
  const { notDurable: why, ...dropped } = await runtime.dropOverlay(name);
  return { ...dropped, ...notDurable(why) };
}

/** `patch`: RFC 6902 or RFC 7386. Throws PatchForbidden, before anything is changed. */
export async function patchDocument(
  { operations, merge, expected, lifetime }: Bodies['patch'],
  session: Session,
): Promise<unknown> {
  if ((operations === undefined) === (merge === undefined)) {
    throw new RuntimeError('invalid_arguments', 'a patch has either operations or merge');
  }
  const make = (tree: Tree): readonly Operation[] => {
    checkDepth(merge ?? operations);
    const made = merge === undefined ? (operations as readonly Operation[]) : mergeOperations(tree, merge);
    if (!allowsPatch(session.permissions, made, { reads: merge !== undefined, tree })) throw new PatchForbidden();
    return made;
  };
  const options = { expected, lifetime: lifetime ?? session.lifetime, origin: session.identity };
  const { generation, notDurable: why } = await session.runtime.patch(make, options);
  return { generation, ...notDurable(why) };
}

/** `get`: the status, the desired or the observed state, as a whole or of one container; or the text of a stored generation. */
export async function getState(body: Bodies['get'], { runtime }: Session): Promise<object> {
  const { what = 'status', container, generation } = body ?? {};
  const state = runtime.state();
  const key = container === undefined ? null : keyOf(state, container);
  const place = { boot: runtime.boot, sequence: runtime.changes.last(), generation: state.generation };
  if (generation !== undefined) return { ...place, document: await runtime.textOf(generation) };
  if (what === 'status') return { ...place, status: key === null ? state.status : statusOf(state, key) };
  if (what === 'observed')
    return { ...place, observed: toJson(key === null ? state.observed : observedOf(state, key)) };
  const { text, effective } = runtime.document();
  const said = key === null ? effective : onlyContainer(effective, key);
  return {
    ...place,
    document: key === null ? text : null,
    desired: toJson(said),
    effective: toJson(key === null ? state.desired : (state.desired.containers.get(key) ?? null)),
    origins: originsOf(said, state),
  };
}

function statusOf({ status }: State, key: string): object {
  const { [key]: only } = status.containers;
  return { ...status, containers: only === undefined ? {} : { [key]: only } };
}

function observedOf({ observed }: State, key: string): object {
  const name = containerName(key);
  const { repositories, ...byName } = observed;
  const found = Object.entries(byName).map(([kind, map]): [string, unknown] => [
    kind,
    (map as ReadonlyMap<string, unknown>).get(name) ?? null,
  ]);
  return { repositories, ...Object.fromEntries(found) };
}

function onlyContainer(tree: Tree, key: string): Tree {
  const containers = isMap(tree) ? tree.get('containers') : undefined;
  const entry = isMap(containers) ? containers.get(key) : undefined;
  return new Map([['containers', new Map(entry === undefined ? [] : [[key, entry]])]]);
}

/** Where each field that the document says comes from; what it does not say is a default or the manifest's. */
function originsOf(said: Tree, state: State): object[] {
  const origins: object[] = [];
  const visit = (tree: Tree, path: readonly string[]): void => {
    if (isMap(tree) && tree.size > 0) {
      for (const [key, member] of tree) visit(member, [...path, key]);
      return;
    }
    origins.push(originOf(path, state));
  };
  visit(said, []);
  return origins;
}

function originOf(path: readonly string[], state: State): object {
  const pointer = formatPointer(path);
  const overlaid = state.overlay.findLast((field) => `${pointer}/`.startsWith(`${field.pointer}/`));
  if (overlaid !== undefined) return { ...overlaid, pointer, lifetime: 'boot' };
  const entry = path[0] === 'containers' ? state.desired.containers.get(path[1] ?? '') : undefined;
  const { generation = state.document.generation, writtenBy = 'person' } = entry ?? {};
  return { pointer, lifetime: 'document', origin: writtenBy, generation };
}

/** `watch`: the present status, or, for one who has seen it up to a number, the changes after that. */
export function watchFrom(body: Bodies['watch'], { runtime, feeds, notify, watches }: Session): object {
  feeds.joinStatus(notify);
  const { items, ...place } = resume(body, runtime.changes, runtime.boot);
  watches(place.sequence);
  const isResumed = body !== null && body.since !== null && place.gap === null;
  return { ...place, status: isResumed ? null : runtime.state().status, missed: isResumed ? items : [] };
}

/** `events`: those that are kept, or those after a number; with `follow` what comes, too. */
export function eventsFrom(body: Bodies['events'], { runtime, feeds, notify }: Session): object {
  if (body?.follow === true) feeds.joinStamped(notify);
  const { items, ...place } = resume(body, runtime.pastEvents, runtime.boot);
  return { ...place, events: items.map((stamped) => stampedMessage(stamped, runtime.boot)) };
}

/** What a journal has after a client's place, or all of it with the gap named where it does not reach back so far. */
function resume<T>(
  body: { readonly since: number | null; readonly boot: string | null } | null,
  journal: Past<T>,
  boot: string,
) {
  const { since, boot: asked } = body ?? { since: null, boot: null };
  const isOurs = asked === null || asked === boot;
  const items = since === null || !isOurs ? null : journal.since(since);
  const oldest = journal.last() - journal.all().length + 1;
  const gap = since === null || items !== null ? null : { since, boot: asked ?? boot, oldest };
  return { boot, sequence: journal.last(), gap, items: items ?? journal.all() };
}

/** Sends the archive of `report` piece by piece, as fast as the client reads, then says that it is whole. */
export async function sendReport({ runtime, send, signal }: Session): Promise<void> {
  let size = 0;
  let error: unknown = null;
  try {
    for await (const piece of runtime.report()) {
      if (signal.aborted) return;
      size += piece.length;
      await send({ report: { data: piece.toString('base64') } });
    }
  } catch (cause) {
    error = ourError(cause);
  }
  await send({ report_end: { size, error } });
}
