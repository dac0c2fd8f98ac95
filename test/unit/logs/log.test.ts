import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const log = fileURLToPath(new URL('../../../src/logs/log.ts', import.meta.url));

function written(options: object, statements: string): string {
  const program = `import { openLog } from ${JSON.stringify(log)}; const log = openLog(${JSON.stringify(options)}); ${statements}`;
  return spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }).stderr;
}

test('a line is one JSON object on stderr with its time in UTC', () => {
  const line = JSON.parse(written({ level: 'info' }, `log.info({ container: 'a' }, 'container started')`)) as Record<
    string,
    unknown
  >;
  assert.match(String(line['time']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual({ ...line, time: null }, { level: 30, time: null, container: 'a', msg: 'container started' });
});

test('what is below the level is not written', () => {
  assert.equal(written({ level: 'warn' }, `log.info('no')`), '');
});

test('variables, tokens and keys never reach the log', () => {
  const text = written(
    { level: 'info' },
    `log.info({ env: 'hush', start: { environment: 'hush', token: 'hush' } }, 'm')`,
  );
  assert.match(text, /Redacted/);
  assert.doesNotMatch(text, /hush/);
});

test('the form for people has time, level, message, fields and the error', () => {
  const text = written(
    { level: 'info', human: true },
    `log.error({ container: 'a', err: new Error('no "space"') }, 'start failed')`,
  );
  assert.match(text, /^\d\d:\d\d:\d\d\.\d{3} error start failed container=a error="no \\"space\\""\n$/);
});

test('the form for people lets no container speak to the terminal', () => {
  const text = written({ level: 'info', human: true }, `log.info({ line: 'a\\x1b[2Jb', tag: 'plain' }, 'm')`);
  assert.match(text, / line="a\\u001b\[2Jb" tag=plain\n$/);
});

test('a reader that is slow or gone holds nobody up, and is told how much it has missed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'northstate-log-'));
  try {
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const end = openSync(fifo, constants.O_WRONLY);
    const flood = `for (let i = 0; i < 3000; i++) log.info({ i }, 'x'.repeat(100));`;
    const run = (statements: string, ...more: number[]) => {
      const program = `import { openLog } from ${JSON.stringify(log)}; import { readSync } from 'node:fs'; const log = openLog({ level: 'info' }); ${statements}`;
      const stdio = ['pipe', 'pipe', end, ...more] as const;
      return spawnSync(process.execPath, ['--input-type=module', '-e', program], { stdio: [...stdio], timeout: 60_000 })
        .status;
    };
    assert.equal(run(`${flood} readSync(3, Buffer.alloc(1 << 20)); log.info('after');`, reader), 0);
    const read = Buffer.alloc(1 << 20);
    const lines = read.subarray(0, readSync(reader, read)).toString().trimEnd().split('\n');
    const [told, after] = lines.slice(-2).map((line) => JSON.parse(line) as { msg: string; dropped?: number });
    assert.deepEqual([told?.msg, after?.msg], ['log lines dropped', 'after']);
    assert.ok((told?.dropped ?? 0) > 2000);
    closeSync(reader);
    assert.equal(run(flood.replace('3000', '10')), 0);
    closeSync(end);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
