import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareVersions, highest, matches, parseRequirement, parseVersion } from '../../../state/version.ts';

test('a version is three numbers; what follows them is dropped', () => {
  assert.equal(parseVersion('1.22.333'), '1.22.333');
  assert.equal(parseVersion('0.9.3-pre'), '0.9.3');
  assert.equal(parseVersion('1.0.0-rc.1+build.5'), '1.0.0');
});

for (const text of [
  '',
  '1',
  '1.0',
  '1.01.0',
  'v1.0.0',
  '1.0.0.0',
  ' 1.0.0',
  '1.0.-1',
  '1.0.9999999999999999',
  `1.0.0-${'a'.repeat(300)}`,
]) {
  test(`"${text.slice(0, 20)}" is no version`, () => {
    assert.throws(() => parseVersion(text), /is not a version: expected major\.minor\.patch/);
  });
}

test('versions are compared by their numbers', () => {
  const versions = ['1.10.0', '0.9.0', '1.9.9', '1.10.1'];
  assert.deepEqual(versions.sort(compareVersions), ['0.9.0', '1.9.9', '1.10.0', '1.10.1']);
});

// Requirement, its normal form, what it takes and what not.
const requirements: [string, string, string[], string[]][] = [
  ['1', '^1', ['1.0.0', '1.99.0'], ['0.9.0', '2.0.0']],
  ['1.2.3', '^1.2.3', ['1.2.3', '1.3.0'], ['1.2.2', '2.0.0']],
  ['0.2.3', '^0.2.3', ['0.2.3', '0.2.9'], ['0.3.0']],
  ['0.0.3', '^0.0.3', ['0.0.3'], ['0.0.4']],
  ['^0', '^0', ['0.1.0', '0.9.9'], ['1.0.0']],
  ['~1.2.3', '~1.2.3', ['1.2.9'], ['1.3.0']],
  ['~1', '~1', ['1.9.0'], ['2.0.0']],
  ['=1.2', '=1.2', ['1.2.0', '1.2.7'], ['1.3.0']],
  [' =1.2.3 ', '=1.2.3', ['1.2.3'], ['1.2.4']],
  ['>1.2', '>1.2', ['1.3.0'], ['1.2.9']],
  ['<=1.2', '<=1.2', ['1.2.9'], ['1.3.0']],
  ['>=1.0, <2', '>=1.0, <2', ['1.0.0', '1.9.9'], ['0.9.9', '2.0.0']],
  ['>= 1.0,<2', '>=1.0, <2', ['1.0.0'], ['2.0.0']],
  ['1.*', '1.*', ['1.0.0', '1.9.0'], ['2.0.0']],
  ['1.2.x', '1.2.*', ['1.2.9'], ['1.3.0']],
  ['1.*.*', '1.*', ['1.5.0'], ['2.0.0']],
  ['*', '*', ['0.0.0', '9.9.9'], []],
  ['^1.2.3-rc.1', '^1.2.3-rc.1', ['1.2.3'], ['1.2.2']],
  ['1.2.3+build', '^1.2.3', ['1.2.3'], ['1.2.2']],
];

for (const [text, normal, taken, left] of requirements) {
  test(`the requirement "${text}" is ${normal}`, () => {
    const requirement = parseRequirement(text);
    assert.equal(requirement.text, normal);
    assert.deepEqual(parseRequirement(normal), requirement);
    for (const version of taken) assert.ok(matches(requirement, version), version);
    for (const version of left) assert.ok(!matches(requirement, version), version);
  });
}

for (const text of [
  '',
  ',',
  '1,',
  'latest',
  '01',
  '1.',
  '1.2.3.4',
  '1 2',
  '1 || 2',
  '1 - 2',
  '*, 1',
  '1.*.3',
  '>=',
  '1.2-rc',
  '=>1',
  ' '.repeat(300),
  Array(40).fill('1').join(','),
]) {
  test(`"${text.slice(0, 20)}" is no requirement`, () => {
    assert.throws(() => parseRequirement(text), /is not a version requirement/);
  });
}

test('of the versions that meet a requirement the highest is taken', () => {
  assert.equal(highest(parseRequirement('1'), ['1.9.0', '2.0.0', '1.10.0', '0.1.0']), '1.10.0');
  assert.equal(highest(parseRequirement('3'), ['1.9.0', '2.0.0']), null);
});

test('whatever is read as a requirement has a normal form that reads the same', () => {
  const piece = fc.constantFrom('1', '0', '.', '*', 'x', '^', '~', '=', '<', '>', ',', ' ', '-', 'rc', '12', '+');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
      let requirement;
      try {
        requirement = parseRequirement(pieces.join(''));
      } catch {
        return;
      }
      assert.deepEqual(parseRequirement(requirement.text), requirement);
    }),
    { numRuns: 3000 },
  );
});
