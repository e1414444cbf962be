import { describe, expect, test } from 'vitest';
import { type ErrorCode, ScorelineError } from '../../src/base/errors.js';
import { failureOf } from '../../src/run/audit.js';

const error = (code: ErrorCode, message: string) => new ScorelineError(code, message);

describe('the failure of several units', () => {
  test('is none where there is none', () => {
    expect(failureOf(new Map())).toBeUndefined();
  });

  test.each([
    ['changed', [['changed'], ['changed']]],
    ['input', [['changed'], ['input']]],
    ['changed', [['changed', 'input']]],
  ] as const)('has the code of the worst: %s of %j', (code, units) => {
    const failures = new Map(
      units.map((codes, unit) => [`p=${unit}`, codes.map((one) => error(one, one))]),
    );
    expect(failureOf(failures)?.code).toBe(code);
  });

  test('names every unit, also those whose messages are too many to read', () => {
    const failures = new Map(
      Array.from({ length: 30 }, (_, unit) => [`p=${unit}`, [error('input', `bad ${unit}`)]]),
    );
    const lines = failureOf(failures)?.message.split('\n') ?? [];
    expect(lines).toHaveLength(21);
    expect(lines[19]).toBe('bad 19');
    expect(lines[20]).toMatch(/^… and 10 more, in p=20, p=21, .*p=29$/);
  });
});
