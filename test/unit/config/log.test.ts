import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const log = fileURLToPath(new URL('../../../src/log.ts', import.meta.url));

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
