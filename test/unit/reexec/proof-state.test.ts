// Whoever proves itself writes to copies.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { createMemoryFile, extentsOf, sealMemoryFile } from '../../../native/memfd.ts';
import type { Configuration } from '../../../src/config/configuration.ts';
import { parseConfiguration } from '../../../src/config/read-configuration.ts';
import { openKeptValue } from '../../../src/daemon/kept-value.ts';
import { copyKept, copyState } from '../../../src/reexec/proof-state.ts';

test('values in memory are copied, places far apart included; what nobody can change is not', () => {
  const value = createMemoryFile('a value');
  openKeptValue<string>(value).set('first');
  openKeptValue<string>(value).set('second');
  assert.ok(extentsOf(value).some(([begin]) => begin >= 2 ** 32));
  const image = createMemoryFile('an image');
  writeSync(image, 'package');
  sealMemoryFile(image);
  const copies = copyKept(
    new Map([
      ['failures', value],
      ['schedules', value],
      ['connection client 1 file', value],
      ['mem one x', image],
      ['configuration', image],
    ]),
  );
  assert.deepEqual([copies.get('mem one x'), copies.get('configuration')], [image, image]);
  assert.equal(copies.get('connection client 1 file'), value);
  assert.notEqual(copies.get('schedules'), value);
  const copy = copies.get('failures') ?? 0;
  assert.notEqual(copy, value);
  assert.equal(openKeptValue<string>(copy).get(), 'second');
  openKeptValue<string>(copy).set('of the copy');
  assert.equal(openKeptValue<string>(value).get(), 'second');
  const byte = Buffer.alloc(1);
  assert.equal(readSync(copy, byte, 0, 1, 0), 1);
});

test('stateDir, the document and what runDir has are copied, and nothing that is being written', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-proof-'));
  const path = (name: string): string => join(directory, name);
  try {
    for (const name of ['state/generations', 'run/ran', 'run/mounts/app:1.0.0'])
      mkdirSync(path(name), { recursive: true });
    writeFileSync(path('state/generations/1.json'), 'one');
    writeFileSync(path('state/generations/2.json.new'), 'half');
    writeFileSync(path('run/overlay.json'), 'overlay');
    writeFileSync(path('run/ran/x'), 'note');
    writeFileSync(path('run/trial.json'), 'a trial that the disk has not taken');
    writeFileSync(path('run/mounts/app:1.0.0/large'), 'of an image');
    writeFileSync(path('desired.yaml'), 'document');
    writeFileSync(path('desired.yaml.sig'), 'signature');
    const config: Configuration = {
      ...(await parseConfiguration('', 'config.yaml')),
      ...{ stateDir: path('state'), runDir: path('run'), desired: path('desired.yaml') },
    };
    const copy = copyState(config);
    const read = (name: string): string => readFileSync(name, 'utf8');
    assert.equal(dirname(dirname(copy.stateDir)), path('run'));
    assert.equal(read(join(copy.stateDir, 'generations/1.json')), 'one');
    assert.equal(existsSync(join(copy.stateDir, 'generations/2.json.new')), false);
    assert.equal(read(join(copy.runDir, 'overlay.json')), 'overlay');
    assert.equal(read(join(copy.runDir, 'ran/x')), 'note');
    assert.equal(read(join(copy.runDir, 'trial.json')), 'a trial that the disk has not taken');
    assert.deepEqual(readdirSync(copy.runDir).sort(), ['overlay.json', 'ran', 'trial.json']);
    assert.deepEqual([read(copy.desired), read(`${copy.desired}.sig`)], ['document', 'signature']);
    assert.equal(existsSync(copy.seed), false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('what is removed while it is copied is not in the copy, and no reason to end', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-proof-'));
  const path = (name: string): string => join(directory, name);
  for (const name of ['state/generations', 'run']) mkdirSync(path(name), { recursive: true });
  const remover = new Worker(
    `const { rmSync, writeFileSync } = require('node:fs');
     for (let turn = 0; ; turn++) {
       writeFileSync(\`${path('state')}/generations/\${turn}\`, 'one');
       if (turn >= 10) rmSync(\`${path('state')}/generations/\${turn - 10}\`);
     }`,
    { eval: true },
  );
  try {
    const config: Configuration = {
      ...(await parseConfiguration('', 'config.yaml')),
      ...{ stateDir: path('state'), runDir: path('run'), desired: path('desired.yaml') },
    };
    while (readdirSync(path('state/generations')).length < 10) await delay(1);
    for (let turn = 0; turn < 60; turn++) rmSync(dirname(copyState(config).stateDir), { recursive: true });
  } finally {
    await remover.terminate();
    rmSync(directory, { recursive: true });
  }
});
