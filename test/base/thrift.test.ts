/** Thrift's compact protocol, checksums, and the beginnings of compressed pages. */
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32, portableCrc32 } from '../../src/base/crc32.js';
import { decompressStart, isIntact } from '../../src/base/decompress.js';
import { Malformed, ThriftReader } from '../../src/base/thrift.js';

test('CRC-32 has the value of its specification, by both means and in parts', () => {
  const bytes = Buffer.from('123456789');
  for (const crc of [crc32, portableCrc32]) {
    expect(crc(bytes)).toBe(0xcbf43926);
    expect(crc(bytes.subarray(4), crc(bytes.subarray(0, 4)))).toBe(0xcbf43926);
  }
});

test('the first bytes come out of each codec', () => {
  const content = Buffer.from('abcdabcdabcdabcd'.repeat(1000));
  const compressed: [number, Uint8Array][] = [
    [0, content],
    [2, gzipSync(content)],
    [4, brotliCompressSync(content)],
    // Snappy: 16 bytes, a literal of 4, a copy of 12 from 4 bytes before.
    [1, Buffer.from([16, 3 << 2, 97, 98, 99, 100, (11 << 2) | 2, 4, 0])],
    // LZ4: 4 literals, and a match of 12 from 4 bytes before.
    [7, Buffer.from([0x48, 97, 98, 99, 100, 4, 0])],
  ];
  for (const [codec, bytes] of compressed) {
    const start = decompressStart(codec, bytes, 16)!;
    expect({ codec, start: Buffer.from(start.subarray(0, 16)).toString() }).toEqual({
      codec,
      start: 'abcdabcdabcdabcd',
    });
  }
  expect(decompressStart(1, Buffer.from([16, 0, 97, 0xfe, 9, 0]), 16)).toBeUndefined();
});

test('gzip that lost a bit is not intact', () => {
  const bytes = gzipSync(Buffer.from('content'));
  expect([isIntact(2, bytes, 7), isIntact(2, bytes, 6)]).toEqual([true, false]);
  bytes[12]! ^= 1;
  expect(isIntact(2, bytes, 7)).toBe(false);
});

test('what bytes claim costs neither memory nor time', () => {
  const claims = {
    'a list of 2^31 elements': '19fc8080808008',
    'a text of 2^31 bytes': '188080808008',
    'a number without an end': '16ffffffffffffffffffffff',
    'a map of 2^31 entries': '1b8080808008cc',
    'a type that does not exist': '1f00',
    'nothing at all': '',
    'structs in structs': '1c'.repeat(100_000),
    'lists in lists': `19${'19'.repeat(100_000)}`,
  };
  for (const [name, hex] of Object.entries(claims)) {
    const reader = new ThriftReader(Buffer.from(hex, 'hex'));
    expect(() => reader.struct(() => false), name).toThrow(Malformed);
  }
});
