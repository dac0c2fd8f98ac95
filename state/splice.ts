// A patch written into the text of a document.
import { parseDocument as parseYamlDocument } from 'yaml';
import type { Change } from './tree.ts';
import { toJson } from './store.ts';

/** The text with the changes made in it. */
export function splice(text: string, changes: readonly Change[]): string {
  const document = parseYamlDocument(text === '' ? 'apiVersion: northstate/v1\n' : text);
  for (const change of changes) {
    if (change.op === 'remove') document.deleteIn(change.path);
    else document.setIn(change.path, document.createNode(toJson(change.value)));
  }
  return document.toString();
}
