// What a kernel log says of a process that a filter has killed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusedCall } from '../../../../controllers/containers/refused-call.ts';

/** A line as Linux 6.18 has written it. */
function line({
  pid = 4711,
  time = '1796040555.296',
  between = '',
  comm = '"app"',
  call = 165,
  sig = 31,
} = {}): string {
  const ids = `auid=4294967295 uid=1000 gid=1000 ses=4294967295${between}`;
  const what = `comm=${comm} exe="/app" sig=${sig} arch=c000003e syscall=${call} compat=0 ip=0x40102d code=0x80000000`;
  return `<5>[11368.865149] audit: type=1326 audit(${time}:4300): ${ids} pid=${pid} ${what}\n`;
}
const time = 1_796_040_555_000;
const found = (log: string, since = time) => refusedCall(log, 4711, since);

test('the record of a process names architecture and number of the call', () => {
  const all = `<6>[1.0] loop0: detected\n${line({ pid: 1, call: 1 })}${line()}${line({ pid: 2, call: 2 })}`;
  assert.deepEqual(found(all), { architecture: 0xc000003e, number: 165 });
});

test('the newest counts, and what is older than the start is of another process', () => {
  assert.equal(found(line({ call: 1 }) + line({ call: 2 }))?.number, 2);
  assert.equal(found(line(), time + 297), null);
});

test('labels of security modules may stand in it', () => {
  for (const between of [' subj=system_u:system_r:init_t:s0', ' subj==unconfined', ' subj="app (enforce)"'])
    assert.equal(found(line({ between }))?.number, 165);
});

test('what a process calls itself says nothing, nor does any other line', () => {
  // A name with a quote or a space in it is written in hexadecimal.
  const forged = Buffer.from('x" pid=4711 comm').toString('hex');
  assert.equal(found(line({ pid: 1, comm: forged })), null);
  for (const log of ['', line({ sig: 0 }), line({ pid: 47_110 }), line().replace('1326', '1327'), line().slice(0, 120)])
    assert.equal(found(log), null);
});
