import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addQuarantine,
  isQuarantined,
  refusedDocument,
  release,
  releaseForSerial,
  treeDigest,
  type Quarantined,
} from '../../../../state/trial/quarantine.ts';
import type { Tree } from '../../../../state/text/tree.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const common = { serial: 4, reason: 'NotHealthy', message: 'it ended', time: 1 } as const;
const bad: Quarantined = { kind: 'package', digest, name: 'app:1.4.0', lock: {}, ...common };
const tree: Tree = new Map([['containers', new Map([['app', new Map([['version', '^1']])]])]]);
const document: Quarantined = {
  ...{ kind: 'document', digest: treeDigest(tree), name: 'generation 8', lock: { app: digest } },
  ...common,
};

test('a package is passed over by its digest, and as long as that is not known by its name', () => {
  assert(isQuarantined([bad], { id: 'other:1.0.0', digest }));
  assert(isQuarantined([bad], { id: 'app:1.4.0', digest: null }));
  assert(!isQuarantined([bad], { id: 'app:1.4.0', digest: `sha256:${'b'.repeat(64)}` }));
});

test('a document that would be resolved to the same is refused, whatever the order of its fields', () => {
  const other: Tree = new Map<string, Tree>([['autostart', 'run'], ...(tree as Map<string, Tree>)]);
  const same: Tree = new Map<string, Tree>([...(tree as Map<string, Tree>), ['autostart', 'run']]);
  assert.equal(treeDigest(other), treeDigest(same));
  assert.equal(refusedDocument([document], tree, () => false)?.name, 'generation 8');
  assert.equal(
    refusedDocument([document], other, () => false),
    null,
  );
});

test('a requirement whose package is in quarantine is resolved to another, so that its document may come again', () => {
  assert.equal(
    refusedDocument([document, bad], tree, () => false),
    null,
  );
  assert.notEqual(
    refusedDocument([document, bad], tree, () => true),
    null,
  );
});

test('what is there keeps its first reason', () => {
  const again = { ...bad, message: 'later' };
  assert.deepEqual(addQuarantine([bad], [again]), [bad]);
});

test('a person releases by name, by digest or by the beginning of one, or all of it', () => {
  const all = [bad, document];
  assert.deepEqual(release(all, 'app:1.4.0'), [document]);
  assert.deepEqual(release(all, digest.slice(0, 19)), [document]);
  assert.deepEqual(release(all, 'aaaa'), all);
  assert.deepEqual(release(all, null), []);
});

test('a higher serial number releases what it names again, and no other', () => {
  assert.deepEqual(releaseForSerial([bad, document], 5, new Set([digest])), [document]);
  assert.deepEqual(releaseForSerial([bad], 4, new Set([digest])), [bad]);
});
