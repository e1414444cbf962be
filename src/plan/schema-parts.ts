/** What the schemas of the job file are made of. The error text of a schema is what a message says after "expected". */
import * as z from 'zod';
import { sayValue } from './job-yaml.js';

/** Checks that run even where a neighbour is wrong, so that all errors are reported at once. */
export const always: { readonly when: () => boolean } = { when: () => true };

/** A text that is not empty. */
export const text = (error: string): z.ZodString =>
  z
    .string({ error })
    .min(1, { error })
    .refine((value) => !value.includes('\0') && !/\p{Cs}/u.test(value), { error });
/** A local path. */
export const path = (error: string): z.ZodString =>
  text(error).regex(/^(?![A-Za-z][A-Za-z0-9+.-]+:\/\/)/, { error });
/** The name of a column. */
export const column = (): z.ZodString => text('a column name');
/** Names of columns, each once. */
export const columnList = (error: string): z.ZodArray<z.ZodString> =>
  z.array(column(), { error }).superRefine(checkDistinct, always).meta({ uniqueItems: true });
/** A whole number within bounds. */
export const whole = (least: number, most: number, error: string): z.ZodInt =>
  z.int({ error }).min(least, { error }).max(most, { error });
/** `auto`, or a whole number within bounds. */
export const autoOrWhole = (
  least: number,
  most: number,
): z.ZodUnion<[z.ZodLiteral<'auto'>, z.ZodInt]> => {
  const error = `auto or a whole number from ${least} to ${most}`;
  return z.union([z.literal('auto', { error }), whole(least, most, error)], { error });
};
/** `auto`, or a number of bytes as text: 4GB, 512MiB. */
export const autoOrBytes = (leastBytes: number): z.ZodString => {
  const error = `auto or a size of at least ${leastBytes / 1e6}MB, such as 4GB`;
  return z
    .string({ error })
    .regex(/^(?:auto|\d+(?:\.\d+)? ?[MGT]i?B)$/, { error })
    .refine((value) => (bytesOf(value) ?? leastBytes) >= leastBytes, { error });
};
/** The number of bytes that such a text says; undefined for `auto`. */
export function bytesOf(text: string): number | undefined {
  const [, number, prefix, binary] = /^([\d.]+) ?([MGT])(i?)B$/.exec(text) ?? [];
  if (number === undefined || prefix === undefined) return undefined;
  const power = 'MGT'.indexOf(prefix) + 2;
  return Math.floor(Number(number) * (binary === 'i' ? 1024 : 1000) ** power);
}
/** One of some words. */
export const oneOf = <const T extends readonly string[]>(
  names: T,
): z.ZodEnum<z.util.ToEnum<T[number]>> => z.enum(names, { error: `one of ${names.join(', ')}` });
/** A map of known keys. */
export const section = <T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> =>
  z.strictObject(shape, { error: `a map of keys (${Object.keys(shape).join(', ')})` });

/** Refuses an element or a key that is there already: SQL takes names that differ in case only for one column. */
export function checkDistinct(names: unknown, issues: z.core.$RefinementCtx<unknown>): void {
  const isList = Array.isArray(names);
  const seen = new Map<string, string>();
  for (const [index, name] of (isList ? names : Object.keys(names ?? {})).entries()) {
    if (typeof name !== 'string') continue;
    const before = seen.get(name.toLowerCase());
    if (before === undefined) {
      seen.set(name.toLowerCase(), name);
      continue;
    }
    const message = `${sayValue(name)} is given twice${sayCase(name, before)}`;
    refuse(issues, [isList ? index : name], message);
  }
}

/** Adds an issue whose message says all: it gets no "expected". */
export function refuse(
  issues: z.core.$RefinementCtx<unknown>,
  path: PropertyKey[],
  message: string,
): void {
  issues.addIssue({ code: 'custom', path, message, params: { whole: true } });
}

/** A remark for names that are the same but for their case. */
export function sayCase(name: string, before: string): string {
  return name === before ? '' : ` (as ${sayValue(before)}; upper and lower case are the same)`;
}
