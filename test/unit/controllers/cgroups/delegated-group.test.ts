// Which group a process is in, as /proc says it (cgroups(7)).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delegatedName } from '../../../../controllers/cgroups/delegated-group.ts';

test('only a group of the v2 tree that is in sight can be a delegated one', () => {
  assert.equal(delegatedName('0::/system.slice/northstate.service\n'), 'system.slice/northstate.service');
  assert.equal(delegatedName('2:cpu:/a\n1:name=systemd:/b\n0::/c d\n'), 'c d');
  assert.equal(delegatedName('0::/system.slice/northstate.service/launcher\n'), 'system.slice/northstate.service');
  for (const none of ['', '0::/\n', '1:memory:/a\n', '0::/../../other\n'])
    assert.equal(delegatedName(none), null, none);
});
