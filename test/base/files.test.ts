import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  linkFile,
  linkTarget,
  listFolder,
  makeFolder as makeDurableFolder,
  putFolderIfAbsent,
  removeTree,
  replaceLink,
  writeFileWhole,
} from '../../src/base/files.js';
import { failure } from '../failure.js';
import { asNobody, IS_ROOT } from '../nobody.js';
import { makeFolder } from '../scoreline.js';

/** The mode of a file, its permissions only. */
function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

/** A folder `name` with a file and a folder with a file. */
function folderToPut(parent: string, name: string, content: string): string {
  const folder = join(parent, name);
  mkdirSync(join(folder, 'inner'), { recursive: true });
  writeFileSync(join(folder, 'file'), content);
  writeFileSync(join(folder, 'inner', 'file'), content);
  return folder;
}

describe('putting a folder where none is', () => {
  test('makes it appear whole, its files read-only, the folders above created', async () => {
    const root = makeFolder();
    const temporary = folderToPut(root, 'temporary', 'one');
    const target = join(root, 'store', 'ab', 'ab12');
    expect(await putFolderIfAbsent(temporary, target)).toBe(true);
    expect(existsSync(temporary)).toBe(false);
    for (const file of [join(target, 'file'), join(target, 'inner', 'file')]) {
      expect(readFileSync(file, 'utf8')).toBe('one');
      expect(modeOf(file)).toBe(0o444);
    }
  });

  test('is refused a second time: the first stays, and the second is left to whoever made it', async () => {
    const root = makeFolder();
    const target = join(root, 'target');
    expect(await putFolderIfAbsent(folderToPut(root, 'first', 'one'), target)).toBe(true);
    const second = folderToPut(root, 'second', 'two');
    expect(await putFolderIfAbsent(second, target)).toBe(false);
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('one');
    expect(readFileSync(join(target, 'inner', 'file'), 'utf8')).toBe('one');
    expect(readFileSync(join(second, 'file'), 'utf8')).toBe('two');
  });

  test('has one winner among many at once', async () => {
    const root = makeFolder();
    const target = join(root, 'deep', 'target');
    const puts = Array.from({ length: 20 }, (_, i) =>
      putFolderIfAbsent(folderToPut(root, `t${i}`, String(i)), target),
    );
    const won = await Promise.all(puts);
    expect(won.filter(Boolean)).toHaveLength(1);
    const winner = String(won.indexOf(true));
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe(winner);
    expect(readFileSync(join(target, 'inner', 'file'), 'utf8')).toBe(winner);
  });

  test('leaves the mode of a file that other folders share', async () => {
    const root = makeFolder();
    const temporary = folderToPut(root, 'temporary', 'one');
    writeFileSync(join(root, 'shared'), 'x', { mode: 0o644 });
    linkSync(join(root, 'shared'), join(temporary, 'shared'));
    expect(await putFolderIfAbsent(temporary, join(root, 'target'))).toBe(true);
    expect(modeOf(join(root, 'target', 'shared'))).toBe(0o644);
  });

  test('does not take a file in the way for a folder that was put first', async () => {
    const root = makeFolder();
    writeFileSync(join(root, 'file'), 'mine');
    const at = await failure(() =>
      putFolderIfAbsent(folderToPut(root, 'a', 'x'), join(root, 'file')),
    );
    expect(at.code).toBe('environment');
    const deepBelow = await failure(() =>
      putFolderIfAbsent(folderToPut(root, 'c', 'x'), join(root, 'file', 'deep', 'target')),
    );
    expect([deepBelow.code, deepBelow.message]).toEqual([
      'environment',
      expect.stringMatching(/: ENOTDIR$/),
    ]);
    expect(readFileSync(join(root, 'file'), 'utf8')).toBe('mine');
  });

  test('does not take a file in place of the folder above for a folder that was put first', async () => {
    const root = makeFolder();
    writeFileSync(join(root, 'file'), 'mine');
    const error = await failure(() =>
      putFolderIfAbsent(folderToPut(root, 'a', 'x'), join(root, 'file', 'target')),
    );
    expect(error.code).toBe('environment');
  });

  test('fails when there is nothing to put', async () => {
    const root = makeFolder();
    const error = await failure(() =>
      putFolderIfAbsent(join(root, 'absent'), join(root, 'target')),
    );
    expect([error.code, error.message]).toEqual([
      'environment',
      expect.stringMatching(/^cannot write .*: ENOENT$/),
    ]);
    expect(existsSync(join(root, 'target'))).toBe(false);
  });
});

describe('writing a file whole', () => {
  test('replaces what was there and leaves nothing beside it', async () => {
    const root = makeFolder();
    const path = join(root, 'file');
    await writeFileWhole(path, 'one');
    await writeFileWhole(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('shows readers one of the texts, never a mixture or nothing', async () => {
    const path = join(makeFolder(), 'file');
    const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
    await writeFileWhole(path, texts[0]!);
    let writing = true;
    const writers = Promise.all(texts.map((text) => writeFileWhole(path, text))).finally(() => {
      writing = false;
    });
    let looks = 0;
    while (writing) {
      expect(texts.includes(readFileSync(path, 'utf8'))).toBe(true);
      looks++;
      await new Promise(setImmediate);
    }
    await writers;
    expect(looks).toBeGreaterThan(1);
    expect(texts.includes(readFileSync(path, 'utf8'))).toBe(true);
  });

  test.each([
    ['a folder that is not there', (root: string) => join(root, 'absent', 'file'), 'ENOENT'],
    ['a name below a file', (root: string) => join(root, 'taken', 'file'), 'ENOTDIR'],
    ['a name that is too long', (root: string) => join(root, 'x'.repeat(300)), 'ENAMETOOLONG'],
    ['a folder of that name', (root: string) => join(root, 'folder'), 'EISDIR'],
  ])('is refused for %s and leaves nothing behind', async (_name, pathIn, errno) => {
    const root = makeFolder();
    writeFileSync(join(root, 'taken'), 'mine');
    mkdirSync(join(root, 'folder'));
    const error = await failure(() => writeFileWhole(pathIn(root), 'text'));
    expect(error.code).toBe('environment');
    expect(error.message).toMatch(/^cannot write /);
    expect(error.message.endsWith(`: ${errno}`)).toBe(true);
    expect(readdirSync(root)).toEqual(['folder', 'taken']);
  });

  test.skipIf(!IS_ROOT)('is the fault of the environment where it is forbidden', async () => {
    const root = makeFolder();
    const error = await asNobody(() => failure(() => writeFileWhole(join(root, 'file'), 'text')));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/EACCES$/)]);
  });
});

describe('a link', () => {
  test('is replaced in one step: whoever looks sees the old target or the new one', async () => {
    const root = makeFolder();
    const path = join(root, 'current');
    for (const name of ['a', 'b']) {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, 'file'), name);
    }
    const temporary = join(root, 'new');
    await replaceLink(path, 'a', temporary);
    let replacing = true;
    const writer = (async () => {
      for (let i = 0; i < 100; i++) await replaceLink(path, i % 2 === 0 ? 'b' : 'a', temporary);
      replacing = false;
    })();
    const seen = new Set<string>();
    while (replacing) {
      seen.add(readlinkSync(path));
      expect(['a', 'b']).toContain(readFileSync(join(path, 'file'), 'utf8'));
      await new Promise(setImmediate);
    }
    await writer;
    expect(['a', 'b']).toEqual(expect.arrayContaining([...seen]));
    expect(readdirSync(root)).toEqual(['a', 'b', 'current']);
  });

  test('does not replace a folder, which stays', async () => {
    const root = makeFolder();
    folderToPut(root, 'current', 'mine');
    const error = await failure(() => replaceLink(join(root, 'current'), 'x', join(root, 'new')));
    expect(error.code).toBe('environment');
    expect(readFileSync(join(root, 'current', 'file'), 'utf8')).toBe('mine');
    expect(readdirSync(root)).toEqual(['current']);
  });

  test('tells its target, and nothing where there is no link', async () => {
    const root = makeFolder();
    symlinkSync('nowhere', join(root, 'link'));
    writeFileSync(join(root, 'file'), '');
    expect(await linkTarget(join(root, 'link'))).toBe('nowhere');
    expect(await linkTarget(join(root, 'absent'))).toBeUndefined();
    expect(await linkTarget(join(root, 'file'))).toBeUndefined();
    const error = await failure(() => linkTarget(join(root, 'file', 'below')));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/ENOTDIR$/)]);
  });
});

describe('linking a file', () => {
  test('shares its content', async () => {
    const root = makeFolder();
    writeFileSync(join(root, 'source'), 'content');
    await linkFile(join(root, 'source'), join(root, 'target'));
    expect(statSync(join(root, 'target')).ino).toBe(statSync(join(root, 'source')).ino);
  });

  test('does not touch what has the name already', async () => {
    const root = makeFolder();
    writeFileSync(join(root, 'source'), 'content');
    writeFileSync(join(root, 'target'), 'mine');
    const error = await failure(() => linkFile(join(root, 'source'), join(root, 'target')));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/EEXIST$/)]);
    expect(readFileSync(join(root, 'target'), 'utf8')).toBe('mine');
  });

  test('tells as its cause that the source is missing', async () => {
    const root = makeFolder();
    const error = await failure(() => linkFile(join(root, 'absent'), join(root, 'target')));
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  /** A folder on another file system than the temporary one, if this machine has it. */
  const OTHER = '/dev/shm';
  const hasOther = existsSync(OTHER) && statSync(OTHER).dev !== statSync(makeFolder()).dev;

  test.skipIf(!hasOther)('copies it where links do not reach', async () => {
    const other = mkdtempSync(join(OTHER, 'scoreline-test-'));
    try {
      const source = join(makeFolder(), 'source');
      writeFileSync(source, 'content');
      await linkFile(source, join(other, 'target'));
      expect(readFileSync(join(other, 'target'), 'utf8')).toBe('content');
      const again = await failure(() => linkFile(source, join(other, 'target')));
      expect(again.code).toBe('environment');
    } finally {
      rmSync(other, { recursive: true });
    }
  });
});

describe('a folder', () => {
  test('is made with those above it; one that is there is fine', async () => {
    const path = join(makeFolder(), 'a', 'b', 'c');
    await makeDurableFolder(path);
    await makeDurableFolder(path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  test('is not made where a file is', async () => {
    const root = makeFolder();
    writeFileSync(join(root, 'file'), '');
    for (const path of [join(root, 'file'), join(root, 'file', 'below')]) {
      const error = await failure(() => makeDurableFolder(path));
      expect([error.code, error.message]).toEqual([
        'environment',
        expect.stringMatching(/^cannot create folder .*: (?:EEXIST|ENOTDIR)$/),
      ]);
    }
  });

  test('lists its names by code units, none when it is absent, and a file is no folder', async () => {
    const root = makeFolder();
    for (const name of ['b', 'B', 'é', '10', '9', '\u{1f600}', '\uffee']) {
      writeFileSync(join(root, name), '');
    }
    expect(await listFolder(root)).toEqual(['10', '9', 'B', 'b', 'é', '\u{1f600}', '\uffee']);
    expect(await listFolder(join(root, 'absent'))).toEqual([]);
    const error = await failure(() => listFolder(join(root, 'b')));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/ENOTDIR$/)]);
  });

  test('is removed with what is below it, read-only files too; nothing there is fine', async () => {
    const root = makeFolder();
    await putFolderIfAbsent(folderToPut(root, 'temporary', 'x'), join(root, 'target'));
    symlinkSync(root, join(root, 'target', 'up'));
    await removeTree(join(root, 'target'));
    await removeTree(join(root, 'target'));
    expect(readdirSync(root)).toEqual([]);
  });
});
