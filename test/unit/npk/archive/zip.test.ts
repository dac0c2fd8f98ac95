import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import yauzl from 'yauzl';
import { locate, readArchive, readEntry } from '../../../../src/npk/archive/zip.ts';
import { archive, extraField, memory, withEnd64, type Part } from '../archives.ts';

const small = { most: 100, fault: 'manifest' } as const;
const two: readonly Part[] = [
  { name: 'manifest.yaml', data: 'name: a\n' },
  { name: 'fs.img', data: Buffer.alloc(1000, 7) },
];

/** All that a reader learns: where each entry's data is. */
async function contents(bytes: Buffer): Promise<[string, number, number][]> {
  const file = memory(bytes);
  const found = await readArchive(file);
  const located = [...found.entries.values()].map(async (entry): Promise<[string, number, number]> => {
    const { offset, size } = await locate(file, found, entry);
    return [entry.name, offset, size];
  });
  return Promise.all(located);
}

/** The same by another reader. */
async function contentsByYauzl(bytes: Buffer): Promise<[string, number, number][]> {
  const zip = await yauzl.fromBufferPromise(bytes, { decodeStrings: false });
  const found: [string, number, number][] = [];
  for await (const entry of zip.eachEntry()) {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    found.push([entry.fileNameRaw.toString('utf8'), fileDataStart, entry.uncompressedSize]);
  }
  return found;
}

function changed(bytes: Buffer, position: number, ...values: number[]): Buffer {
  const copy = Buffer.from(bytes);
  values.forEach((value, index) => (copy[position + index] = value));
  return copy;
}

test('entries are found by name, with the position of their data', async () => {
  const bytes = archive(two);
  assert.deepEqual(await contents(bytes), [
    ['manifest.yaml', 43, 8],
    ['fs.img', 87, 1000],
  ]);
  assert.deepEqual(await contentsByYauzl(bytes), await contents(bytes));
});

test('the content of an entry is given when its checksum is right', async () => {
  const file = memory(archive(two));
  const found = await readArchive(file);
  assert.equal((await readEntry(file, found, found.entries.get('manifest.yaml')!, small)).toString(), 'name: a\n');
  await assert.rejects(readEntry(file, found, found.entries.get('fs.img')!, { most: 999, fault: 'image' }), {
    reason: 'image',
    message: 'fs.img is too large: 1000 bytes, at most 999 are read',
  });

  const spoiled = memory(archive([{ name: 'manifest.yaml', data: 'name: a\n', crc: 1 }]));
  const entry = (await readArchive(spoiled)).entries.get('manifest.yaml')!;
  await assert.rejects(
    readEntry(spoiled, await readArchive(spoiled), entry, small),
    /checksum of manifest\.yaml is wrong/,
  );
});

test('the comment may be as long as the format allows', async () => {
  const bytes = archive(two, 'x'.repeat(0xffff));
  assert.equal((await readArchive(memory(bytes))).comment.length, 0xffff);
});

test('bytes before and after the archive are passed over', async () => {
  const bytes = Buffer.concat([Buffer.alloc(4096, 1), archive(two), Buffer.alloc(300, 2)]);
  assert.deepEqual(await contents(bytes), [
    ['manifest.yaml', 4096 + 43, 8],
    ['fs.img', 4096 + 87, 1000],
  ]);
});

test('a ZIP64 end record is followed', async () => {
  assert.deepEqual(await contents(withEnd64(archive(two))), await contents(archive(two)));
});

test('a directory of a large archive takes few reads', async () => {
  const many = Array.from({ length: 200 }, (_, index) => ({ name: `further-${index}`, data: 'x' }));
  const file = memory(archive([...many, ...two]));
  const found = await readArchive(file);
  await locate(file, found, found.entries.get('fs.img')!);
  assert.ok(file.reads() <= 5, `${file.reads()} reads`);
});

const good = archive(two);
const end = good.lastIndexOf('PK\x05\x06');
const directory = good.readUInt32LE(end + 16);
const wide = (bytes: Buffer): Buffer => extraField(1, bytes);

const refused: Record<string, [Buffer, RegExp]> = {
  'an empty file': [Buffer.alloc(0), /no ZIP archive/],
  'a file without an end record': [Buffer.alloc(100_000, 'text'), /no ZIP archive/],
  'one of several volumes': [changed(good, end + 4, 1), /several volumes/],
  'an entry on another volume': [changed(good, directory + 34, 1), /several volumes/],
  'a count of entries that differs from the directory': [changed(good, end + 8, 1, 0, 1, 0), /takes \d+ bytes/],
  'a directory that starts elsewhere': [
    changed(good, end + 16, (directory + 7) & 0xff),
    /does not lie|no local header/,
  ],
  'a directory beyond the file': [changed(good, end + 16, 0xff, 0xff, 0xff, 0x7f), /does not lie/],
  'a directory larger than is read': [changed(good, end + 12, 0, 0, 0x10, 0), /too large/],
  'an entry header that is none': [changed(good, directory, 0), /malformed/],
  'a name longer than the directory': [changed(good, directory + 28, 0xff, 0xff), /malformed/],
  'two entries of one name': [archive([...two, two[0]!]), /two entries/],
  'entries of one name that differ in their data': [archive([...two, { name: 'fs.img', data: '' }]), /two entries/],
  'a compressed entry': [archive([{ name: 'fs.img', data: 'x', method: 8 }]), /compressed \(method 8\)/],
  'an encrypted entry': [archive([{ name: 'fs.img', data: 'x', flags: 1 }]), /encrypted/],
  'masked headers': [archive([{ name: 'fs.img', data: 'x', flags: 0x2000 }]), /encrypted/],
  'a local header of another name': [archive([{ name: 'fs.img', data: 'x', localName: 'fs.imh' }]), /contradicts/],
  'a local header with another size': [changed(good, 22, 7), /contradicts/],
  'a local header with another method': [changed(good, 8, 8), /contradicts/],
  'a local header with another checksum': [changed(good, 14, good[14]! ^ 1), /contradicts/],
  'entries that overlap': [archive([two[1]!, { ...two[0]!, shift: -900 }]), /overlaps/],
  'an entry that runs into the directory': [
    changed(changed(good, directory + 20, 0, 0, 1), directory + 24, 0, 0, 1),
    /overlaps|runs into/,
  ],
  'a local extra field that pushes the data into the next entry': [
    changed(good, 28, 0, 4),
    /runs into|longer than its place/,
  ],
  'an extra field longer than its place': [
    archive([{ name: 'fs.img', data: 'x', extra: Buffer.from([1, 0, 9, 0]) }]),
    /longer than its place/,
  ],
  'an extra field that is there twice': [
    archive([{ name: 'fs.img', data: 'x', extra: Buffer.concat([wide(Buffer.alloc(8)), wide(Buffer.alloc(8))]) }]),
    /there twice/,
  ],
  'a ZIP64 size that is missing': [changed(good, directory + 20, 255, 255, 255, 255), /ZIP64 field is missing/],
  'a ZIP64 end record of another length': [
    withEnd64(good, (record) => record.writeBigUInt64LE(45n, 4)),
    /ZIP64 end record/,
  ],
  'a ZIP64 end record that names another place': [
    withEnd64(good, (record) => record.writeBigUInt64LE(3n, 64)),
    /does not follow/,
  ],
  'a ZIP64 number out of range': [withEnd64(good, (record) => record.writeBigUInt64LE(2n ** 63n, 40)), /out of range/],
};

for (const [what, [bytes, message]] of Object.entries(refused)) {
  test(`${what} is refused`, async () => {
    await assert.rejects(contents(bytes), (error: Error) => {
      assert.equal(error.name, 'PackageError');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('every prefix of an archive is refused', async () => {
  for (let length = 0; length < good.length; length++) {
    await assert.rejects(contents(good.subarray(0, length)), { name: 'PackageError' }, `${length} bytes`);
  }
});

test('of an archive with changed bytes it believes nothing that another reader would see otherwise', async () => {
  const edits = fc.array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 3,
  });
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      const bytes = list.reduce((copy, [position, value]) => changed(copy, position, value), good);
      const [ours, theirs] = await Promise.allSettled([contents(bytes), contentsByYauzl(bytes)]);
      if (ours.status === 'rejected') assert.equal((ours.reason as Error).name, 'PackageError');
      else if (theirs.status === 'fulfilled') assert.deepEqual(ours.value, theirs.value);
    }),
    { numRuns: 500 },
  );
});
