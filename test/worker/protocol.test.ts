import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { type ErrorCode, EXIT_CODES, exitCodeOf, ScorelineError } from '../../src/base/errors.js';
import { fromWire, isMessage, toWire } from '../../src/worker/protocol.js';
import { makeFolder } from '../scoreline.js';

/** An error as it is after the way through the channel, which copies as `v8` does. */
function crossed(error: unknown): Error {
  return fromWire(deserialize(serialize(toWire(error))));
}

/** The causes of an error, itself first. */
function chain(error: unknown): unknown[] {
  return error instanceof Error && error.cause !== undefined
    ? [error, ...chain(error.cause)]
    : [error];
}

describe('an error that crosses between processes', () => {
  test.each(Object.keys(EXIT_CODES).filter((code) => code !== 'bug') as ErrorCode[])(
    'keeps its code: %s',
    (code) => {
      const error = new ScorelineError(code, 'column "a" is VARCHAR\nand more');
      const back = crossed(error);
      expect(back).toBeInstanceOf(ScorelineError);
      expect(back).toMatchObject({ code, message: error.message, stack: error.stack });
      expect(back.cause).toBeUndefined();
      expect('cause' in back).toBe(false);
      expect(exitCodeOf(back)).toBe(exitCodeOf(error));
    },
  );

  test('that is a bug stays one, with its stack', () => {
    const error = new TypeError('x is not a function');
    const back = crossed(error);
    expect(back).not.toBeInstanceOf(ScorelineError);
    expect(back).toMatchObject({ message: error.message, stack: error.stack });
    expect(exitCodeOf(back)).toBe(1);
  });

  test('keeps its causes, each with its own code', () => {
    const system = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    const error = new ScorelineError('input', 'a.parquet: refused', {
      cause: new ScorelineError('environment', 'cannot write x', { cause: system }),
    });
    const back = chain(crossed(error)) as Error[];
    expect(back.map(({ message }) => message)).toEqual([
      'a.parquet: refused',
      'cannot write x',
      'ENOSPC: no space left',
    ]);
    expect(back.map(exitCodeOf)).toEqual([4, 6, 1]);
    expect(back.map(({ stack }) => stack)).toEqual(
      (chain(error) as Error[]).map(({ stack }) => stack),
    );
  });

  test('keeps a cause that is no error as its text', () => {
    const causes = ['text', 5, null, { a: 1 }].map(
      (cause) => (crossed(new ScorelineError('model', 'x', { cause })).cause as Error).message,
    );
    expect(causes).toEqual(['text', '5', 'null', '[object Object]']);
  });

  test('may be anything that can be thrown', () => {
    expect(['text', 5, undefined, null].map((thrown) => crossed(thrown).message)).toEqual([
      'text',
      '5',
      'undefined',
      'null',
    ]);
  });

  test('ends its causes at some depth, so that a circle ends too', () => {
    const a: Error & { cause?: unknown } = new Error('a');
    a.cause = new Error('b', { cause: a });
    const back = chain(crossed(a)) as Error[];
    expect(back.length).toBeGreaterThanOrEqual(3);
    expect(back.length).toBeLessThan(20);
    expect(back.slice(0, 3).map(({ message }) => message)).toEqual(['a', 'b', 'a']);
  });

  test('without a stack gets one', () => {
    const error = new ScorelineError('input', 'x');
    delete (error as { stack?: string }).stack;
    expect(typeof crossed(error).stack).toBe('string');
  });

  test('comes through the channel of a real child process', async () => {
    const echo = join(makeFolder(), 'echo.cjs');
    writeFileSync(
      echo,
      "process.once('message', (m) => process.send(m, () => process.disconnect()))",
    );
    const child = fork(echo, [], { serialization: 'advanced', execArgv: [] });
    const error = new ScorelineError('changed', 'größe \u{1f600}', {
      cause: new RangeError('why'),
    });
    const answer = new Promise((resolve) => child.once('message', resolve));
    child.send({ scoreline: 'failure', id: 1, error: toWire(error), fatal: false });
    const message = await answer;
    expect(isMessage(message)).toBe(true);
    const back = fromWire((message as { error: ReturnType<typeof toWire> }).error);
    expect(back).toMatchObject({ code: 'changed', message: error.message, stack: error.stack });
    expect(back.cause).toMatchObject({ message: 'why' });
  });
});

test('what others send on the channel is no message', () => {
  expect(isMessage({ scoreline: 'ready' })).toBe(true);
  for (const other of [
    undefined,
    null,
    'scoreline',
    5,
    {},
    [],
    { scoreline: 1 },
    { cmd: 'NODE_x' },
  ]) {
    expect(isMessage(other)).toBe(false);
  }
});
