// The manual: what groff(1) takes, and says.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { createProgram } from '../../../src/cli/program.ts';
import { installManual } from '../../../src/release/manual.ts';
import { renderPage, sectionOf } from '../../../src/release/roff.ts';
import { run } from '../../support/command.ts';

const root = join(import.meta.dirname, '../../..');
const foot = { date: 86_400, version: '9.8.7' };

test('the pages are complete, and groff has nothing to say about them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'northstate-manual-'));
  try {
    await installManual(root, folder, foot);
    const pages = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.gz')).toSorted();
    assert.deepEqual(pages, [
      'man1/northstate.1.gz',
      'man5/northstate-config.5.gz',
      'man5/northstate-document.5.gz',
      'man5/northstate-manifest.5.gz',
      'man8/northstate-run.8.gz',
    ]);
    for (const page of pages) {
      const { code, stdout, stderr } = await run('groff', ['-man', '-Tutf8', '-ww', ...(await plain(folder, page))]);
      assert.deepEqual([code, stderr], [0, ''], page);
      assert.ok(stdout.includes('northstate 9.8.7'), page);
    }
    const command = gunzipSync(await readFile(join(folder, 'man1/northstate.1.gz'))).toString();
    for (const { name } of createProgram().commands.map((each) => ({ name: each.name() }))) {
      if (!name.startsWith('_')) assert.match(command, new RegExp(`^\\.SS northstate ${name}\\b`, 'm'));
    }
    const document = gunzipSync(await readFile(join(folder, 'man5/northstate-document.5.gz'))).toString();
    assert.match(document, /^\\fBrestart\.policy\\fR\n/m);
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Without compression and colours, which groff(1) itself does not know. */
async function plain(folder: string, page: string): Promise<readonly string[]> {
  const file = join(folder, 'plain');
  await writeFile(file, gunzipSync(await readFile(join(folder, page))));
  return ['-P-c', file];
}

test('what means something to groff is text in a page', () => {
  const text = '.hidden `a\\b`\n\n- one\n  more\n- `two-three`\n\n```\n.so /etc/passwd\n```\n\n| `a\\|b` | c; d |';
  const page = renderPage({ name: 'x', section: 5, summary: 's', text }, foot);
  assert.equal(
    page,
    `.TH X 5 1970-01-02 "northstate 9.8.7"
.SH NAME
x \\- s
.PP
\\&.hidden \\fBa\\eb\\fR
.IP \\(bu 2
one more
.IP \\(bu 2
\\fBtwo\\-three\\fR
.PP
.in +4n
.nf
\\&.so /etc/passwd
.fi
.in
.TP
\\fBa|b\\fR
c; d
`,
  );
});

test('a section that is not there is named', () => {
  assert.equal(sectionOf('# a\n\n## b\n\ntext\n\n### c\n\n## d\n', '## b'), 'text\n\n### c');
  assert.throws(() => sectionOf('# a\n', '## b'), /there is no section "## b"/);
});
